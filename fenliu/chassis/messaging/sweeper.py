"""Announcing again (design D10): when something that was published got no answer, and it cannot still be on its way.

A record that consuming groups have not read yet needs patience, not a copy. Only when it lies behind the committed
offsets of all of them is it announced again, after 1, 2, 4 and 8 minutes; then somebody has to look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from fenliu.chassis.db import Transaction
from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions
from fenliu.chassis.messaging.tables import outbox

PATIENCE = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 4, 8))
"""Wait before each announcement, counted from the one before it."""


@dataclass(frozen=True, slots=True)
class AnnounceAgain:
    """Publish a copy with a new event id now, and look again at `next_at`."""

    next_at: datetime


@dataclass(frozen=True, slots=True)
class KeepWaiting:
    """Look again at `next_at`."""

    next_at: datetime


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Announced often enough; raise an alert, announce no more."""


def next_announcement(
    announced: int, last_at: datetime, *, read: bool, now: datetime
) -> AnnounceAgain | KeepWaiting | GivenUp:
    """What to do about something that was announced without an answer.

    announced  announcements so far, the first publication included; at least 1.
    last_at    when the last one was made; aware UTC.
    read       whether its record lies behind the committed offsets of all consuming groups.
    """
    if announced < 1:
        raise ValueError("something that was never announced cannot be announced again")
    if announced > len(PATIENCE):
        return GivenUp()
    due = last_at + PATIENCE[announced - 1]
    if now < due:
        return KeepWaiting(due)
    if not read:
        return KeepWaiting(now + PATIENCE[0])
    return AnnounceAgain(now + PATIENCE[min(announced, len(PATIENCE) - 1)])


class GroupsRead:
    """How far groups have read; asked once, good for one round of a sweeper."""

    def __init__(self, committed: Mapping[tuple[str, int], int]) -> None:
        """committed: lowest next offset of all groups, by topic and partition; one that is missing was never read."""
        self._committed = committed

    def has_read(self, topic: str, partition: int | None, offset: int | None) -> bool:
        """True where every group has read past this record; False for one that is not published yet."""
        if partition is None or offset is None:
            return False
        return offset < self._committed.get((topic, partition), 0)


async def groups_read(options: KafkaOptions, topic: str, groups: Iterable[str]) -> GroupsRead:
    """Ask the broker how far these groups have read a topic. Raises KafkaUnavailable."""
    inspector = Inspector(options, "fenliu.sweeper")
    try:
        read = [await inspector.committed(group, topic) for group in groups]
    finally:
        await inspector.close()
    partitions: set[int] = set().union(*read)
    return GroupsRead({(topic, p): min(offsets.get(p, 0) for offsets in read) for p in partitions})


async def last_places(tx: Transaction, topic: str, keys: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Partition and offset of the newest record of each key in this service's outbox.

    A key is missing where its newest record is not published yet, or was purged.
    """
    newest = (
        select(func.max(outbox.c.id))
        .where(outbox.c.topic == topic, outbox.c.record_key.in_(keys))
        .group_by(outbox.c.record_key)
    )
    columns = (outbox.c.record_key, outbox.c.ack_partition, outbox.c.ack_offset)
    statement = select(*columns).where(outbox.c.id.in_(newest), outbox.c.ack_offset.is_not(None))
    return {row.record_key: (row.ack_partition, row.ack_offset) for row in await tx.execute(statement)}
