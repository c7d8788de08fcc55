"""Questions about topics, offsets and groups, and the creation of topics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from fenliu.chassis.messaging.envelope import Record
from fenliu.chassis.messaging.kafka.options import KafkaOptions, KafkaUnavailable, bounded, closed
from fenliu.contracts.topics import CATALOGUE, Topic

DEAD_LETTER_RETENTION_H = 14 * 24
RECORD_BYTES = 1_048_588
DEAD_LETTER_BYTES = RECORD_BYTES + 65_536
"""A dead letter is the original record and some more headers."""


class Inspector:
    """Questions about topics, offsets and groups. Connects when first asked, again after a failure.

    Every method raises KafkaUnavailable.
    """

    def __init__(self, options: KafkaOptions, client_id: str = "fenliu-inspector") -> None:
        self._options = options
        self._client_id = client_id
        self._admin: AIOKafkaAdminClient | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Give the connections up."""
        admin, self._admin = self._admin, None
        reader, self._reader = self._reader, None
        if reader is not None:
            await closed(reader.stop(), self._options.stop_timeout_s)
        if admin is not None:
            await closed(admin.close(), self._options.stop_timeout_s)

    async def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """Number of partitions of each topic that exists."""
        described = await self._ask(lambda admin, _: admin.describe_topics(list(topics)))
        return {t["topic"]: len(t["partitions"]) for t in described if t["error_code"] == 0}

    async def topics(self) -> list[str]:
        """Names of all topics."""
        names: list[str] = await self._ask(lambda admin, _: admin.list_topics())
        return sorted(names)

    async def end_offsets(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """Offset that the next record of each partition will get; topics that do not exist are left out."""
        return await self._edges(topics, "end_offsets")

    async def begin_offsets(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """Offset of the oldest record still kept of each partition; topics that do not exist are left out."""
        return await self._edges(topics, "beginning_offsets")

    async def _edges(self, topics: Iterable[str], method: str) -> dict[tuple[str, int], int]:
        counts = await self.partitions(topics)
        wanted = [TopicPartition(topic, p) for topic, count in counts.items() for p in range(count)]
        if not wanted:
            return {}
        found = await self._ask(lambda _, reader: getattr(reader, method)(wanted))
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Next offset that a group will read, by partition; a partition that it never committed is left out."""
        counts = await self.partitions([topic])
        wanted = [TopicPartition(topic, p) for p in range(counts.get(topic, 0))]
        if not wanted:
            return {}
        found = await self._ask(lambda admin, _: admin.list_consumer_group_offsets(group, partitions=wanted))
        return {tp.partition: entry.offset for tp, entry in found.items() if entry.offset >= 0}

    async def create(self, topics: Iterable[Topic]) -> list[str]:
        """Create what is missing of these topics and of their dead-letter topics. Returns what was created."""
        topics = list(topics)
        wanted = {topic.name: (topic.partitions, topic.retention_h) for topic in topics}
        wanted |= {topic.dead_letter: (1, DEAD_LETTER_RETENTION_H) for topic in topics if topic.dead_letter}
        existing = set(await self.topics())
        new = [
            NewTopic(
                name,
                count,
                self._options.replication,
                topic_configs=_topic_settings(hours, larger=name.endswith("-dlq")),
            )
            for name, (count, hours) in wanted.items()
            if name not in existing
        ]
        if not new:
            return []
        answer = await self._ask(lambda admin, _: admin.create_topics(new, timeout_ms=5000))
        for name, code, *_ in answer.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                raise KafkaUnavailable(f"Topic {name} could not be created: {for_code(code).__name__}.")
        return [topic.name for topic in new]

    async def _ask(self, question: Any) -> Any:
        async with self._lock:
            try:
                if self._admin is None or self._reader is None:
                    await self._connect()
                return await bounded(question(self._admin, self._reader), self._options.request_timeout_s)
            except BaseException:
                await self.close()
                raise

    async def _connect(self) -> None:
        timeout_ms = int(self._options.request_timeout_s * 1000)
        settings = self._options.client() | {"client_id": self._client_id, "request_timeout_ms": timeout_ms}
        self._admin = AIOKafkaAdminClient(**settings)
        self._reader = AIOKafkaConsumer(enable_auto_commit=False, **settings)
        await bounded(self._admin.start(), self._options.start_timeout_s)
        await bounded(self._reader.start(), self._options.start_timeout_s)


def _topic_settings(retention_h: int, larger: bool) -> dict[str, str]:
    return {
        "retention.ms": str(retention_h * 3_600_000),
        "cleanup.policy": "delete",
        "max.message.bytes": str(DEAD_LETTER_BYTES if larger else RECORD_BYTES),
    }


async def ensure_topics(options: KafkaOptions, topics: Iterable[Topic] = tuple(CATALOGUE.values())) -> list[str]:
    """Create what is missing of the catalogue's topics and their dead-letter topics; may be called at any time.

    Returns the names created. Raises KafkaUnavailable.
    """
    inspector = Inspector(options)
    try:
        return await inspector.create(list(topics))
    finally:
        await inspector.close()


async def read_range(options: KafkaOptions, topic: str, partition: int, start: int, end: int) -> list[Record]:
    """Records of one partition from offset `start` up to but not including `end`, without any group.

    Fewer than asked for where the log was cut meanwhile or does not go on. Raises KafkaUnavailable.
    """
    if start >= end:
        return []  # nothing would come, and asking takes as long as waiting for it
    reader = AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="earliest", **options.client())
    place = TopicPartition(topic, partition)
    found: list[Record] = []
    try:
        await bounded(reader.start(), options.start_timeout_s)
        reader.assign([place])
        reader.seek(place, start)
        while not found or found[-1].offset + 1 < end:
            fetched = await bounded(reader.getmany(place, timeout_ms=2000), options.request_timeout_s)
            if not fetched.get(place):
                break
            found += [as_record(item) for item in fetched[place] if start <= item.offset < end]
            if fetched[place][-1].offset + 1 >= end:
                break
        return found
    finally:
        await closed(reader.stop(), options.stop_timeout_s)


def as_record(item: Any) -> Record:
    """aiokafka's record as ours."""
    headers = tuple((name, value or b"") for name, value in item.headers)
    return Record(item.topic, item.partition, item.offset, item.key, item.value, headers, item.timestamp)
