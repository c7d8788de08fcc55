"""Kafka's wire protocol by hand, for requests that no client would send."""

from __future__ import annotations

import asyncio
import struct
import time

from aiokafka.record.default_records import DefaultRecordBatchBuilder

WITHIN_S = 30.0


def one_batch(value: bytes, producer_id: int = -1, sequence: int = -1) -> bytes:
    """A record batch of one record."""
    epoch = -1 if producer_id < 0 else 0
    builder = DefaultRecordBatchBuilder(2, 0, 0, producer_id, epoch, sequence, 1 << 20)
    builder.append(0, int(time.time() * 1000), None, value, [])
    return bytes(builder.build())


def produce_frame(topic: str, records: bytes, correlation: int) -> bytes:
    """Produce v7, acks=all, one partition."""
    name = topic.encode()
    body = struct.pack(">hhihhhii", 0, 7, correlation, -1, -1, -1, 10_000, 1) + struct.pack(">h", len(name)) + name
    body += struct.pack(">iii", 1, 0, len(records)) + records
    return struct.pack(">i", len(body)) + body


async def connected(bootstrap: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = bootstrap.split(":")
    return await asyncio.open_connection(host, int(port))


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), WITHIN_S))
    return await reader.readexactly(size)


async def raw_produce(bootstrap: str, topic: str, records: bytes) -> tuple[int, int]:
    """(error code, base offset) of one produce request."""
    reader, writer = await connected(bootstrap)
    writer.write(produce_frame(topic, records, correlation=1))
    answer = await answer_of(reader)
    writer.close()
    code, offset = struct.unpack_from(">hq", answer, 4 + 4 + 2 + len(topic) + 4 + 4)
    return code, offset
