"""Hints between the processes of one service, over the notifications of their PostgreSQL.

A hint only saves a poll's wait: it may get lost (a connection that broke, a pooler between that does not know LISTEN),
and then the poll finds what there is. With SQLite there is one process, and nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fenliu.chassis.db import Database
from fenliu.chassis.observability import counter
from fenliu.chassis.worker import Loop

GAP_S = 0.02
"""Shortest time between two sendings, seconds: what is said meanwhile is said once."""

notices_total = counter(
    "fenliu_notices_total",
    "Hints that went to, and came from, other processes of the service.",
    reaction="Sent but received nowhere: a pooler keeps LISTEN from working; every hint then costs a poll's wait.",
    labels={"direction": ("sent", "received")},
)

_NOTIFY = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")


class Notices(Loop):
    """Sends hints to whoever listens to `channel`, this process included, and hands on what is heard.

    channel  an SQL identifier.
    heard    called with every payload, on the event loop; must not block.
    check_s  longest time for which a broken connection goes unnoticed, seconds.
    """

    def __init__(self, db: Database, channel: str, heard: Callable[[str], object], *, check_s: float = 2.0) -> None:
        super().__init__("notices", self._step, every_s=check_s)
        self._db = db
        self._channel = channel
        self._heard = heard
        self._pending: set[str] = set()
        self._connection: AsyncConnection | None = None
        self._driver: Any = None

    def send(self, payload: str) -> None:
        """Say this once the present gap is over; at most 7,999 bytes. Call it after the commit that it is about."""
        if self._db.dialect == "postgresql":
            self._pending.add(payload)
            self.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen and send until `stop` is set."""
        try:
            await super().run(stop)
        finally:
            await self._let_go()

    async def _step(self) -> int:
        if self._db.dialect != "postgresql":
            return 0
        await self._listen()
        if not self._pending:
            return 0
        said, self._pending = sorted(self._pending), set()
        async with self._db.read() as tx:
            await tx.execute(_NOTIFY, {"channel": self._channel, "payloads": said})
        notices_total.inc(len(said), direction="sent")
        await asyncio.sleep(GAP_S)
        return len(said)

    async def _listen(self) -> None:
        if self._driver is not None and not self._driver.is_closed():
            return
        await self._let_go()
        self._connection = await self._db.reserve()
        self._driver = (await self._connection.get_raw_connection()).driver_connection
        await self._driver.add_listener(self._channel, self._on_notice)

    async def _let_go(self) -> None:
        if self._connection is not None:
            await self._connection.invalidate()  # nobody else should inherit what it listens to
            await self._connection.close()
        self._connection = self._driver = None

    def _on_notice(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        notices_total.inc(direction="received")
        self._heard(payload)
