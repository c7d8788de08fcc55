"""Noticing that the broker's log was replaced, and from where on to publish again (design "Lost broker data").

The log was replaced when an acknowledged offset is not above the last one recorded for its partition, or when a
partition's end offset is not above it. Everything published since all consuming groups were last known to have caught
up has to go out again, and never less than the last hour.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from fenliu.chassis.db import Database, Transaction, UtcDateTime
from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions
from fenliu.chassis.messaging.tables import outbox, outbox_partition
from fenliu.contracts.topics import CATALOGUE

Place = tuple[str, int]
"""Topic and partition."""

REPUBLISH_WINDOW = timedelta(hours=1)
CLOCK_MARGIN = timedelta(minutes=1)
"""created_at is the moment at which a transaction began, so ids and times agree only roughly."""

_fact = outbox_partition.c


class LossDetector:
    """Facts about the broker's log by shard. What `note` and `forget` write commits with the marks it belongs to."""

    def __init__(self, db: Database, kafka: KafkaOptions, *, check_s: float) -> None:
        self._db = db
        self._inspector = Inspector(kafka, "fenliu.relay.inspector")
        self._check_s = check_s
        self._looked_at: dict[int, float] = {}
        self._last: dict[int, dict[Place, int]] = {}

    async def close(self) -> None:
        """Give the connections up."""
        await self._inspector.close()

    async def load(self, shard: int) -> None:
        """Read what is recorded; to be called when a lease is taken."""
        statement = select(_fact.topic, _fact.partition, _fact.last_offset).where(_fact.shard == shard)
        async with self._db.read() as tx:
            rows = (await tx.execute(statement)).all()
        self._last[shard] = {(row.topic, row.partition): row.last_offset for row in rows}
        self._looked_at.pop(shard, None)

    def is_due(self, shard: int) -> bool:
        """True where it is time to look at the end offsets again."""
        return time.monotonic() - self._looked_at.get(shard, float("-inf")) >= self._check_s

    async def look(self, shard: int) -> bool:
        """True where an end offset shows that the log was replaced; else notes how far the groups have read.

        Raises KafkaUnavailable.
        """
        last = self._last.get(shard, {})
        topics = sorted({topic for topic, _ in last})
        if topics:
            ends = await self._inspector.end_offsets(topics)
            if any(ends.get(place, 0) <= offset for place, offset in last.items()):
                return True
            await self._note_reading(shard, topics)
        self._looked_at[shard] = time.monotonic()
        return False

    def shows_loss(self, shard: int, acked: Mapping[Place, Iterable[int]]) -> bool:
        """True where one of these acknowledged offsets is not above the last one recorded for its partition."""
        last = self._last.get(shard, {})
        return any(min(offsets) <= last.get(place, -1) for place, offsets in acked.items())

    async def note(self, tx: Transaction, shard: int, acked: Mapping[Place, Iterable[int]]) -> None:
        """Record the highest acknowledged offset of each partition."""
        if not acked:
            return
        rows = [
            {
                "shard": shard,
                "topic": topic,
                "partition": partition,
                "last_offset": max(offsets),
                "checked_offset": -1,
                "checked_at": tx.now,
                "consumed_until": tx.now,
            }
            for (topic, partition), offsets in acked.items()
        ]
        statement = tx.insert(outbox_partition)
        key = [_fact.shard, _fact.topic, _fact.partition]
        newer = {"last_offset": statement.excluded.last_offset}
        await tx.execute(statement.on_conflict_do_update(index_elements=key, set_=newer), rows)

    def noted(self, shard: int, acked: Mapping[Place, Iterable[int]]) -> None:
        """What `note` wrote is committed."""
        self._last.setdefault(shard, {}).update({place: max(offsets) for place, offsets in acked.items()})

    async def window(self, tx: Transaction, shard: int) -> tuple[int, int]:
        """Ids (after, until) of the rows to publish again."""
        oldest = (await tx.execute(select(func.min(_fact.consumed_until)).where(_fact.shard == shard))).scalar()
        since = min(tx.now - REPUBLISH_WINDOW, oldest or tx.now) - CLOCK_MARGIN
        until = (await tx.execute(select(func.max(outbox.c.id)))).scalar() or 0
        return await _last_id_before(tx, since), until

    async def forget(self, tx: Transaction, shard: int) -> None:
        """Drop the facts about the old log."""
        await tx.execute(delete(outbox_partition).where(_fact.shard == shard))

    def forgotten(self, shard: int) -> None:
        """What `forget` did is committed."""
        self._last[shard] = {}
        self._looked_at.pop(shard, None)

    async def _note_reading(self, shard: int, topics: Iterable[str]) -> None:
        """Move consumed_until on where every group has read past the last checkpoint, and set a new checkpoint."""
        committed: dict[Place, int] = {}
        for topic in topics:
            groups = [f"{consumer}.{topic}" for consumer in CATALOGUE[topic].consumers]
            read = [await self._inspector.committed(group, topic) for group in groups]
            for partition in set().union(*read):
                committed[topic, partition] = min(offsets.get(partition, 0) for offsets in read)
        moved = []
        async with self._db.read() as tx:
            facts = (await tx.execute(select(outbox_partition).where(_fact.shard == shard))).all()
            now = tx.now
        for fact in facts:
            reached = committed.get((fact.topic, fact.partition), 0)
            if reached > fact.last_offset:
                moved.append(_checkpoint(fact, now, now))
            elif reached > fact.checked_offset:
                moved.append(_checkpoint(fact, fact.checked_at, now))
        if moved:
            async with self._db.begin() as tx:
                await tx.execute(_MOVE, moved)


def _checkpoint(fact: Any, consumed_until: datetime, now: datetime) -> dict[str, Any]:
    return {
        "of_shard": fact.shard,
        "of_topic": fact.topic,
        "of_partition": fact.partition,
        "new_offset": fact.last_offset,
        "new_at": now,
        "new_until": consumed_until,
    }


_MOVE = (
    update(outbox_partition)
    .where(_fact.shard == bindparam("of_shard"), _fact.topic == bindparam("of_topic"))
    .where(_fact.partition == bindparam("of_partition"))
    .values(
        checked_offset=bindparam("new_offset"),
        checked_at=bindparam("new_at", type_=UtcDateTime()),
        consumed_until=bindparam("new_until", type_=UtcDateTime()),
    )
)


async def _last_id_before(tx: Transaction, moment: datetime) -> int:
    """Largest id of a row created before `moment`, roughly, by halving; an index on the time would serve only this."""
    low = ((await tx.execute(select(func.min(outbox.c.id)))).scalar() or 1) - 1
    high = (await tx.execute(select(func.max(outbox.c.id)))).scalar() or 0
    while low < high:
        middle = (low + high + 1) // 2
        statement = select(outbox.c.id, outbox.c.created_at).where(outbox.c.id <= middle)
        row = (await tx.execute(statement.order_by(outbox.c.id.desc()).limit(1))).first()
        if row is None or row.created_at < moment:
            low = middle
        else:
            high = row.id - 1
    return low
