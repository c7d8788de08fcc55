"""An outside observer of topics: reads all partitions with no group, and notes when it saw each ticket assigned."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from aiokafka import AIOKafkaConsumer, TopicPartition

from fenliu.contracts.events import TicketStatusChanged


class StatusTap:
    """Watches ticket-status from its present end.

    assigned_at  ticket id → time.time() at which its first snapshot in state `assigned` was read: later than the
                 assignment itself by the commit, the outbox, the broker and this reader.
    """

    def __init__(self, bootstrap: str) -> None:
        self.assigned_at: dict[str, float] = {}
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=100, enable_auto_commit=False)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> StatusTap:
        await self._consumer.start()
        partitions = [TopicPartition("ticket-status", number) for number in range(6)]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_end(*partitions)
        for partition in partitions:
            await self._consumer.position(partition)
        self._task = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=200)
            now = time.time()
            for records in batches.values():
                for record in records:
                    if dict(record.headers).get("ce_type") == b"TicketStatusChanged":
                        snapshot = TicketStatusChanged.FromString(record.value)
                        if snapshot.state == "assigned":
                            self.assigned_at.setdefault(snapshot.ticket_id, now)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._consumer.stop()
