"""A broker under test, embedded or Apache Kafka, with clients for it. The fixture `bench` is in conftest.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    InvalidReplicationFactorError,
    TopicAlreadyExistsError,
)

from fenliu.chassis.messaging.embedded import EmbeddedBroker
from tests.backends import ApacheKafka

SESSION_MS = 2_000
WITHIN_S = 30.0


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, within_s: float = WITHIN_S) -> None:
    """Poll until `holds`; fail with `what` after `within_s`."""
    until = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < until, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.02)


@dataclass
class Bench:
    """A broker under test and clients for it, closed in the end."""

    bootstrap: str
    kind: str
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def topic(self, partitions: int = 1, **config: str) -> str:
        """A new topic whose partitions take records: Apache Kafka answers the creation before they do."""
        name = f"t-{uuid4().hex[:12]}"
        async with self.admin() as admin:
            await create(admin, name, partitions, **config)
        probe = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await probe.start()
        try:
            await probe.end_offsets([TopicPartition(name, number) for number in range(partitions)])
        finally:
            await probe.stop()
        return name

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def producer(self, **options: object) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, **({"acks": "all"} | options))
        await producer.start()
        self.closing.append(producer.stop)
        return producer

    async def consumer(self, *topics: str, group: str | None = None, **options: object) -> AIOKafkaConsumer:
        settings: dict[str, object] = {
            "group_id": group,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": SESSION_MS,
            "rebalance_timeout_ms": 5_000,
            "heartbeat_interval_ms": 200,
            "metadata_max_age_ms": 1_000,
            "fetch_max_wait_ms": 200,
        }
        consumer = AIOKafkaConsumer(*topics, bootstrap_servers=self.bootstrap, **(settings | options))
        await consumer.start()
        self.closing.append(consumer.stop)
        return consumer

    async def values(self, *topics: str, count: int) -> list[bytes]:
        """The first `count` values of the topics, read outside of any group."""
        return await take(await self.consumer(*topics), count)


async def create(admin: AIOKafkaAdminClient, name: str, partitions: int = 1, replicas: int = 1, **config: str) -> None:
    """Create one topic and raise what the broker refuses."""
    settings = {key.replace("_", "."): value for key, value in config.items()}
    answer = await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=settings)])
    for _, code, *_ in answer.topic_errors:
        if code == TopicAlreadyExistsError.errno:
            raise TopicAlreadyExistsError
        if code == InvalidReplicationFactorError.errno:
            raise InvalidReplicationFactorError
        assert code == 0, answer


async def take(consumer: AIOKafkaConsumer, count: int) -> list[bytes]:
    """The next `count` values of a consumer."""
    got: list[bytes] = []
    async with asyncio.timeout(WITHIN_S):
        while len(got) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                got += [record.value for record in records]
    return got


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "apache":
        kafka: ApacheKafka = request.getfixturevalue("apache_kafka")
        bench = Bench(kafka.bootstrap, "apache")
        yield bench
        await close(bench)
        return
    async with EmbeddedBroker() as broker:
        bench = Bench(broker.bootstrap, "embedded")
        yield bench
        await close(bench)


async def close(bench: Bench) -> None:
    for stop in reversed(bench.closing):
        await asyncio.wait_for(stop(), 20)
