"""Feeds open event streams. One query serves all of them, however many there are.

A commit of this process names the tickets that changed and wakes the loop; a short poll over all watched tickets finds
what other replicas wrote. Sequences grow in commit order within a ticket, so "above the last one seen" misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from fenliu.chassis.db import Database
from fenliu.chassis.errors import Transient
from fenliu.chassis.worker import Loop
from services.notifier import metrics, store
from services.notifier.domain import Entry, Key
from services.notifier.store.ticket import CHUNK


class TooManyStreams(Transient):
    """As many event streams are open as this server can carry. Try again in a few seconds, or poll the timeline."""

    slug = "too-many-streams"


class Watcher:
    """One open stream: what it has still to be given. closed: why it must end; None while it goes on."""

    __slots__ = ("_ready", "_room", "closed", "entries", "key", "known")

    def __init__(self, key: Key, after: int, room: int) -> None:
        self.key = key
        self.known = after
        self.entries: deque[Entry] = deque()
        self.closed: str | None = None
        self._room = room
        self._ready = asyncio.Event()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until there is something to give or the stream must end. False: nothing came within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            return False
        self._ready.clear()
        return True

    def give(self, entry: Entry) -> None:
        """Add an entry unless it is known. A reader that does not keep up is cut off; it resumes where it was."""
        if entry.sequence <= self.known or self.closed:
            return
        self.known = entry.sequence
        self.entries.append(entry)
        if len(self.entries) > self._room:
            self.close("slow")
        self._ready.set()

    def close(self, reason: str) -> None:
        """End the stream."""
        self.closed = self.closed or reason
        self._ready.set()


class Streams(Loop):
    """All open streams of this process. room: entries that may wait for one reader."""

    def __init__(self, db: Database, *, every_s: float = 0.5, max_streams: int = 10_000, room: int = 100) -> None:
        super().__init__("streams", self.push_once, every_s=every_s)
        self._db = db
        self._poll_s = every_s
        self._max_streams = max_streams
        self._room = room
        self._watchers: dict[Key, set[Watcher]] = {}
        self._seen: dict[Key, int] = {}
        self._changed: set[Key] = set()
        self._polled_at = float("-inf")
        self._count = 0
        self._stopped = False

    async def run(self, stop: asyncio.Event) -> None:
        """Push until `stop` is set, then end every stream: a server waits for its connections, and these never end."""
        await super().run(stop)
        self._stopped = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close("shutdown")

    def watch(self, key: Key, after: int) -> Watcher:
        """Open a stream for entries above `after`. Its caller reads what is stored already, and calls leave at last.

        Raises TooManyStreams.
        """
        if self._count >= self._max_streams or self._stopped:
            raise TooManyStreams(retry_after_s=5)
        watcher = Watcher(key, after, self._room)
        self._watchers.setdefault(key, set()).add(watcher)
        self._count += 1
        metrics.streams_open.set(self._count)
        return watcher

    def leave(self, watcher: Watcher, reason: str) -> None:
        """Forget a stream."""
        watchers = self._watchers.get(watcher.key, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(watcher.key, None)
            self._seen.pop(watcher.key, None)
        self._count -= 1
        metrics.streams_open.set(self._count)
        metrics.streams_closed.inc(reason=reason)

    def changed(self, entries: Sequence[Entry]) -> None:
        """These entries were committed; push them if somebody watches. Cheap where nobody does."""
        if not self._watchers:
            return
        watched = {entry.key for entry in entries} & self._watchers.keys()
        if watched:
            self._changed |= watched
            self.wake()

    async def push_once(self) -> int:
        """Give every watcher what it has not been given. Returns 0: there is nothing to hurry for."""
        if not self._watchers:
            self._changed.clear()
            return 0
        now = self._db.clock.monotonic()
        due = now - self._polled_at >= self._poll_s
        changed, self._changed = self._changed, set()
        async with self._db.read() as tx:
            if due:
                self._polled_at = now
                for keys in _chunks(list(self._watchers)):
                    changed |= self._news(await store.load_sequences(tx, keys))
            for keys in _chunks(list(changed & self._watchers.keys())):
                after = {key: min(w.known for w in ws) for key in keys if (ws := self._watchers.get(key))}
                self._give(await store.load_new_entries(tx, after))
        return 0

    def _news(self, sequences: dict[Key, int]) -> set[Key]:
        """Tickets whose sequence has moved. Reserved sequences may stay unused, so the last poll decides."""
        moved = {key for key, last in sequences.items() if last > self._seen.get(key, 0)}
        self._seen.update({key: sequences[key] for key in moved if key in self._watchers})
        return moved

    def _give(self, entries: Iterable[Entry]) -> None:
        now = self._db.clock.now()
        for entry in entries:
            watchers = self._watchers.get(entry.key, ())
            for watcher in tuple(watchers):
                watcher.give(entry)
            if watchers and (delay := (now - entry.at).total_seconds()) < 60:
                metrics.push_delay.observe(max(delay, 0.0))  # older ones are what a new reader missed, not late


def _chunks(keys: list[Key]) -> Iterable[list[Key]]:
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))
