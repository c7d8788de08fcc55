"""What Fenliu relies on in consumer groups, on the embedded broker and on Apache Kafka."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
)

from tests.integration.broker_bench import SESSION_MS, WITHIN_S, Bench, eventually, take


async def test_group_resumes_behind_what_it_committed(bench: Bench) -> None:
    topic, group = await bench.topic(), uuid4().hex
    producer = await bench.producer()
    for number in range(10):
        await producer.send_and_wait(topic, b"%d" % number)
    first = await bench.consumer(topic, group=group, max_poll_records=4)
    assert await take(first, 4) == [b"0", b"1", b"2", b"3"]
    await first.commit({TopicPartition(topic, 0): 4})
    await first.stop()
    second = await bench.consumer(topic, group=group)
    assert await second.committed(TopicPartition(topic, 0)) == 4
    assert await take(second, 6) == [b"%d" % number for number in range(4, 10)]


async def test_group_shares_partitions_when_members_join_and_leave(bench: Bench) -> None:
    topic, group = await bench.topic(partitions=4), uuid4().hex
    patient = {"session_timeout_ms": 30_000}  # so that only the farewell explains a quick takeover
    first = await bench.consumer(topic, group=group, **patient)

    async def owned(*sizes: int) -> bool:
        members = (first, second) if len(sizes) == 2 else (first,)
        await asyncio.gather(*[member.getmany(timeout_ms=50) for member in members])
        return sorted(len(member.assignment()) for member in members) == sorted(sizes)

    second = first
    await eventually(lambda: owned(4), "the first member owns everything")
    second = await bench.consumer(topic, group=group, **patient)
    await eventually(lambda: owned(2, 2), "two members share")
    assert not first.assignment() & second.assignment()
    await second.stop()
    await eventually(lambda: owned(4), "the one that stays takes over", within_s=15)


MEMBER = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer
async def main(bootstrap, topic, group, session_ms):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
        enable_auto_commit=False, session_timeout_ms=int(session_ms), heartbeat_interval_ms=200,
        rebalance_timeout_ms=5000)
    await consumer.start()
    while True:
        await consumer.getmany(timeout_ms=100)
        print(len(consumer.assignment()), flush=True)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_group_takes_over_from_a_member_killed_with_kill_9(bench: Bench) -> None:
    topic, group = await bench.topic(partitions=4), uuid4().hex
    survivor = await bench.consumer(topic, group=group)
    doomed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MEMBER, bench.bootstrap, topic, group, str(SESSION_MS)), stdout=subprocess.PIPE
    )
    assert doomed.stdout is not None
    try:
        async with asyncio.timeout(WITHIN_S):
            while await doomed.stdout.readline() != b"2\n":
                await survivor.getmany(timeout_ms=20)
        assert len(survivor.assignment()) == 2
    finally:
        doomed.send_signal(signal.SIGKILL)
        await doomed.wait()
    killed = time.monotonic()

    async def took_over() -> bool:
        await survivor.getmany(timeout_ms=50)
        return len(survivor.assignment()) == 4

    await eventually(took_over, "the survivor owns all four partitions", within_s=15)
    assert time.monotonic() - killed > SESSION_MS / 1000 * 0.5, "taken over while the session was still good"
    producer = await bench.producer()
    await asyncio.gather(*[producer.send_and_wait(topic, b"x", partition=index) for index in range(4)])
    assert len(await take(survivor, 4)) == 4


async def test_commit_from_an_older_generation_is_refused(bench: Bench) -> None:
    topic, group = await bench.topic(partitions=2), uuid4().hex
    stale = await bench.consumer(topic, group=group)
    await eventually(lambda: _assigned(stale, 2), "the first member owns everything")
    generation = stale._coordinator.generation
    await bench.consumer(topic, group=group)
    await eventually(lambda: _assigned(stale, 1), "two members share")
    stale._coordinator.generation = generation  # as a member that slept through the rebalance
    with pytest.raises(CommitFailedError):
        await stale.commit(dict.fromkeys(stale.assignment(), 1))


async def _assigned(consumer: AIOKafkaConsumer, count: int) -> bool:
    await consumer.getmany(timeout_ms=50)
    return len(consumer.assignment()) == count
