"""What happens to the records of one poll: decode, apply in as few transactions as possible, find culprits, decide.

Nothing here talks to Kafka but through `DeadLetters`; committing offsets is the loop's business (consumer.py).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message
from sqlalchemy.exc import DBAPIError

from fenliu.chassis.clock import Clock
from fenliu.chassis.db import DatabaseUnavailable, is_retriable
from fenliu.chassis.errors import Malformed, Transient
from fenliu.chassis.messaging.deadletter import Failure
from fenliu.chassis.messaging.decode import Decoder
from fenliu.chassis.messaging.envelope import Received, Record
from fenliu.chassis.messaging.kafka import KafkaUnavailable
from fenliu.chassis.observability import get_logger

log = get_logger(__name__)

EVERYWHERE = (DatabaseUnavailable, KafkaUnavailable)
"""Absences that concern every record alike, so that halving would find nothing."""

Apply = Callable[[Sequence[Received]], Awaitable[None]]
"""Handles decoded events in one transaction, or publishes their answers; all or nothing."""

WriteDead = Callable[[Sequence[Failure]], Awaitable[None]]
"""Sets records aside; raises KafkaUnavailable where that failed."""


class TooManyDeadLetters(Exception):
    """So many records in a row were dead letters that something else must be wrong; the consumer stops."""


@dataclass(slots=True)
class Outcome:
    """What became of a poll.

    done      next offset by partition, safe to commit.
    blocked   partition → the first offset that could not be settled and why; it and what follows come again.
    """

    done: dict[int, int] = field(default_factory=dict)
    blocked: dict[int, tuple[int, Transient]] = field(default_factory=dict)
    skipped: int = 0
    dead: int = 0


class Processor:
    """Settles polls one after the other.

    bug_attempts     tries for a record whose handler raises something unexpected, before it is a dead letter.
    max_dead_in_row  dead letters without a handled record between them after which TooManyDeadLetters is raised.
    """

    def __init__(
        self,
        decoder: Decoder,
        apply: Apply,
        write_dead: WriteDead,
        clock: Clock,
        *,
        bug_attempts: int = 3,
        max_dead_in_row: int = 1000,
    ) -> None:
        self._decoder = decoder
        self._apply = apply
        self._write_dead = write_dead
        self._clock = clock
        self._bug_attempts = bug_attempts
        self._max_dead_in_row = max_dead_in_row
        self._dead_in_row = 0

    async def process(self, records: Sequence[Record]) -> Outcome:
        """Settle records, in order per partition. Raises TooManyDeadLetters; then nothing of them may be committed."""
        outcome = Outcome()
        items = await self._decoded(records, outcome)
        await self._settle(items, outcome)
        for record in records:
            blocked = outcome.blocked.get(record.partition)
            if blocked is None or record.offset < blocked[0]:
                outcome.done[record.partition] = record.offset + 1
        return outcome

    async def _decoded(self, records: Sequence[Record], outcome: Outcome) -> list[tuple[Record, Received]]:
        items: list[tuple[Record, Received]] = []
        undecodable: list[Failure] = []
        for record in records:
            try:
                received = self._decoder.decode(record)
            except Malformed as error:
                undecodable.append(Failure(record, error, 1, self._clock.now()))
            else:
                if received is None:
                    outcome.skipped += 1
                else:
                    items.append((record, received))
        if items:
            self._dead_in_row = 0
        if undecodable:
            await self._give_up(undecodable, outcome)
        return items

    async def _settle(self, items: Sequence[tuple[Record, Received]], outcome: Outcome) -> None:
        items = [item for item in items if not _is_blocked(item[0], outcome)]
        if not items:
            return
        try:
            await self._apply([received for _, received in items])
            self._dead_in_row = 0
        except EVERYWHERE as error:
            for record, _ in items:
                outcome.blocked.setdefault(record.partition, (record.offset, error))
        except Exception as error:  # the consumer loop decides about whatever a handler raises
            if len(items) == 1:
                await self._settle_alone(items[0], error, outcome)
                return
            log.info("batch_failed", records=len(items), error=type(error).__name__)
            middle = len(items) // 2
            await self._settle(items[:middle], outcome)
            await self._settle(items[middle:], outcome)

    async def _settle_alone(self, item: tuple[Record, Received], error: Exception, outcome: Outcome) -> None:
        record, received = item
        first_failed_at = self._clock.now()
        attempts = 1
        while not isinstance(error, Malformed):
            transient = _as_transient(error)
            if transient is not None:
                outcome.blocked[record.partition] = (record.offset, transient)
                return
            if attempts >= self._bug_attempts:
                log.error("handler_failed", event_type=received.envelope.event_type, exc_info=error)
                break
            await asyncio.sleep(random.uniform(0.5, 1.5) * 0.05 * 2**attempts)  # noqa: S311 - jitter, not a secret
            attempts += 1
            try:
                await self._apply([received])
                self._dead_in_row = 0
                return
            except Exception as again:  # as above
                error = again
        await self._give_up([Failure(record, error, attempts, first_failed_at)], outcome)

    async def _give_up(self, failures: Sequence[Failure], outcome: Outcome) -> None:
        self._dead_in_row += len(failures)
        if self._dead_in_row > self._max_dead_in_row:
            raise TooManyDeadLetters(f"{self._dead_in_row} records in a row were dead letters")
        try:
            await self._write_dead(failures)
        except KafkaUnavailable as error:
            for failure in failures:
                record = failure.record
                earlier = outcome.blocked.get(record.partition)
                if earlier is None or record.offset < earlier[0]:
                    outcome.blocked[record.partition] = (record.offset, error)
        else:
            outcome.dead += len(failures)
            for failure in failures:
                record = failure.record
                place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
                log.warning("record_dead_lettered", **place, error=type(failure.error).__name__)


def _is_blocked(record: Record, outcome: Outcome) -> bool:
    blocked = outcome.blocked.get(record.partition)
    return blocked is not None and record.offset >= blocked[0]


def _as_transient(error: Exception) -> Transient | None:
    if isinstance(error, Transient):
        return error
    if isinstance(error, DBAPIError) and is_retriable(error):
        return DatabaseUnavailable("The database asks for the transaction to be repeated.")
    return None


def grouped(received: Sequence[Received]) -> list[tuple[type[Message], list[Received]]]:
    """Events by type in as few lists as keep each key's events in order, also across types."""
    groups: list[tuple[type[Message], list[Received]]] = []
    of_type: dict[type[Message], list[int]] = {}
    reached: dict[str, int] = {}
    for item in received:
        kind = type(item.event)
        key = item.envelope.key
        earliest = reached.get(key, 0)
        places = of_type.setdefault(kind, [])
        place = next((place for place in reversed(places) if place >= earliest), None)
        if place is None:
            place = len(groups)
            groups.append((kind, []))
            places.append(place)
        groups[place][1].append(item)
        reached[key] = place
    return groups
