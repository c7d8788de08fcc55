"""The relay's promises: nothing emitted is lost, order per key, one relay at a time, and a lost broker is refilled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from fenliu.chassis.db import Database
from fenliu.chassis.messaging.embedded import EmbeddedBroker
from fenliu.chassis.messaging.kafka import KafkaUnavailable
from fenliu.chassis.messaging.outbox import pending, purge_outbox
from fenliu.chassis.messaging.relay import OutboxRelay
from fenliu.chassis.messaging.tables import inbox, outbox, outbox_partition
from fenliu.contracts.events import TicketReceived
from tests.integration.messaging_lab import Lab, added, eventually, lab, lab_on, note, received, running

__all__ = ["lab"]  # the fixture

TOPIC = "ticket-inbound"


async def published(lab: Lab, count: int, *, within_s: float = 20.0) -> list[tuple[str, str]]:
    """(key, event id) of this lab's records in offset order, once there are `count` of them."""

    async def enough() -> Any:
        try:
            records = await lab.records(TOPIC)
        except KafkaUnavailable:
            return None
        return records if len(records) >= count else None

    records = await eventually(enough, f"{count} records", within_s=within_s)
    return [((r.key or b"").decode(), dict(r.headers)["ce_id"].decode()) for r in records]


async def nothing_pending(db: Database) -> None:
    async def done() -> bool:
        async with db.read() as tx:
            return (await pending(tx))[0] == 0

    await eventually(done, "everything being marked as published")


async def test_outbox_event_survives_crash_after_commit(lab: Lab) -> None:
    await lab.emit(received("t1"))  # the process dies here: no relay has seen it
    async with running(OutboxRelay(lab.db, lab.kafka)):
        [(key, _)] = await published(lab, 1)
    assert key == "t1"


