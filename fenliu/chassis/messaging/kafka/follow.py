"""Reading topics without a group, for people and tools: nothing is committed, so looking changes no service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from fenliu.chassis.messaging.envelope import Record
from fenliu.chassis.messaging.kafka.inspector import Inspector, as_record
from fenliu.chassis.messaging.kafka.options import KafkaOptions, bounded, closed

POLL_MS = 500


async def follow(
    options: KafkaOptions, topics: Iterable[str], *, from_start: bool = False, to_end: bool = False
) -> AsyncIterator[Record]:
    """Records of all partitions of `topics`, in order within a partition.

    from_start  begin with the oldest record that the broker still has; else with the next one to come.
    to_end      stop at what was the end when reading began; else go on for ever.
    Raises KafkaUnavailable when the broker cannot be reached at the start. A topic that does not exist has no records.
    """
    inspector = Inspector(options)
    try:
        counts = await inspector.partitions(topics)
    finally:
        await inspector.close()
    partitions = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    if not partitions:
        return
    reader = AIOKafkaConsumer(client_id="fenliu-follow", enable_auto_commit=False, **options.client())
    try:
        await bounded(reader.start(), options.start_timeout_s)
        reader.assign(partitions)
        ends: dict[TopicPartition, int] = await bounded(reader.end_offsets(partitions), options.request_timeout_s)
        starts = ends
        if from_start:
            starts = await bounded(reader.beginning_offsets(partitions), options.request_timeout_s)
        for partition, offset in starts.items():
            reader.seek(partition, offset)
        missing = {partition for partition, end in ends.items() if starts[partition] < end}
        while missing or not to_end:
            batches = await bounded(reader.getmany(timeout_ms=POLL_MS), options.request_timeout_s)
            for partition, messages in batches.items():
                for message in messages:
                    if not to_end or message.offset < ends[partition]:
                        yield as_record(message)
                if messages[-1].offset + 1 >= ends[partition]:
                    missing.discard(partition)
    finally:
        await closed(reader.stop(), options.stop_timeout_s)
