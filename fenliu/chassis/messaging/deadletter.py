"""Dead letters: records that could not be handled, set aside with everything needed to look at them and replay them.

A dead letter is the original record (key, value, headers) on `<topic>-dlq`, with headers `fenliu-dlq-*` added: topic,
partition, offset, group, reason, error, attempts, first-failed-at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fenliu.chassis.errors import FenliuError
from fenliu.chassis.messaging.envelope import Record
from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions, Outbound, Producer, read_range

PREFIX = "fenliu-dlq-"
MAX_REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is read back.

    record            the original; topic, partition and offset are where it was first.
    stored            place in the dead-letter topic: topic, partition, offset.
    error             class of the error; reason is its sentence.
    first_failed_at   RFC 3339.
    """

    record: Record
    stored: tuple[str, int, int]
    group: str
    error: str
    reason: str
    attempts: int
    first_failed_at: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that is given up, and why."""

    record: Record
    error: BaseException
    attempts: int
    first_failed_at: datetime


def dead_letter_of(failure: Failure, topic: str, group: str) -> Outbound:
    """The record to write. The reason of an unexpected error is its type alone: its text may quote personal data."""
    record, error = failure.record, failure.error
    reason = error.detail if isinstance(error, FenliuError) else f"the handler raised {type(error).__name__}"
    added = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "group": group,
        "error": type(error).__name__,
        "reason": reason[:MAX_REASON_CHARS],
        "attempts": str(failure.attempts),
        "first-failed-at": failure.first_failed_at.isoformat(),
    }
    headers = [*original_headers(record), *((PREFIX + name, value.encode()) for name, value in added.items())]
    return Outbound(topic, record.key, record.value, headers)


def original_headers(record: Record) -> list[tuple[str, bytes]]:
    """The headers without what an earlier dead-lettering added."""
    return [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]


def read_back(stored: Record) -> DeadLetter:
    """A record of a dead-letter topic as a DeadLetter; what a foreign record lacks is empty or 0."""
    said = {name.removeprefix(PREFIX): value for name, value in stored.headers if name.startswith(PREFIX)}
    text = {name: value.decode(errors="replace") for name, value in said.items()}
    original = Record(
        topic=text.get("topic", stored.topic.removesuffix("-dlq")),
        partition=int(text.get("partition", "0")),
        offset=int(text.get("offset", "0")),
        key=stored.key,
        value=stored.value,
        headers=tuple(original_headers(stored)),
        timestamp_ms=stored.timestamp_ms,
    )
    return DeadLetter(
        record=original,
        stored=(stored.topic, stored.partition, stored.offset),
        group=text.get("group", ""),
        error=text.get("error", ""),
        reason=text.get("reason", ""),
        attempts=int(text.get("attempts", "0")),
        first_failed_at=text.get("first-failed-at", ""),
    )


async def list_dead_letters(options: KafkaOptions, topic: str, *, limit: int = 100) -> list[DeadLetter]:
    """The newest `limit` dead letters of a dead-letter topic, oldest first. Raises KafkaUnavailable."""
    inspector = Inspector(options)
    try:
        ends = await inspector.end_offsets([topic])
        begins = await inspector.begin_offsets([topic])
    finally:
        await inspector.close()
    found: list[DeadLetter] = []
    for (_, partition), end in ends.items():
        start = max(begins.get((topic, partition), 0), end - limit)
        found += [read_back(record) for record in await read_range(options, topic, partition, start, end)]
    found.sort(key=lambda letter: (letter.record.timestamp_ms, letter.stored))
    return found[-limit:]


async def show_dead_letter(options: KafkaOptions, topic: str, partition: int, offset: int) -> DeadLetter | None:
    """One dead letter by its place in the dead-letter topic; None where there is none. Raises KafkaUnavailable."""
    records = await read_range(options, topic, partition, offset, offset + 1)
    return read_back(records[0]) if records else None


async def replay_dead_letters(options: KafkaOptions, letters: Sequence[DeadLetter]) -> int:
    """Publish the originals to their topics again, bytes, key and headers unchanged. Returns how many.

    The dead letters stay where they are. An event handled meanwhile is dropped by the inbox, so replaying twice
    does no harm. Raises KafkaUnavailable; then some may have been published.
    """
    producer = Producer(options)
    try:
        originals = [letter.record for letter in letters]
        records = [Outbound(r.topic, r.key, r.value, r.headers) for r in originals]
        return len(await producer.send(records))
    finally:
        await producer.close()
