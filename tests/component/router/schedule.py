"""A deterministic scheduler: actors run one at a time from transaction to transaction, and crash where it says so.

Between two transactions of an actor anything may happen, and a seed decides what: that is all the freedom that real
processes have over a database with one writer, and every run can be had again from its seed.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from fenliu.chassis.db import Database, Transaction

_actor: ContextVar[str] = ContextVar("actor", default="")


class Crash(BaseException):
    """The process is gone: what it had in memory is lost, what it had committed is not."""


class SimulatedClock:
    """Moves only when it is told to."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 9, tzinfo=UTC) + self.passed

    def monotonic(self) -> float:
        return self.passed.total_seconds()

    def jump(self, **span: float) -> None:
        self.passed += timedelta(**span)


class Schedule:
    """crash_rate: chance of a crash at each point where one may happen."""

    def __init__(self, rng: random.Random, clock: SimulatedClock, crash_rate: float) -> None:
        self.rng = rng
        self.clock = clock
        self.crash_rate = crash_rate
        self.steps = self.crashes = 0
        self._parked: dict[str, asyncio.Future[None]] = {}
        self._running: set[str] = set()
        self._quiet = asyncio.Event()

    @property
    def actor(self) -> str:
        """Whose turn it is; "" outside the actors."""
        return _actor.get()

    async def gate(self) -> None:
        """Wait for the next turn."""
        if not self.actor:
            return
        turn = asyncio.get_running_loop().create_future()
        self._parked[self.actor] = turn
        self._quiet.set()
        await turn

    def may_crash(self) -> None:
        """A point at which a process can die."""
        if self.actor and self.rng.random() < self.crash_rate:
            self.crashes += 1
            raise Crash

    async def run(self, actors: Mapping[str, Coroutine[Any, Any, None]]) -> None:
        """Let every actor come to its end. Raises what one of them raised."""
        self._running = set(actors)
        tasks = [asyncio.create_task(self._live(name, work)) for name, work in sorted(actors.items())]
        try:
            while self._running:
                while self._parked.keys() != self._running:
                    self._quiet.clear()
                    await self._quiet.wait()
                if not self._running:
                    break
                self.steps += 1
                self.clock.jump(seconds=self.rng.random())
                self._parked.pop(self.rng.choice(sorted(self._parked))).set_result(None)
        finally:
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise error

    async def _live(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        _actor.set(name)
        try:
            await self.gate()
            await work
        except BaseException:
            self._running.clear()  # one failure ends the run
            self._parked.clear()
            raise
        finally:
            work.close()
            self._running.discard(name)
            self._quiet.set()


class _AtOnce:
    """Stands where the driver has the queue of its thread: what is put in is done at once. No thread, no waiting."""

    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, function = item
        try:
            result = function()
        except BaseException as error:
            if future is not None:
                future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


class _Connection(aiosqlite.Connection):
    """The driver's connection without its thread: the order of everything is then the loop's alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(lambda: sqlite3.connect(path), 64)
        self._tx = _AtOnce()  # type: ignore[assignment]

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._connect().__await__()


def _engine(path: Path, begin: str) -> AsyncEngine:
    def connect() -> aiosqlite.Connection:
        return _Connection(path)

    engine = create_async_engine("sqlite+aiosqlite://", async_creator=connect, poolclass=AsyncAdaptedQueuePool)

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=OFF"):  # processes die here, not machines
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


Observer = Callable[[Transaction], Awaitable[None]]


class SimulatedDatabase(Database):
    """The real database, whose transactions wait for their turn, and before and after whose commits one may crash."""

    def __init__(self, path: Path, schedule: Schedule, **rest: Any) -> None:
        super().__init__(f"sqlite+aiosqlite:///{path}", **rest)
        self._writer, self._reader = (_engine(path, begin) for begin in ("BEGIN IMMEDIATE", "BEGIN"))
        self.schedule = schedule
        self.observers: list[Observer] = []
        """Awaited in every transaction just before it commits."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        await self.schedule.gate()
        self.schedule.may_crash()
        async with super().begin() as tx:
            yield tx
            self.schedule.may_crash()
            for observe in self.observers:
                await observe(tx)
        self.schedule.may_crash()

    def outside(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of no actor: it neither waits nor crashes, and nobody observes it."""
        return super().begin()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        await self.schedule.gate()
        async with super().read() as tx:
            yield tx
