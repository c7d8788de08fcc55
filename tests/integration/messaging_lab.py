"""A toy service for the tests of messaging: one table of effects, a broker, a database, and eyes on all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import Column, Integer, MetaData, String, Table, func, select

from fenliu.chassis.db import Database, Transaction
from fenliu.chassis.messaging.consumer import Consumer, ConsumerOptions, Subscription
from fenliu.chassis.messaging.deadletter import DeadLetter, list_dead_letters
from fenliu.chassis.messaging.embedded import EmbeddedBroker
from fenliu.chassis.messaging.envelope import Envelope, Record, event_id_of, to_headers
from fenliu.chassis.messaging.kafka import Ack, Inspector, KafkaOptions, Outbound, Producer, ensure_topics, read_range
from fenliu.chassis.messaging.outbox import Outbox
from fenliu.chassis.messaging.tables import messaging_tables
from fenliu.contracts.events import TicketMessageAdded, TicketReceived
from fenliu.contracts.topics import CATALOGUE, TICKET_INBOUND, Topic
from tests.backends import ApacheKafka, Postgres

metadata = MetaData()
effects = Table(
    "effects",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ticket_id", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("sequence", Integer, nullable=False),
)
messaging_tables(metadata)

QUICK = ConsumerOptions(
    poll_s=0.05, backoff_s=0.02, max_backoff_s=0.2, watch_s=0.2, stall_s=1.0, dead_after_s=3.0, max_dead_in_row=50
)


def quick(bootstrap: str) -> KafkaOptions:
    """Options whose time-outs suit tests; the order between them is that of production."""
    return KafkaOptions(
        bootstrap,
        start_timeout_s=5.0,
        send_timeout_s=3.0,
        stop_timeout_s=2.0,
        request_timeout_s=8.0,
        rebalance_timeout_s=6.0,
        session_timeout_s=6.0,
        heartbeat_s=0.5,
        metadata_max_age_s=1.0,
    )


async def eventually(check: Callable[[], Awaitable[Any]], what: str, *, within_s: float = 20.0) -> Any:
    """Poll until `check` gives something true; its last value is the failure's text."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        value = await check()
        if value:
            return value
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not happen within {within_s} s: {value!r}"
        await asyncio.sleep(0.02)


def received(ticket: str, sequence: int = 1, tenant: str = "shop") -> TicketReceived:
    return TicketReceived(tenant_id=tenant, ticket_id=ticket, sequence=sequence, text="where is my parcel")


def added(ticket: str, sequence: int, tenant: str = "shop") -> TicketMessageAdded:
    return TicketMessageAdded(tenant_id=tenant, ticket_id=ticket, sequence=sequence)


