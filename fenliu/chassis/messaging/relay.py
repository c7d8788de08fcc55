"""The relay: publishes what the outbox holds, in order per key, and marks what the broker acknowledged.

One relay is active per shard, by a lease row with a fence. It reads rows by their state, because ids commit out of
order: a cursor would skip rows for ever. Per key that order is right all the same, since whoever emits holds the lock
of what the key identifies. A batch stops at its first failure per partition; a crash between acknowledgement and mark
publishes a row twice, which the inboxes drop.

loss.py decides when the broker's log was replaced; then rows go out again, in outbox order and before anything new.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, case, select, text, update

from fenliu.chassis.db import Database, Transaction, UtcDateTime
from fenliu.chassis.messaging import metrics
from fenliu.chassis.messaging.crash import crash_point
from fenliu.chassis.messaging.envelope import unpack_headers
from fenliu.chassis.messaging.inbox import purge_inbox
from fenliu.chassis.messaging.kafka import Ack, KafkaOptions, Outbound, Producer
from fenliu.chassis.messaging.loss import LossDetector, Place
from fenliu.chassis.messaging.outbox import Outbox, pending, purge_outbox
from fenliu.chassis.messaging.tables import database_seconds, outbox, outbox_lease
from fenliu.chassis.observability import get_logger
from fenliu.chassis.worker import Loop

log = get_logger(__name__)

POLL_S = 0.2
REST_S = 0.1

_COLUMNS = (outbox.c.id, outbox.c.topic, outbox.c.record_key, outbox.c.headers, outbox.c.value, outbox.c.published_at)
_NOW = bindparam("now", type_=UtcDateTime())


class LeaseLost(Exception):
    """Another relay took this shard over; what this one was about to note is void."""


@dataclass(slots=True)
class Lease:
    """What this relay holds of one shard. renewed_at: monotonic seconds. republish: (after, until) ids, or None."""

    shard: int
    fence: int
    renewed_at: float
    republish: tuple[int, int] | None = None


class OutboxRelay(Loop):
    """Publishes the outbox of `db`, whose writer is an `Outbox`.

    batch      most rows in one round.
    lease_s    a relay that is silent for so long is replaced, seconds on the database's clock.
    check_s    time between two looks at the broker's log for signs that it was replaced.
    Woken by every commit that emitted something; looks every 200 ms in any case.
    """

    def __init__(
        self,
        db: Database,
        kafka: KafkaOptions,
        *,
        batch: int = 500,
        lease_s: float = 5.0,
        check_s: float = 10.0,
        name: str = "relay",
    ) -> None:
        super().__init__(name, self._publish_all, every_s=POLL_S, rest_s=REST_S)
        writer = db.outbox
        if not isinstance(writer, Outbox):
            raise TypeError("the database's outbox must be an Outbox")
        writer.on_commit = self.wake
        self._db = db
        self._shards = writer.shards
        self._producer = Producer(kafka, f"{writer.service}.relay")
        self._loss = LossDetector(db, kafka, check_s=check_s)
        self._batch = batch
        self._lease_s = lease_s
        self._holder = f"{socket.gethostname()[:24]}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._leases: dict[int, Lease] = {}
        self._connected_as = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until stopped, then hand the shards over at once."""
        try:
            await super().run(stop)
        finally:
            await self._producer.close()
            await self._loss.close()
            await self._release()

    async def _publish_all(self) -> int:
        return sum([await self._publish_shard(shard) for shard in range(self._shards)])

    async def _publish_shard(self, shard: int) -> int:
        """One round for one shard. Returns how many rows were published."""
        lease = await self._hold(shard)
        if lease is None:
            return 0
        try:
            if not await self._log_is_intact(lease):
                return 0
            rows = await self._read(lease)
            crash_point("relay_read")
            if not rows:
                return await self._end_of_republishing(lease)
            return await self._publish(lease, rows)
        except LeaseLost:
            log.warning("relay_lease_lost", shard=shard)
            self._leases.pop(shard, None)
            return 0

    async def _log_is_intact(self, lease: Lease) -> bool:
        """False where Kafka is away, or where its log was replaced and republishing has just been decided."""
        generation = self._producer.generation
        if self._loss.is_due(lease.shard) or generation != self._connected_as or generation == 0:
            await self._producer.connect()
            self._connected_as = self._producer.generation
            if await self._loss.look(lease.shard):
                await self._republish(lease)
                return False
        return True

    async def _read(self, lease: Lease) -> Sequence[Any]:
        statement = select(*_COLUMNS).where(outbox.c.shard == lease.shard).order_by(outbox.c.id).limit(self._batch)
        if lease.republish is None:
            statement = statement.where(outbox.c.published_at.is_(None))
        else:
            statement = statement.where(outbox.c.id > lease.republish[0], outbox.c.id <= lease.republish[1])
        async with self._db.read() as tx:
            return (await tx.execute(statement)).all()

    async def _publish(self, lease: Lease, rows: Sequence[Any]) -> int:
        records = [Outbound(row.topic, row.record_key.encode(), row.value, unpack_headers(row.headers)) for row in rows]
        sent = await self._producer.send_batch(records)
        crash_point("relay_acknowledged")
        acked = [(row, ack) for row, ack in zip(rows, sent.acks, strict=True) if ack is not None]
        places: dict[Place, list[int]] = {}
        for row, ack in acked:
            places.setdefault((row.topic, ack.partition), []).append(ack.offset)
        if acked and self._loss.shows_loss(lease.shard, places):
            await self._republish(lease)
            return 0
        complete = sent.error is None
        advance = rows[-1].id if complete else None
        await self._mark(lease, [(row.id, ack) for row, ack in acked], places, advance)
        crash_point("relay_marked")
        if lease.republish is not None:
            metrics.republished_total.inc(sum(1 for row, _ in acked if row.published_at is not None))
        metrics.published_total.inc(len(acked))
        if sent.error is not None:
            metrics.relay_failures_total.inc()
            raise sent.error
        return len(acked)

    async def _mark(
        self, lease: Lease, acked: Sequence[tuple[int, Ack]], places: dict[Place, list[int]], advance: int | None
    ) -> None:
        """Note the acknowledgements in one transaction, if the lease is still ours. Raises LeaseLost."""
        async with self._db.begin() as tx:
            await self._renew(tx, lease, advance)
            if acked:
                # Integers only, so they stand in the text: one statement of one round trip, the same on both databases.
                values = ", ".join(f"({row_id}, {ack.partition}, {ack.offset})" for row_id, ack in acked)
                await tx.execute(
                    text(
                        "UPDATE outbox SET published_at = :now, ack_partition = v.column2, ack_offset = v.column3 "  # noqa: S608
                        f"FROM (VALUES {values}) AS v WHERE outbox.id = v.column1"
                    ).bindparams(_NOW),
                    {"now": tx.now},
                )
            await self._loss.note(tx, lease.shard, places)
        if lease.republish is not None and advance is not None:
            lease.republish = (advance, lease.republish[1])
        self._loss.noted(lease.shard, places)

    async def _renew(self, tx: Transaction, lease: Lease, advance: int | None) -> None:
        values: dict[str, Any] = {"expires_s": database_seconds() + self._lease_s}
        if lease.republish is not None and advance is not None:
            values["republish_after"] = advance
        started = time.monotonic()
        if (await tx.execute(self._ours(lease).values(**values))).rowcount != 1:
            raise LeaseLost
        lease.renewed_at = started

    def _ours(self, lease: Lease) -> Any:
        mine = (outbox_lease.c.holder == self._holder, outbox_lease.c.fence == lease.fence)
        return update(outbox_lease).where(outbox_lease.c.shard == lease.shard, *mine)

    async def _republish(self, lease: Lease) -> None:
        """Begin to publish the window again; what is recorded of the old log is forgotten in the same transaction."""
        async with self._db.begin() as tx:
            window = await self._loss.window(tx, lease.shard)
            values = {"republish_after": window[0], "republish_until": window[1]}
            if (await tx.execute(self._ours(lease).values(**values))).rowcount != 1:
                raise LeaseLost
            await self._loss.forget(tx, lease.shard)
        self._loss.forgotten(lease.shard)
        lease.republish = window
        metrics.losses_total.inc()
        log.error("broker_log_replaced", shard=lease.shard, rows_at_most=window[1] - window[0])

    async def _end_of_republishing(self, lease: Lease) -> int:
        if lease.republish is None:
            return 0
        async with self._db.begin() as tx:
            values = {"republish_after": None, "republish_until": None}
            if (await tx.execute(self._ours(lease).values(**values))).rowcount != 1:
                raise LeaseLost
        lease.republish = None
        log.info("republishing_finished", shard=lease.shard)
        return 1  # so that the next round starts at once

    async def _hold(self, shard: int) -> Lease | None:
        """The lease of a shard, renewed when a third of it is over; None while another relay has it."""
        lease = self._leases.get(shard)
        if lease is not None and time.monotonic() - lease.renewed_at < self._lease_s / 3:
            return lease
        async with self._db.read() as tx:
            held = await self._lease_row(tx, shard)
        if held is not None and held.holder != self._holder and not held.expired:
            self._leases.pop(shard, None)
            return None
        async with self._db.begin() as tx:
            lease = await self._take(tx, shard)
        known = self._leases.get(shard)
        if lease is not None and (known is None or known.fence != lease.fence):
            await self._loss.load(shard)
            log.info("relay_lease_taken", shard=shard, fence=lease.fence)
        if lease is None:
            self._leases.pop(shard, None)
        else:
            self._leases[shard] = lease
        return lease

    async def _lease_row(self, tx: Transaction, shard: int) -> Any:
        expired = (outbox_lease.c.expires_s < database_seconds()).label("expired")
        statement = select(outbox_lease.c.holder, expired).where(outbox_lease.c.shard == shard)
        return (await tx.execute(statement)).first()

    async def _take(self, tx: Transaction, shard: int) -> Lease | None:
        """Renew our lease, or take one that is free or expired; whoever changes the row wins, by its lock."""
        started = time.monotonic()
        until = database_seconds() + self._lease_s
        row = {"shard": shard, "holder": "", "fence": 0, "expires_s": 0.0}
        await tx.execute(tx.insert(outbox_lease).on_conflict_do_nothing(), row)
        c = outbox_lease.c
        ours = c.holder == self._holder
        statement = (
            update(outbox_lease)
            .where(c.shard == shard, ours | (c.expires_s < database_seconds()))
            .values(holder=self._holder, fence=case((ours, c.fence), else_=c.fence + 1), expires_s=until)
            .returning(c.fence, c.republish_after, c.republish_until)
        )
        taken = (await tx.execute(statement)).first()
        if taken is None:
            return None
        until_id = taken.republish_until
        return Lease(shard, taken.fence, started, None if until_id is None else (taken.republish_after, until_id))

    async def _release(self) -> None:
        if not self._leases:
            return
        async with self._db.begin() as tx:
            for lease in self._leases.values():
                await tx.execute(self._ours(lease).values(expires_s=0.0))
        self._leases.clear()


