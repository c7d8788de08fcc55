"""Server-sent events of one ticket: what is stored, then what comes, until somebody ends it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
from starlette.responses import StreamingResponse

from fenliu.chassis.db import Database
from services.notifier import store
from services.notifier.domain import Entry, Key, say

LONGEST_S = 3600
"""A stream is renewed by its reader at least this often, seconds, so that whoever lost access loses it here too."""

REPLAYED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """heartbeat_s: seconds of silence before a comment keeps proxies awake. retry_ms: pause before a reader returns."""

    heartbeat_s: float = 15.0
    retry_ms: int = 2000


class OpenStream(Protocol):
    """One open stream, fed by somebody else."""

    known: int
    entries: deque[Entry]
    closed: str | None

    async def wait(self, timeout_s: float) -> bool: ...


class OpenStreams(Protocol):
    """All open streams of the process."""

    def watch(self, key: Key, after: int) -> Any: ...

    def leave(self, watcher: Any, reason: str) -> None: ...


def shown_entry(entry: Entry) -> dict[str, Any]:
    """An entry as readers of the timeline and of its stream see it."""
    return {
        "sequence": entry.sequence,
        "kind": entry.kind,
        "label": {"en": say(f"line_{entry.kind}", "en"), "zh": say(f"line_{entry.kind}", "zh")},
        "at": entry.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "text": entry.text or None,
        "author": entry.author or None,
    }


def after_of(last_event_id: str | None, after: int) -> int:
    """Where a reader left off: Last-Event-ID where it has one of ours, else `after`."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19:
        return int(last_event_id)
    return after


def stream_response(
    db: Database, streams: OpenStreams, limits: StreamLimits, key: Key, *, after: int, until: datetime
) -> StreamingResponse:
    """The stream. until: moment at which the reader's right to it ends. Raises TooManyStreams."""
    watcher = streams.watch(key, after)
    return StreamingResponse(
        _events(db, streams, limits, watcher, key, after, until),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _events(
    db: Database,
    streams: OpenStreams,
    limits: StreamLimits,
    watcher: OpenStream,
    key: Key,
    after: int,
    until: datetime,
) -> AsyncIterator[bytes]:
    reason = "client"
    ends = db.clock.monotonic() + LONGEST_S
    last = after
    try:
        yield f"retry: {limits.retry_ms}\n\n".encode()
        replaying = True
        while replaying:
            async with db.read() as tx:
                stored = await store.load_entries(tx, *key, after=last, limit=REPLAYED_AT_ONCE)
            for entry in stored:
                last = entry.sequence
                yield _event(entry)
            replaying = len(stored) == REPLAYED_AT_ONCE
        watcher.known = max(watcher.known, last)
        while True:
            while watcher.entries:
                entry = watcher.entries.popleft()
                if entry.sequence > last:  # what was committed during the replay came both ways
                    last = entry.sequence
                    yield _event(entry)
            left_s = min((until - db.clock.now()).total_seconds(), ends - db.clock.monotonic())
            if watcher.closed or left_s <= 0:
                reason = watcher.closed or ("expired" if until <= db.clock.now() else "renew")
                yield _goodbye(reason)
                return
            if not await watcher.wait(min(limits.heartbeat_s, left_s)):
                yield b": still here\n\n"
    finally:
        streams.leave(watcher, reason)


def _event(entry: Entry) -> bytes:
    return b"id: %d\nevent: timeline\ndata: %s\n\n" % (entry.sequence, orjson.dumps(shown_entry(entry)))


def _goodbye(reason: str) -> bytes:
    """Says why the stream ends. After "expired" a reader must not come back with the same link."""
    return b"event: end\ndata: %s\n\n" % orjson.dumps({"reason": reason})
