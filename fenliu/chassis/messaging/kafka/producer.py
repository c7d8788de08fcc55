"""Publishing: batches per partition, every record acknowledged or reported as not."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from fenliu.chassis.messaging.kafka.inspector import ensure_topics
from fenliu.chassis.messaging.kafka.options import (
    KafkaOptions,
    KafkaUnavailable,
    bounded,
    closed,
)

BATCH_BYTES = 900_000
_WORD = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Outbound:
    """One record to be published. Records of one key are published in the order given. headers: as on the wire."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """Where the broker put a record."""

    partition: int
    offset: int


@dataclass(slots=True)
class Sent:
    """Outcome of one `send_batch`: acks aligns with the records; None was not acknowledged, so `error` is set."""

    acks: list[Ack | None]
    error: KafkaUnavailable | None = None


class Producer:
    """Publishes records, acknowledged by all in-sync replicas. Safe for one task at a time per instance.

    generation   grows with every new connection; whoever keeps facts about the broker checks them again then.
    """

    def __init__(self, options: KafkaOptions, client_id: str = "fenliu") -> None:
        self.generation = 0
        self._options = options
        self._client_id = client_id
        self._client: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def send_batch(self, records: Sequence[Outbound]) -> Sent:
        """Publish all records and await every acknowledgement.

        Partitions are served side by side, each strictly in order and up to its first failure. Never raises for an
        absent broker: what was acknowledged is in `acks`, why the rest was not in `error`. Creates the catalogue's
        topics when one is unknown.
        """
        sent = Sent([None] * len(records))
        async with self._lock:
            try:
                client = await self._connected()
                groups = await self._by_partition(client, records)
            except KafkaUnavailable as error:
                sent.error = error
            else:
                work = [self._send_partition(client, *where, items, sent) for where, items in groups.items()]
                await asyncio.gather(*work)
            if sent.error is not None:
                await self._discard()
        return sent

    async def send(self, records: Sequence[Outbound]) -> list[Ack]:
        """As send_batch, all or nothing for the caller: raises KafkaUnavailable unless all were acknowledged."""
        sent = await self.send_batch(records)
        if sent.error is not None:
            raise sent.error
        return [ack for ack in sent.acks if ack is not None]

    async def connect(self) -> None:
        """Have a connection, or raise KafkaUnavailable."""
        async with self._lock:
            await self._connected()

    async def close(self) -> None:
        """Give the connection up; a later send opens a new one."""
        async with self._lock:
            await self._discard()

    async def _connected(self) -> AIOKafkaProducer:
        if self._client is None:
            client = AIOKafkaProducer(
                client_id=self._client_id,
                acks="all",
                enable_idempotence=False,
                request_timeout_ms=int(self._options.send_timeout_s * 1000),
                max_batch_size=BATCH_BYTES,
                **self._options.client(),
            )
            try:
                await bounded(client.start(), self._options.start_timeout_s)
            except BaseException:
                await closed(client.stop(), self._options.stop_timeout_s)
                raise
            self._client = client
            self.generation += 1
        return self._client

    async def _by_partition(
        self, client: AIOKafkaProducer, records: Sequence[Outbound]
    ) -> dict[tuple[str, int], list[tuple[int, Outbound]]]:
        counts = {topic: await self._partition_count(client, topic) for topic in {r.topic for r in records}}
        groups: dict[tuple[str, int], list[tuple[int, Outbound]]] = {}
        for index, record in enumerate(records):
            partition = partition_of(record.key, counts[record.topic])
            groups.setdefault((record.topic, partition), []).append((index, record))
        return groups

    async def _partition_count(self, client: AIOKafkaProducer, topic: str) -> int:
        cluster = client.client.cluster
        if cluster.partitions_for_topic(topic) is None:
            client.client.add_topic(topic)
            await bounded(client.client.force_metadata_update(), self._options.send_timeout_s)
            if cluster.partitions_for_topic(topic) is None:
                await ensure_topics(self._options)
        return len(await bounded(client.partitions_for(topic), self._options.send_timeout_s))

    async def _send_partition(
        self, client: AIOKafkaProducer, topic: str, partition: int, items: list[tuple[int, Outbound]], sent: Sent
    ) -> None:
        start = 0
        try:
            while start < len(items):
                batch = client.create_batch()
                end = start
                while end < len(items):
                    record = items[end][1]
                    headers = list(record.headers)
                    if (
                        batch.append(key=record.key, value=record.value, timestamp=record.timestamp_ms, headers=headers)
                        is None
                    ):
                        break
                    end += 1
                base = await bounded(self._acknowledged(client, batch, topic, partition), self._options.send_timeout_s)
                for place in range(start, end):
                    sent.acks[items[place][0]] = Ack(partition, base + place - start)
                start = end
        except KafkaUnavailable as error:
            sent.error = error

    async def _acknowledged(self, client: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> int:
        future = await client.send_batch(batch, topic, partition=partition)
        return int((await future).offset)

    async def _discard(self) -> None:
        """Close without flushing: a record that the caller was told is unsent must not go out later."""
        client, self._client = self._client, None
        if client is None:
            return
        waiting = client._message_accumulator
        # A batch that waits for another try is in neither place where aiokafka's own clean-up looks for it.
        waiting._pending_batches.update(b for batches in waiting._batches.values() for b in batches if b.retry_count)
        unsent = {*waiting._pending_batches, *(b for batches in waiting._batches.values() for b in batches)}
        waiting.fail_all(KafkaError("the producer was replaced"))
        for future in (future for batch in unsent for future in (batch.future, batch._drain_waiter)):
            if future.done() and not future.cancelled():
                future.exception()  # seen; else asyncio reports it as never retrieved
        await closed(client.stop(), self._options.stop_timeout_s)
        await closed(client._sender.close(), self._options.stop_timeout_s)
        await closed(client.client.close(), self._options.stop_timeout_s)


def partition_of(key: bytes | None, partitions: int) -> int:
    """Partition of a key, as every Kafka client computes it by default (murmur2). No key: partition 0."""
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Hash of a key, the same as aiokafka's, which reads byte by byte and takes half as long again.

    Source: org.apache.kafka.common.utils.Utils.murmur2; compared with aiokafka's in tests/unit/messaging.
    """
    length = len(data)
    whole = length & ~3
    h = 0x9747B28C ^ length
    for (k,) in _WORD.iter_unpack(data[:whole]):
        k = (k * 0x5BD1E995) & 0xFFFFFFFF
        h = (h * 0x5BD1E995) & 0xFFFFFFFF ^ ((k ^ (k >> 24)) * 0x5BD1E995) & 0xFFFFFFFF
    if whole != length:
        h = ((h ^ int.from_bytes(data[whole:], "little")) * 0x5BD1E995) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0x5BD1E995) & 0xFFFFFFFF
    return h ^ (h >> 15)
