"""Transactions on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, func, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from fenliu.chassis.db import (
    Database,
    DatabaseContended,
    DatabaseUnavailable,
    Emitted,
    Transaction,
    UnstorableValue,
    UtcDateTime,
)
from fenliu.chassis.service import UnsafeDatabase, check_safety
from fenliu.contracts.events import TicketReceived
from tests.backends import Postgres

metadata = MetaData()
thing = Table(
    "thing",
    metadata,
    Column("thing_id", String(64), primary_key=True),
    Column("number", BigInteger),
    Column("at", UtcDateTime),
)


class RecordingOutbox:
    """Keeps what a transaction hands over."""

    def __init__(self) -> None:
        self.written: list[Emitted] = []

    async def write(self, tx: Transaction, events: Sequence[Emitted]) -> None:
        self.written += events


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async for database in opened(request, tmp_path):
        yield database


async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    name = f"db_{uuid4().hex}"
    server: Postgres | None = None
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / name}.db"
    else:
        server = request.getfixturevalue("postgres")
        await asyncio.to_thread(server.create_database, name)
        url = server.url(name)
    database = Database(url, outbox=RecordingOutbox(), pool_size=4, lock_timeout_s=0.5, acquire_timeout_s=2)
    async with database.begin() as tx:
        await tx._connection.run_sync(metadata.create_all)
    yield database
    await database.close()
    if server is not None:
        await asyncio.to_thread(server.drop_database, name)


async def count(db: Database) -> int:
    async with db.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(thing))).scalar_one())


async def test_begin_commits_and_calls_back_only_after_the_commit(db: Database) -> None:
    called: list[int] = []
    async with db.begin() as tx:
        await tx.execute(tx.insert(thing), [{"thing_id": "a"}, {"thing_id": "b"}])
        tx.after_commit(called.append, 1)
        assert called == []
    assert called == [1]
    assert await count(db) == 2


async def test_begin_that_raises_rolls_back_emits_nothing_and_calls_nothing(db: Database) -> None:
    called: list[int] = []

    async def fail() -> None:
        async with db.begin() as tx:
            await tx.execute(tx.insert(thing), {"thing_id": "a"})
            tx.emit(TicketReceived(tenant_id="t"), key="a", sequence=1)
            tx.after_commit(called.append, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert called == []
    assert await count(db) == 0
    assert db.outbox.written == []  # type: ignore[union-attr]


async def test_emit_reaches_the_outbox_in_order(db: Database) -> None:
    async with db.begin() as tx:
        for sequence in (1, 2):
            tx.emit(TicketReceived(tenant_id="t"), key="a", sequence=sequence)
    assert [e.sequence for e in db.outbox.written] == [1, 2]  # type: ignore[union-attr]


async def test_emit_without_outbox_fails_the_transaction(db: Database) -> None:
    db.outbox = None

    async def emit() -> None:
        async with db.begin() as tx:
            await tx.execute(tx.insert(thing), {"thing_id": "a"})
            tx.emit(TicketReceived(tenant_id="t"), key="a", sequence=1)

    with pytest.raises(RuntimeError):
        await emit()
    assert await count(db) == 0


async def test_insert_on_conflict_returns_only_new_rows(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute(tx.insert(thing), {"thing_id": "a"})
    async with db.begin() as tx:
        statement = tx.insert(thing).on_conflict_do_nothing().returning(thing.c.thing_id)
        rows = await tx.execute(statement, [{"thing_id": "a"}, {"thing_id": "b"}])
        assert [row.thing_id for row in rows] == ["b"]


async def test_update_rows_changes_each_row_by_its_key_and_no_other(db: Database) -> None:
    moment = datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=UTC)
    async with db.begin() as tx:
        await tx.insert_rows(thing, [{"thing_id": name, "number": 1, "at": None} for name in "abcd"])
    async with db.begin() as tx:
        await tx.update_rows(
            thing,
            [
                ({"thing_id": "c", "number": 1}, {"number": 3, "at": None}),
                ({"thing_id": "a", "number": 1}, {"number": None, "at": moment}),
                ({"thing_id": "b", "number": 9}, {"number": 4, "at": moment}),  # another number stands there by now
                ({"thing_id": "nowhere", "number": 1}, {"number": 5, "at": moment}),
            ],
        )
        await tx.update_rows(thing, [])
    async with db.read() as tx:
        rows = (await tx.execute(select(thing).order_by(thing.c.thing_id))).all()
        assert [tuple(row) for row in rows] == [("a", None, moment), ("b", 1, None), ("c", 3, None), ("d", 1, None)]


async def test_text_too_long_for_its_column_is_never_cut(db: Database) -> None:
    async with db.begin() as tx:
        await tx.insert_rows(thing, [{"thing_id": "a", "number": 1}, {"thing_id": "c" * 64, "number": 1}])
    for key, new in (({"number": 1, "thing_id": "a"}, "b" * 65), ({"thing_id": "c" * 65}, "d")):
        with suppress(UnstorableValue):  # PostgreSQL refuses it; SQLite keeps texts of any length
            async with db.begin() as tx:
                await tx.update_rows(thing, [(key, {"thing_id": new})])
    with suppress(UnstorableValue):
        async with db.begin() as tx:
            await tx.insert_rows(thing, [{"thing_id": "e" * 65, "number": 1}])
    async with db.read() as tx:
        kept = set((await tx.execute(select(thing.c.thing_id))).scalars())
    refused = {"a", "c" * 64}
    assert kept == (refused if db.dialect == "postgresql" else {"b" * 65, "c" * 64, "e" * 65})


async def test_moments_come_back_aware_and_exact(db: Database) -> None:
    moment = datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=UTC)
    async with db.begin() as tx:
        await tx.execute(tx.insert(thing), {"thing_id": "a", "at": moment})
    async with db.read() as tx:
        assert (await tx.execute(select(thing.c.at))).scalar_one() == moment


async def test_naive_moment_is_refused(db: Database) -> None:
    with pytest.raises(StatementError, match="naive"):
        async with db.begin() as tx:
            await tx.execute(tx.insert(thing), {"thing_id": "a", "at": datetime(2026, 1, 1)})  # noqa: DTZ001


async def test_number_beyond_64_bits_is_an_unstorable_value(db: Database) -> None:
    with pytest.raises(UnstorableValue):
        async with db.begin() as tx:
            await tx.execute(tx.insert(thing), {"thing_id": "a", "number": 2**63})
    assert await count(db) == 0


@pytest.mark.postgres
@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_nul_is_an_unstorable_value(db: Database) -> None:
    with pytest.raises(UnstorableValue):
        async with db.begin() as tx:
            await tx.execute(tx.insert(thing), {"thing_id": "a\0"})


async def test_broken_constraint_stays_what_it_is(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute(tx.insert(thing), {"thing_id": "a"})
    with pytest.raises(IntegrityError):
        async with db.begin() as tx:
            await tx.execute(tx.insert(thing), {"thing_id": "a"})


async def test_concurrent_writers_lose_no_update(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute(tx.insert(thing), {"thing_id": "a", "number": 0})

    async def add(tx: Transaction) -> None:
        row = (await tx.execute(select(thing.c.number).with_for_update())).one()
        await tx.execute(update(thing).values(number=row.number + 1))

    await asyncio.gather(*(db.run(add) for _ in range(20)))

    async with db.read() as tx:
        assert (await tx.execute(select(thing.c.number))).scalar_one() == 20


async def test_reader_does_not_wait_for_a_writer(db: Database) -> None:
    async with db.begin() as writer:
        await writer.execute(writer.insert(thing), {"thing_id": "a"})
        async with asyncio.timeout(1):
            assert await count(db) == 0


async def test_locked_row_or_file_becomes_contention_within_the_lock_timeout(db: Database) -> None:
    other = Database(db.url, lock_timeout_s=0.3)
    async with db.begin() as tx:
        await tx.execute(tx.insert(thing), {"thing_id": "a"})
    try:
        async with db.begin() as holder:
            await holder.execute(update(thing).values(number=1))
            started = time.monotonic()
            with pytest.raises(DatabaseContended):
                async with other.begin() as tx:
                    await tx.execute(update(thing).values(number=2))
            assert time.monotonic() - started < 3
    finally:
        await other.close()


async def test_run_tries_again_after_contention(db: Database) -> None:
    attempts = 0

    async def work(tx: Transaction) -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise DatabaseContended
        return attempts

    assert await db.run(work) == 3


@pytest.mark.postgres
@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_deadlock_is_resolved_by_run(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute(tx.insert(thing), [{"thing_id": "a", "number": 0}, {"thing_id": "b", "number": 0}])
    both = asyncio.Barrier(2)
    met = set()

    def work(first: str, second: str):
        async def locked(tx: Transaction) -> None:
            await tx.execute(text("SET LOCAL lock_timeout = '10s'"))
            await tx.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
            await tx.execute(update(thing).where(thing.c.thing_id == first).values(number=thing.c.number + 1))
            if first not in met:
                met.add(first)
                await both.wait()
            await tx.execute(update(thing).where(thing.c.thing_id == second).values(number=thing.c.number + 1))

        return locked

    await asyncio.gather(db.run(work("a", "b")), db.run(work("b", "a")))
    async with db.read() as tx:
        assert (await tx.execute(select(func.sum(thing.c.number)))).scalar_one() == 4


async def test_cancelled_transaction_gives_its_connection_back(db: Database) -> None:
    async def hold(inside: asyncio.Event) -> None:
        async with db.begin() as tx:
            await tx.execute(tx.insert(thing), {"thing_id": "a"})
            inside.set()
            await asyncio.Event().wait()

    for _ in range(12):  # three times the pool
        inside = asyncio.Event()
        task = asyncio.create_task(hold(inside))
        await inside.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await count(db) == 0


async def test_commit_under_way_is_finished_although_the_caller_is_cancelled(db: Database) -> None:
    """Cancel at every point of the event loop from the last statement on: a commit that began is never given up."""
    for turns in range(1, 25):
        called: list[int] = []
        name = f"turn-{turns}"
        done = asyncio.Event()

        async def write(name: str = name, done: asyncio.Event = done) -> None:
            async with db.begin() as tx:
                await tx.execute(tx.insert(thing), {"thing_id": name})
                done.set()

        task = asyncio.create_task(write())
        await done.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        async with db.read() as tx:
            found = (await tx.execute(select(func.count()).where(thing.c.thing_id == name))).scalar_one()
        assert outcome is not None or found == 1, f"turn {turns}: reported as done, but not stored"
        assert called == []
    async with db.begin() as tx:
        await tx.execute(tx.insert(thing), {"thing_id": "still usable"})


async def test_ping_tells_the_time(db: Database) -> None:
    assert abs((await db.ping() - datetime.now(UTC)).total_seconds()) < 2


async def test_unreachable_server_is_unavailable_within_the_acquire_timeout() -> None:
    db = Database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing", acquire_timeout_s=1)
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        await db.ping()
    assert time.monotonic() - started < 3
    await db.close()


async def test_busy_pool_is_unavailable_within_the_acquire_timeout(tmp_path: Path) -> None:
    db = Database(f"sqlite+aiosqlite:///{tmp_path}/x.db", acquire_timeout_s=0.2)
    async with db.begin():
        with pytest.raises(DatabaseUnavailable):
            async with db.begin():
                pass
    await db.close()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that a test may freeze and kill."""
    with Postgres() as server:
        yield server