class Housekeeping(Loop):
    """Deletes old outbox and inbox rows in small batches, and measures what is pending. Times in seconds.

    It also has PostgreSQL take statistics of a young table whenever that has doubled. A prepared statement keeps its
    plan, and for a nearly empty table every index looks equally good: at 250 tickets/s look-ups took 3 ms by the wrong
    one, until autovacuum came by after a minute.
    """

    def __init__(self, db: Database, *, every_s: float = 2.0, purge_every_s: float = 60.0) -> None:
        super().__init__("housekeeping", self._round, every_s=every_s)
        self._db = db
        self._purge_every_s = purge_every_s
        self._purge_due = 0.0
        self._analysed: dict[str, int] = {}

    async def _round(self) -> int:
        async with self._db.read() as tx:
            count, oldest_s = await pending(tx)
        metrics.outbox_pending.set(count)
        metrics.outbox_oldest.set(oldest_s)
        if self._db.dialect == "postgresql":
            await self._analyse()
        if time.monotonic() < self._purge_due:
            return 0
        async with self._db.begin() as tx:
            deleted = await purge_outbox(tx)
        async with self._db.begin() as tx:
            deleted += await purge_inbox(tx)
        if not deleted:
            self._purge_due = time.monotonic() + self._purge_every_s
        return deleted

    async def _analyse(self) -> None:
        async with self._db.read() as tx:
            sizes = (await tx.execute(_YOUNG_TABLES)).all()
        for table, rows in sizes:
            if rows > 2 * self._analysed.get(table, 0):
                self._analysed[table] = rows
                async with self._db.begin() as tx:
                    await tx.execute(text(f'ANALYZE "{table}"'))


_YOUNG_TABLES = text(
    "SELECT relname, n_live_tup FROM pg_stat_user_tables"
    " WHERE schemaname = current_schema() AND n_live_tup BETWEEN 500 AND 1000000"
)
"""Below 500 rows plans do not matter; above a million a table no longer doubles between two visits of autovacuum."""