def record_of(event: Any, topic: Topic = TICKET_INBOUND, *, event_id: str | None = None) -> Outbound:
    name = event.DESCRIPTOR.name
    sequence = getattr(event, "sequence", 1)
    key = event.ticket_id
    envelope = Envelope(
        event_id=event_id or event_id_of("intake", name, key, sequence),
        event_type=name,
        source="intake",
        tenant_id=event.tenant_id,
        key=key,
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Outbound(topic.name, key.encode(), event.SerializeToString(), to_headers(envelope))


def broken(record: Outbound, value: bytes = b"\xff\xff\xff") -> Outbound:
    return replace(record, value=value)


async def note(tx: Transaction, events: Sequence[Any]) -> None:
    """The toy's handler: one row per event handled."""
    rows = [{"ticket_id": e.ticket_id, "kind": e.DESCRIPTOR.name, "sequence": e.sequence} for e in events]
    await tx.execute(tx.insert(effects), rows)


@dataclass
class Lab:
    """A database, and on a broker that may be shared a topic, groups and an outbox of names of its own."""

    db: Database
    kafka: KafkaOptions
    service: str
    topic: Topic

    @property
    def group(self) -> str:
        return f"{self.service}.{self.topic.name}"

    def subscribe(self, handlers: dict[Any, Any], **how: Any) -> Subscription:
        return Subscription(self.topic, handlers, **how)

    def consumer(self, subscription: Subscription | None = None, *, options: ConsumerOptions = QUICK) -> Consumer:
        chosen = subscription or self.subscribe({TicketReceived: note, TicketMessageAdded: note})
        return Consumer(self.service, chosen, kafka=self.kafka, db=self.db, options=options)

    async def publish(self, *records: Outbound) -> list[Ack]:
        producer = Producer(self.kafka)
        try:
            return await producer.send([replace(record, topic=self.topic.name) for record in records])
        finally:
            await producer.close()

    async def emit(self, *events: Any) -> None:
        """Through the outbox, one transaction."""
        async with self.db.begin() as tx:
            for event in events:
                tx.emit(event, key=event.ticket_id, sequence=event.sequence)

    async def effects(self) -> list[tuple[str, str, int]]:
        async with self.db.read() as tx:
            rows = (await tx.execute(select(effects).order_by(effects.c.id))).all()
        return [(row.ticket_id, row.kind, row.sequence) for row in rows]

    async def count(self, table: Table, *where: Any) -> int:
        async with self.db.read() as tx:
            return int((await tx.execute(select(func.count()).select_from(table).where(*where))).scalar_one())

    async def records(self, topic: str) -> list[Record]:
        """This lab's records in a topic, in order per partition; read without a group."""
        inspector = Inspector(self.kafka)
        try:
            ends, begins = await inspector.end_offsets([topic]), await inspector.begin_offsets([topic])
        finally:
            await inspector.close()
        found: list[Record] = []
        for (_, partition), end in sorted(ends.items()):
            start = begins[topic, partition]
            found += await read_range(self.kafka, topic, partition, start, end) if end > start else []
        return [record for record in found if ("ce_source", self.service.encode()) in record.headers]

    async def dead(self, group: str | None = None) -> list[DeadLetter]:
        letters = await list_dead_letters(self.kafka, self.topic.dead_letter, limit=1000)
        return [letter for letter in letters if letter.group == (group or self.group)]

    async def committed(self) -> int:
        """Sum of the group's committed offsets."""
        inspector = Inspector(self.kafka)
        try:
            return sum((await inspector.committed(self.group, self.topic.name)).values())
        finally:
            await inspector.close()

    async def ends(self) -> int:
        inspector = Inspector(self.kafka)
        try:
            return sum((await inspector.end_offsets([self.topic.name])).values())
        finally:
            await inspector.close()

    async def caught_up(self) -> None:
        """Wait until the group has committed everything that is in the topic."""

        async def behind() -> bool:
            return await self.committed() == await self.ends()

        await eventually(behind, "the group reading everything")

    async def rewind(self) -> None:
        """Forget the committed offsets, as if the process had died after its transactions but before committing them."""
        await rewind(self.kafka, self.group, self.topic)


async def rewind(kafka: KafkaOptions, group: str, topic: Topic) -> None:
    """Commit offset 0 for a group without members."""
    member = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=group, enable_auto_commit=False)
    await member.start()
    places = {TopicPartition(topic.name, partition): 0 for partition in range(topic.partitions)}
    try:
        member.assign(list(places))
        await member.commit(places)
    finally:
        await member.stop()


@asynccontextmanager
async def running(*loops: Any) -> AsyncIterator[asyncio.Event]:
    """Run loops (consumers, relays) for the length of a block; fails with whatever they raise."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for loop in loops:
            tasks.create_task(loop.run(stop))
        try:
            yield stop
        finally:
            stop.set()


@asynccontextmanager
async def lab_on(database_url: str, bootstrap: str) -> AsyncIterator[Lab]:
    """A lab with fresh tables and an empty set of catalogue topics."""
    service = f"toy-{uuid.uuid4().hex[:8]}"
    db = Database(database_url, outbox=Outbox(service))
    async with db._writer.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    try:
        topic = replace(TICKET_INBOUND, name=f"inbound-{service}", dead_letter=f"inbound-{service}-dlq")
        lab = Lab(db, quick(bootstrap), service, topic)
        await ensure_topics(lab.kafka, [topic, *CATALOGUE.values()])
        yield lab
    finally:
        await db.close()


@pytest.fixture(
    params=[
        "embedded-sqlite",
        pytest.param("kafka-postgres", marks=[pytest.mark.kafka, pytest.mark.postgres]),
    ]
)
async def lab(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lab]:
    """The lab on the embedded broker with SQLite, and on Apache Kafka with PostgreSQL."""
    if request.param == "embedded-sqlite":
        async with (
            EmbeddedBroker() as broker,
            lab_on(f"sqlite+aiosqlite:///{tmp_path}/lab.db", broker.bootstrap) as made,
        ):
            yield made
        return
    kafka: ApacheKafka = request.getfixturevalue("apache_kafka")
    postgres: Postgres = request.getfixturevalue("postgres")
    name = f"lab_{uuid.uuid4().hex[:8]}"
    postgres.create_database(name)
    try:
        async with lab_on(postgres.url(name), kafka.bootstrap) as made:
            yield made
    finally:
        postgres.drop_database(name)
