"""Partitions in memory: append with the broker's checks, read by reference, forget the oldest above a size.

What is refused is raised as aiokafka's error of that name; its number goes to the client.
"""

import asyncio
import struct
from bisect import bisect_right
from collections import deque
from typing import Final

from aiokafka import errors
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

# Record batch, format 2: base offset, length, leader epoch, magic, crc, attributes, last offset delta, base timestamp,
# max timestamp, producer id, producer epoch, first sequence, number of records.
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_FROM: Final = 21  # the checksum covers everything behind itself
_COMPRESSED, _TRANSACTIONAL, _CONTROL = 0x07, 0x10, 0x20
_REMEMBERED: Final = 5  # batches of one producer in which a repeat is recognised; as in Apache Kafka


_Incoming = tuple[
    bytes, int, int, int, int, int
]  # batch, last offset delta, newest timestamp, producer, epoch, sequence


class Partition:
    """An append-only log of record batches.

    retention_bytes  above it the oldest whole batches are forgotten; the newest batch always stays.
    max_batch_bytes  larger batches are refused with MESSAGE_TOO_LARGE.
    """

    def __init__(self, retention_bytes: int, max_batch_bytes: int) -> None:
        self.start = self.end = 0  # offset of the oldest record kept; offset that the next record gets
        self.waiters: set[asyncio.Event] = set()  # fetches that wait for an append
        self._retention_bytes, self._max_batch_bytes = retention_bytes, max_batch_bytes
        self._first_offsets: list[int] = []
        self._batches: list[tuple[int, bytes]] = []  # newest timestamp (ms), bytes with the final offset in the header
        self._size = 0
        # Idempotent producers: epoch and their last batches as (first sequence, last sequence, offset).
        self._producers: dict[int, tuple[int, deque[tuple[int, int, int]]]] = {}

    def append(self, records: bytes) -> int:
        """Append the batches of one produce request and wake readers. Returns the first offset given.

        Refuses all or nothing. A batch that an idempotent producer repeats keeps the offset it already has.
        """
        incoming = self._split(records)
        repeated = self._repeated(incoming[0])
        if repeated is not None:
            return repeated
        base = self.end
        for data, delta, newest, producer, _, sequence in incoming:
            if producer >= 0:
                self._producers[producer][1].append((sequence, (sequence + delta) & 0x7FFFFFFF, self.end))
            self._first_offsets.append(self.end)
            self._batches.append((newest, b"".join((struct.pack(">q", self.end), data[8:]))))
            self.end += delta + 1
            self._size += len(data)
        self._forget()
        for waiter in self.waiters:
            waiter.set()
        return base

    def _split(self, records: bytes) -> list[_Incoming]:
        """Check framing, size and checksum of every batch before anything is stored; at least one."""
        found: list[_Incoming] = []
        at = 0
        while at < len(records) or not found:
            if records[at + 16 : at + 17] not in (b"\x02", b""):
                raise errors.UnsupportedForMessageFormatError
            if len(records) - at < _HEADER.size:
                raise errors.InvalidMessageError
            _, length, _, _, crc, attributes, delta, _, newest, producer, epoch, sequence, count = _HEADER.unpack_from(
                records, at
            )
            data = records[at : at + 12 + length]
            if length < _HEADER.size - 12 or len(data) < 12 + length or count < 1 or delta != count - 1:
                raise errors.InvalidMessageError
            if len(data) > self._max_batch_bytes:
                raise errors.MessageSizeTooLargeError
            if calc_crc32c(memoryview(data)[_CRC_FROM:]) != crc:
                raise errors.InvalidMessageError
            if attributes & (_TRANSACTIONAL | _CONTROL):
                raise errors.InvalidTxnState
            found.append((data, delta, newest, producer, epoch, sequence))
            at += len(data)
        return found

    def _repeated(self, batch: _Incoming) -> int | None:
        """Offset of a batch that is already stored, else None. Refuses a gap in the producer's sequence."""
        _, _, _, producer, epoch, sequence = batch
        known, recent = self._producers.get(producer, (-1, deque()))
        if producer < 0 or epoch > known:
            if producer >= 0:
                self._producers[producer] = (epoch, deque(maxlen=_REMEMBERED))
            return None
        if epoch < known:
            raise errors.InvalidProducerEpoch
        for first, _, offset in recent:
            if first == sequence:
                return offset
        if recent and sequence != (recent[-1][1] + 1) & 0x7FFFFFFF:
            older = sequence <= recent[-1][1]
            raise errors.DuplicateSequenceNumber if older else errors.OutOfOrderSequenceNumber
        return None

    def _forget(self) -> None:
        """Drop the oldest batches, an eighth more than needed so that the lists move rarely."""
        if self._size <= self._retention_bytes:
            return
        drop, keep = 0, self._retention_bytes - self._retention_bytes // 8
        while self._size > keep and drop < len(self._batches) - 1:
            self._size -= len(self._batches[drop][1])
            drop += 1
        del self._batches[:drop], self._first_offsets[:drop]
        self.start = self._first_offsets[0]

    def read(self, offset: int, max_bytes: int) -> list[bytes]:
        """Whole batches from the one that holds `offset`, up to max_bytes; one always unless max_bytes is 0.

        Empty at the end. The first batch may begin before `offset`; clients skip those records.
        """
        if not self.start <= offset <= self.end:
            raise errors.OffsetOutOfRangeError
        chosen: list[bytes] = []
        size, last = 0, len(self._batches) if offset < self.end and max_bytes > 0 else 0
        for index in range(max(0, bisect_right(self._first_offsets, offset) - 1), last):
            data = self._batches[index][1]
            size += len(data)
            if chosen and size > max_bytes:
                break
            chosen.append(data)
        return chosen

    def find(self, timestamp: int) -> tuple[int, int]:
        """(offset, timestamp) of the first record from `timestamp` (ms) on or its compressed batch; else (-1, -1)."""
        for first_offset, (newest, data) in zip(self._first_offsets, self._batches, strict=True):
            if newest >= timestamp:
                records = DefaultRecordBatch(data) if not data[_CRC_FROM + 1] & _COMPRESSED else ()
                found = ((record.offset, record.timestamp) for record in records if record.timestamp >= timestamp)
                return next(found, (first_offset, newest))
        return -1, -1
