"""Laws that every subscription of every service obeys (style 10.3). Subscriptions come from each service's main.build.

The events are the golden samples of the contracts, so a new event is under these laws as soon as it has its sample.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from sqlalchemy import inspect, text

from fenliu.chassis.messaging.consumer import Consumer, Subscription
from fenliu.chassis.messaging.deadletter import DeadLetter, list_dead_letters
from fenliu.chassis.messaging.decode import Decoder, Undecodable
from fenliu.chassis.messaging.embedded import EmbeddedBroker
from fenliu.chassis.messaging.envelope import Envelope, Record, event_id_of, to_headers
from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions, Outbound, Producer, read_range
from fenliu.chassis.messaging.metrics import records_total
from fenliu.chassis.migrations import folder_of, upgrade_database
from fenliu.chassis.service import Service
from fenliu.contracts.events import EVENT_TYPES
from fenliu.contracts.topics import CATALOGUE, Topic
from tests.backends import Postgres
from tests.integration.messaging_lab import QUICK, eventually, quick, rewind, running

GOLDEN = Path(__file__).parent.parent / "contract" / "golden"
KEY_FIELDS = ("ticket_id", "order_id", "parcel_id", "agent_id")
SUBSCRIPTIONS = [(service, topic.name) for topic in CATALOGUE.values() for service in topic.consumers]
WITH_GAPS = {"last_sequence"}
"""Columns that reserve numbers, some of which are never used; a repeat may reserve more."""
SQLITE = [pytest.param(*pair, "sqlite", id="-".join(pair)) for pair in SUBSCRIPTIONS]
POSTGRES = [
    pytest.param(*pair, "postgres", id="-".join(pair) + "-postgres", marks=pytest.mark.postgres)
    for pair in SUBSCRIPTIONS
    if pair[0] != "classifier"
]


@dataclass
class Bench:
    """One subscription of a real service on a broker of its own."""

    service: Service
    subscription: Subscription
    kafka: KafkaOptions

    @property
    def topic(self) -> Topic:
        return self.subscription.topic

    @property
    def group(self) -> str:
        return f"{self.service.name}.{self.topic.name}"

    def consumer(self, **changes: Any) -> Consumer:
        subscription = replace(self.subscription, **changes)
        return Consumer(self.service.name, subscription, kafka=self.kafka, db=self.service.db, options=QUICK)

    def records(self, copies: int = 1) -> list[Outbound]:
        """Every golden sample of the types that this subscription handles; each copy is about another thing."""
        return [
            self.record(sample, f"law-{copy}")
            for copy in range(copies)
            for sample in samples(self.topic)
            if sample.DESCRIPTOR.name in self.subscription.wanted()
        ]

    def record(self, sample: Message, about: str) -> Outbound:
        event = type(sample)()
        event.CopyFrom(sample)
        key_field = next(field for field in KEY_FIELDS if field in event.DESCRIPTOR.fields_by_name)
        key = f"{getattr(sample, key_field)}-{about}"
        setattr(event, key_field, key)
        envelope = Envelope(
            event_id=event_id_of("law", event.DESCRIPTOR.name, key, getattr(event, "sequence", 1)),
            event_type=event.DESCRIPTOR.name,
            source=self.topic.producers[0],
            tenant_id=event.tenant_id,  # type: ignore[attr-defined] # every event has it
            key=key,
            occurred_at=datetime(2026, 11, 1, tzinfo=UTC),
        )
        return Outbound(self.topic.name, key.encode(), event.SerializeToString(), to_headers(envelope))

    async def publish(self, records: list[Outbound]) -> None:
        await self._arrange(records)
        producer = Producer(self.kafka)
        try:
            await producer.send(records)
        finally:
            await producer.close()

    async def _arrange(self, records: list[Outbound]) -> None:
        """What must exist before: intake takes a status for its own tickets only."""
        if self.group == "intake.ticket-status" and self.service.db is not None:
            table = import_module("services.intake.tables").tickets
            async with self.service.db.begin() as tx:
                rows = [
                    {
                        "tenant_id": event.tenant_id,
                        "ticket_id": event.ticket_id,
                        "customer_id": "c",
                        "received_at": tx.now,
                    }
                    for event in self._decoded(records)
                ]
                await tx.execute(tx.insert(table).on_conflict_do_nothing(), [_filled(table, row) for row in rows])

    def _decoded(self, records: list[Outbound]) -> list[Any]:
        decoder = Decoder(self.topic, self.subscription.wanted())
        found = []
        for r in records:
            with contextlib.suppress(Undecodable):
                found.append(decoder.decode(Record(r.topic, 0, 0, r.key, r.value, tuple(r.headers), 0)))
        return [received.event for received in found if received is not None]

    async def caught_up(self) -> None:
        """Wait until the group has committed everything."""
        inspector = Inspector(self.kafka)

        async def done() -> bool:
            ends = sum((await inspector.end_offsets([self.topic.name])).values())
            return sum((await inspector.committed(self.group, self.topic.name)).values()) == ends

        try:
            await eventually(done, f"{self.group} reading everything")
        finally:
            await inspector.close()

    async def effect(self) -> Any:
        """What the service made of the events: its tables, or for a service without any, its answers by event id."""
        return await self._tables() if self.service.db is not None else await self._answers()

    async def _tables(self) -> dict[str, list[str]]:
        db = self.service.db
        assert db is not None
        async with db._reader.connect() as connection:
            names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
            kept = sorted(set(names) - {"inbox", "outbox_lease", "outbox_partition", "schema_version"})
            found = {}
            for name in kept:
                rows = (await connection.execute(text(f'SELECT * FROM "{name}"'))).mappings().all()
                found[name] = sorted(repr({k: v for k, v in row.items() if k not in WITH_GAPS}) for row in rows)
            return found

    async def _answers(self) -> dict[str, bytes | None]:
        records: list[Record] = []
        inspector = Inspector(self.kafka)
        try:
            ends = await inspector.end_offsets(["ticket-classified"])
        finally:
            await inspector.close()
        for (topic, partition), end in ends.items():
            records += await read_range(self.kafka, topic, partition, 0, end) if end else []
        return {dict(record.headers)["ce_id"].decode(): record.key for record in records}

    async def dead(self) -> list[DeadLetter]:
        return await list_dead_letters(self.kafka, self.topic.dead_letter)


def _filled(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    """A row with something in every column that must not be null."""
    needed = [c for c in table.columns if not c.nullable and c.server_default is None and c.name not in row]
    return row | {c.name: "x" if c.type.python_type is str else 0 for c in needed}


def samples(topic: Topic) -> list[Message]:
    """The golden samples of a topic."""
    files = sorted((GOLDEN / topic.name).glob("*.binpb"))
    return [EVENT_TYPES[file.name.split("-")[0]].FromString(file.read_bytes()) for file in files]


@asynccontextmanager
async def bench(service: str, topic: str, url: str) -> AsyncIterator[Bench]:
    """Build a service as its process does, with a fresh database, and take one of its subscriptions."""
    if service != "classifier":
        await upgrade_database(url, folder_of(service))
    settings_module, name = import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings"
    async with EmbeddedBroker() as broker:
        settings = getattr(settings_module, name)(
            database_url=url if service != "classifier" else "",
            kafka_bootstrap=broker.bootstrap,
            token_key="k" * 32,
            status_key="s" * 32,
        )
        built: Service = import_module(f"services.{service}.main").build(settings)
        [subscription] = [s for s in built.subscriptions if s.topic.name == topic]
        try:
            yield Bench(built, subscription, quick(broker.bootstrap))
        finally:
            if built.db is not None:
                await built.db.close()


@pytest.fixture
async def under_law(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    service, topic, database = request.param
    if database == "sqlite":
        async with bench(service, topic, f"sqlite+aiosqlite:///{tmp_path}/{service}.db") as made:
            yield made
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    name = f"law_{uuid4().hex[:8]}"
    postgres.create_database(name)
    try:
        async with bench(service, topic, postgres.url(name)) as made:
            yield made
    finally:
        postgres.drop_database(name)


def over(cases: list[Any]) -> pytest.MarkDecorator:
    params = [pytest.param(tuple(case.values), id=case.id, marks=case.marks) for case in cases]
    return pytest.mark.parametrize("under_law", params, indirect=True)


@over(SQLITE + POSTGRES)
async def test_every_handler_duplicate_has_one_effect(under_law: Bench) -> None:
    records = under_law.records()
    assert records, "the topic has golden samples of the types that are handled"
    await under_law.publish(records)
    async with running(under_law.consumer()):
        await under_law.caught_up()
        once = await under_law.effect()
        await under_law.publish(records)
        await under_law.caught_up()
        assert await under_law.effect() == once
    assert await under_law.dead() == []


@over(SQLITE)
async def test_every_handler_poison_is_set_aside_and_the_next_record_handled(under_law: Bench) -> None:
    first, *_ = records = under_law.records()
    poison = [
        replace(first, value=b"\xff\xff\xff"),
        replace(first, value=None),
        replace(first, value=(first.value or b"")[:-1] + b"\xff\xff"),
    ]
    await under_law.publish([*poison, *records])
    async with running(under_law.consumer()):
        await under_law.caught_up()
    letters = await under_law.dead()
    assert sorted(letter.record.value or b"" for letter in letters) == sorted(record.value or b"" for record in poison)
    assert any((await under_law.effect()).values())


@over(SQLITE + POSTGRES)
async def test_every_handler_crash_between_commit_and_offset_has_one_effect(under_law: Bench) -> None:
    await under_law.publish(under_law.records(copies=3))
    async with running(under_law.consumer()):
        await under_law.caught_up()
    once = await under_law.effect()
    await rewind(under_law.kafka, under_law.group, under_law.topic)
    async with running(under_law.consumer()):
        await under_law.caught_up()
    assert await under_law.effect() == once


@over(SQLITE)
async def test_every_handler_tolerates_unknown_fields(under_law: Bench) -> None:
    newer = [replace(r, value=(r.value or b"") + b"\xf8\x7c\x01\xfa\x7c\x03abc") for r in under_law.records()]
    await under_law.publish(newer)
    async with running(under_law.consumer()):
        await under_law.caught_up()
    assert await under_law.dead() == []
    assert any((await under_law.effect()).values())


@over(SQLITE)
async def test_every_handler_stopped_in_the_middle_loses_nothing(under_law: Bench) -> None:
    records = under_law.records(copies=20)
    await under_law.publish(records)
    before = records_total.value(topic=under_law.topic.name, outcome="handled")
    for _ in range(2):
        consumer = under_law.consumer(max_records=3)
        async with running(consumer):
            await asyncio.wait_for(consumer.progressed.wait(), 20)
    async with running(under_law.consumer()):
        await under_law.caught_up()
    assert await under_law.dead() == []
    assert records_total.value(topic=under_law.topic.name, outcome="handled") - before >= len(records)
    mentioned = set(re.findall(r"law-(\d+)", repr(await under_law.effect())))
    assert mentioned == {str(copy) for copy in range(20)}