@pytest.mark.postgres
async def test_frozen_server_wedges_nothing_and_is_used_again_when_it_thaws(own_postgres: Postgres) -> None:
    """SIGSTOP leaves connections open and silent; every call must end in time, and the pool must recover."""
    server = own_postgres
    db = Database(server.url("postgres"), pool_size=2, acquire_timeout_s=1, statement_timeout_s=1)
    await asyncio.gather(db.ping(), db.ping())
    pids = await backends(db)
    freeze([server.pid, *pids], signal.SIGSTOP)
    try:
        started = time.monotonic()
        outcomes = await asyncio.gather(*(db.ping() for _ in range(6)), return_exceptions=True)
        took = time.monotonic() - started
    finally:
        freeze([server.pid, *pids], signal.SIGCONT)
    assert all(isinstance(outcome, DatabaseUnavailable) for outcome in outcomes), outcomes
    assert took < 10
    started = time.monotonic()
    while True:
        try:
            await db.ping()
            break
        except DatabaseUnavailable:
            assert time.monotonic() - started < 4
    await db.close()


async def backends(db: Database) -> list[int]:
    async with db.read() as tx:
        return [row[0] for row in await tx.execute(text("SELECT pid FROM pg_stat_activity"))]


def freeze(pids: Sequence[int | None], how: signal.Signals) -> None:
    for pid in pids:
        assert pid is not None
        os.kill(pid, how)


@pytest.mark.postgres
async def test_killed_server_is_used_again_after_its_restart(own_postgres: Postgres) -> None:
    server = own_postgres
    db = Database(server.url("postgres"), pool_size=3, acquire_timeout_s=1)
    await asyncio.gather(db.ping(), db.ping(), db.ping())
    await asyncio.to_thread(server.kill)
    with pytest.raises(DatabaseUnavailable):
        await db.ping()
    await asyncio.to_thread(server.start)
    failures = 0
    while True:
        try:
            await db.ping()
            break
        except DatabaseUnavailable:
            failures += 1
            assert failures < 4
    await db.close()


@pytest.mark.postgres
@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_unsafe_postgresql_is_refused(db: Database) -> None:
    await check_safety(db)
    name = db.url.rsplit("/", 1)[1]
    async with db._writer.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    await db.close()
    with pytest.raises(UnsafeDatabase, match="synchronous_commit"):
        await check_safety(db)