async def test_outbox_event_of_a_rolled_back_transaction_is_never_published(lab: Lab) -> None:
    async def fails() -> None:
        async with lab.db.begin() as tx:
            tx.emit(received("t1"), key="t1", sequence=1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    await lab.emit(received("t2"))
    async with running(OutboxRelay(lab.db, lab.kafka)):
        assert [key for key, _ in await published(lab, 1)] == ["t2"]


async def test_relay_publishes_in_order_per_key_and_marks_where(lab: Lab) -> None:
    for n in range(1, 51):
        await lab.emit(*[added(f"t{k}", n) for k in range(8)])
    async with running(OutboxRelay(lab.db, lab.kafka, batch=37)):
        await published(lab, 400)
        await nothing_pending(lab.db)
    records = await lab.records(TOPIC)
    for k in range(8):
        mine = [r for r in records if r.key == f"t{k}".encode()]
        assert len({r.partition for r in mine}) == 1
        offsets = await _marked_offsets(lab, f"t{k}")
        assert [r.offset for r in sorted(mine, key=lambda r: r.offset)] == offsets == sorted(offsets)


async def _marked_offsets(lab: Lab, key: str) -> list[int]:
    async with lab.db.read() as tx:
        rows = await tx.execute(outbox.select().where(outbox.c.record_key == key).order_by(outbox.c.id))
        return [row.ack_offset for row in rows]


async def test_relay_row_that_commits_late_with_a_smaller_id_is_published(lab: Lab) -> None:
    if lab.db.dialect == "sqlite":
        pytest.skip("SQLite has one writer, so ids are committed in order")
    relay = OutboxRelay(lab.db, lab.kafka)
    async with running(relay):
        async with lab.db.begin() as slow:
            slow.emit(received("late"), key="late", sequence=1)
            assert lab.db.outbox is not None
            await lab.db.outbox.write(slow, slow._emitted)  # takes its ids now, commits later
            slow._emitted.clear()
            await lab.emit(received("early"))
            await published(lab, 1)
        assert sorted(key for key, _ in await published(lab, 2)) == ["early", "late"]


async def test_relay_killed_between_acknowledgement_and_mark_repeats_with_the_same_ids(lab: Lab) -> None:
    class Dying(OutboxRelay):
        async def _mark(self, *_: Any) -> None:
            raise asyncio.CancelledError  # as if the process were gone

    await lab.emit(*[received(f"t{n}") for n in range(5)])
    dying = Dying(lab.db, lab.kafka, lease_s=0.3)
    with pytest.raises(asyncio.CancelledError):
        await dying.run(asyncio.Event())
    async with running(OutboxRelay(lab.db, lab.kafka)):
        seen = await published(lab, 10)
    assert len(seen) == 10
    assert len(set(seen)) == 5


async def test_relay_second_one_waits_and_takes_over_when_the_first_is_gone(lab: Lab) -> None:
    first, second = OutboxRelay(lab.db, lab.kafka, lease_s=1.0), OutboxRelay(lab.db, lab.kafka, lease_s=1.0)
    stop = asyncio.Event()
    tasks = asyncio.create_task(first.run(stop))
    await lab.emit(received("t1"))
    await published(lab, 1)
    async with running(second):
        await lab.emit(received("t2"))
        await published(lab, 2)
        assert first._leases
        assert not second._leases
        tasks.cancel()  # dies without a word: no release
        first._leases.clear()
        await asyncio.gather(tasks, return_exceptions=True)
        await lab.emit(received("t3"))
        assert [key for key, _ in await published(lab, 3)].count("t3") == 1
        assert second._leases[0].fence == 2


async def test_relay_that_lost_its_lease_marks_nothing(lab: Lab) -> None:
    zombie = OutboxRelay(lab.db, lab.kafka, lease_s=60.0)
    lease = await zombie._hold(0)
    assert lease is not None
    await lab.emit(received("t1"))
    rows = await zombie._read(lease)
    async with lab.db.begin() as tx:  # somebody else takes over meanwhile
        await tx.execute(zombie._ours(lease).values(holder="other", fence=lease.fence + 1))
    assert await zombie._publish_shard(0) == 0
    assert len(rows) == 1
    async with lab.db.read() as tx:
        assert (await pending(tx))[0] == 1
    await zombie._producer.close()
    await zombie._loss.close()


def on_embedded(tmp_path: Path, broker: EmbeddedBroker) -> AbstractAsyncContextManager[Lab]:
    return lab_on(f"sqlite+aiosqlite:///{tmp_path}/lab.db", broker.bootstrap)


@pytest.mark.allows_errors
async def test_relay_broker_down_then_up_publishes_everything_in_order(tmp_path: Path) -> None:
    async with (
        EmbeddedBroker() as broker,
        on_embedded(tmp_path, broker) as lab,
        running(OutboxRelay(lab.db, lab.kafka)),
    ):
        await lab.emit(added("t1", 1))
        await published(lab, 1)
        await broker.stop()
        for n in range(2, 30):
            await lab.emit(added("t1", n))
        await broker.start()
        await published(lab, 29, within_s=40)
        await nothing_pending(lab.db)
        offsets = await _marked_offsets(lab, "t1")
        assert offsets == sorted(offsets)


@pytest.mark.allows_errors
async def test_relay_broker_replaced_by_empty_one_publishes_again(tmp_path: Path) -> None:
    async with EmbeddedBroker() as broker, on_embedded(tmp_path, broker) as lab:
        async with running(OutboxRelay(lab.db, lab.kafka, check_s=0.5)):
            for n in range(1, 41):
                await lab.emit(added("t1", n), added("t2", n))
            before = await published(lab, 80)
            await nothing_pending(lab.db)
            await broker.stop()
            await lab.emit(added("t1", 41))
            await broker.start()  # empty
            after = await published(lab, 81, within_s=40)
        keys = [event_id for key, event_id in after if key == "t1"]
        assert list(dict.fromkeys(keys))[:-1] == [event_id for key, event_id in before if key == "t1"]


@pytest.mark.allows_errors
async def test_relay_broker_replaced_while_nobody_ran_publishes_again(tmp_path: Path) -> None:
    async with EmbeddedBroker() as broker, on_embedded(tmp_path, broker) as lab:
        async with running(OutboxRelay(lab.db, lab.kafka)):
            await lab.emit(*[received(f"t{n}") for n in range(30)])
            await published(lab, 30)
            await nothing_pending(lab.db)
        await broker.stop()
        await broker.start()  # empty
        async with running(OutboxRelay(lab.db, lab.kafka)):  # nothing new is emitted: the look on connect decides
            assert len(set(await published(lab, 30, within_s=40))) == 30


@pytest.mark.allows_errors
async def test_relay_republishes_everything_that_a_lagging_group_had_not_read(tmp_path: Path) -> None:
    """The window is an hour, or longer where a consumer was further behind than that."""
    async with EmbeddedBroker() as broker, on_embedded(tmp_path, broker) as lab:
        async with running(OutboxRelay(lab.db, lab.kafka)):
            await lab.emit(*[received(f"old{n}") for n in range(10)])
            await nothing_pending(lab.db)
        async with lab.db.begin() as tx:  # that was five hours ago, and no group has read anything since
            long_ago = tx.now - timedelta(hours=5)
            await tx.execute(update(outbox).values(created_at=long_ago, published_at=long_ago))
            await tx.execute(update(outbox_partition).values(checked_at=long_ago, consumed_until=long_ago))
        await broker.stop()
        await broker.start()  # empty
        async with running(OutboxRelay(lab.db, lab.kafka)):
            assert len(set(await published(lab, 10, within_s=40))) == 10


@pytest.mark.allows_errors
async def test_consumer_and_relay_broker_replaced_by_empty_one_lose_nothing(tmp_path: Path) -> None:
    handled: list[str] = []

    async def on_received(tx: Any, events: Sequence[Any]) -> None:
        handled.extend(event.ticket_id for event in events)
        await note(tx, events)

    async with EmbeddedBroker() as broker, on_embedded(tmp_path, broker) as lab:
        from fenliu.chassis.messaging.consumer import Consumer, Subscription
        from fenliu.contracts.topics import TICKET_INBOUND
        from tests.integration.messaging_lab import QUICK

        consumer = Consumer(
            lab.service,
            Subscription(TICKET_INBOUND, {TicketReceived: on_received}),
            kafka=lab.kafka,
            db=lab.db,
            options=QUICK,
        )
        async with running(OutboxRelay(lab.db, lab.kafka, check_s=0.5), consumer):
            for n in range(50):
                await lab.emit(received(f"t{n}"))
            await broker.stop()
            for n in range(50, 100):
                await lab.emit(received(f"t{n}"))
            await broker.start()

            async def all_handled() -> bool:
                return len(set(handled)) == 100

            await eventually(all_handled, "100 tickets handled", within_s=50)
        effects = [ticket for ticket, _, _ in await lab.effects()]
        assert sorted(effects) == sorted(f"t{n}" for n in range(100))


async def test_purge_deletes_old_published_rows_and_keeps_pending_ones(lab: Lab) -> None:
    await lab.emit(received("old-published"), received("old-pending"))
    await lab.emit(received("new"))
    async with lab.db.begin() as tx:
        old = outbox.c.record_key.in_(["old-published", "old-pending"])
        await tx.execute(update(outbox).where(old).values(created_at=tx.now - timedelta(days=8)))
        await tx.execute(update(outbox).where(outbox.c.record_key == "old-published").values(published_at=tx.now))
    async with lab.db.begin() as tx:
        assert await purge_outbox(tx) == 1
    assert await lab.count(outbox) == 2
    assert await lab.count(inbox) == 0
