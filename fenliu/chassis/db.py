"""Transactions on PostgreSQL and SQLite. The only commit of the whole code base happens here.

    async with db.begin() as tx:
        row = (await tx.execute(select(...))).one()
        tx.emit(TicketReceived(...), key=ticket_id, sequence=1)

Both databases run the same statements (design D13); many rows at once PostgreSQL takes as arrays (ADR 0010). SQLite has
one writer connection, so writers queue; readers have connections of their own. Time-outs are everywhere: waiting for a
connection, a statement, a lock, an idle transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, Protocol, TypeVar

import asyncpg  # type: ignore[import-untyped]
from google.protobuf.message import Message
from sqlalchemy import (
    Column,
    ColumnElement,
    CursorResult,
    DateTime,
    Executable,
    Row,
    String,
    Table,
    TableValuedAlias,
    TypeDecorator,
    and_,
    bindparam,
    column,
    event,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeEngine

from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.errors import Malformed, Transient

T = TypeVar("T")
V = TypeVar("V")

RETRIED_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available: the same transaction may succeed when it is run again."""

SQLITE_AWAY = ("unable to open database", "disk I/O error", "database or disk is full", "readonly database")
"""SQLite has no codes for these; its other operational errors, such as a missing table, are bugs."""

DEMOTED = frozenset({"25006"})
"""The server became read-only: another one is the primary now."""

STOPPED = frozenset({"57P01", "57P02", "57P03", "57014"})
"""The server stops, crashed or is starting; or it cancelled a statement that took longer than it may."""


class DatabaseUnavailable(Transient):
    """The database does not answer. Nothing was changed; try again shortly."""

    slug = "database-unavailable"


class DatabaseContended(Transient):
    """The database had to choose between this and something else, and chose the other. Try again at once."""

    slug = "database-contended"


class UnstorableValue(Malformed):
    """A value cannot be stored: a number is out of range, or a text has a character that databases refuse."""

    slug = "unstorable-value"
    http_status = 422


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases. SQLite keeps no zone, so it is taken off and put on again here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was about to be stored; give it a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class OutboxWriter(Protocol):
    """What `Transaction.emit` hands its events to, just before the commit."""

    async def write(self, tx: Transaction, events: Sequence[Emitted]) -> None:
        """Insert one outbox row per event with one statement."""
        ...


class Emitted:
    """An event that waits for its transaction's commit."""

    __slots__ = ("causation_id", "event", "event_id", "key", "sequence")

    def __init__(self, event: Message, key: str, sequence: int, event_id: str | None, causation_id: str | None) -> None:
        self.event = event
        self.key = key
        self.sequence = sequence
        self.event_id = event_id
        self.causation_id = causation_id


class Transaction:
    """One transaction. `now` is the moment at which it began, by the process's clock (aware, UTC)."""

    def __init__(self, connection: AsyncConnection, now: datetime, dialect: Literal["postgresql", "sqlite"]) -> None:
        self.now = now
        self.dialect = dialect
        self._connection = connection
        self._emitted: list[Emitted] = []
        self._after_commit: list[Callable[[], object]] = []

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        """Run one statement; with a list of dicts, once per row in one round trip where the driver can."""
        return await self._connection.execute(statement, parameters)

    def insert(self, table: Table) -> postgresql.Insert:
        """INSERT with ON CONFLICT for whichever database this is. Both spell it alike; typed as PostgreSQL's."""
        chosen = postgresql.insert if self.dialect == "postgresql" else sqlite.insert
        return chosen(table)  # type: ignore[return-value]

    async def insert_rows(
        self,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        *,
        new_only: bool = False,
        returning: Sequence[Column[Any]] = (),
    ) -> Sequence[Row[Any]]:
        """Insert rows that all name the same columns, in their order. Returns `returning` of those that were inserted.

        new_only  rows that conflict with what is there are left out; else they raise.
        """
        if not rows:
            return []
        if self.dialect == "postgresql":
            # Columns as arrays: one execution whatever their number, at a third of the cost of one for every row.
            statement: Executable = _insert_of_arrays(table, tuple(rows[0]), new_only, tuple(returning))
            found = await self.execute(statement, {name: [row[name] for row in rows] for name in rows[0]})
        else:
            insert = sqlite.insert(table)
            insert = insert.on_conflict_do_nothing() if new_only else insert
            found = await self.execute(insert.returning(*returning) if returning else insert, list(rows))
        return found.all() if returning else []

    async def update_rows(
        self, table: Table, rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], *, sticky: tuple[str, ...] = ()
    ) -> None:
        """Change rows of which each is found by its key, (key, new values); all name the same columns.

        Keys are distinct. The caller has locked the rows: they are not written in any order, and nobody is told which
        were not there.

        sticky  flags that stay true where they are true.
        """
        if not rows:
            return
        keys, names = tuple(rows[0][0]), tuple(rows[0][1])
        if self.dialect == "postgresql":
            given: Any = {f"old_{name}": [key[name] for key, _ in rows] for name in keys}
            given |= {f"new_{name}": [new[name] for _, new in rows] for name in names}
        else:
            given = [
                {f"old_{n}": v for n, v in key.items()} | {f"new_{n}": v for n, v in new.items()} for key, new in rows
            ]
        await self.execute(_update_of(table, keys, names, sticky, arrays=self.dialect == "postgresql"), given)

    def emit(
        self,
        event: Message,
        *,
        key: str,
        sequence: int,
        event_id: str | None = None,
        causation_id: str | None = None,
    ) -> None:
        """Publish `event` if and only if this transaction commits.

        key           record key; events of one key are published in the order of their commits.
        sequence      position among the service's events of this type about this key; with the service's name and the
                      key it makes the event id, so the same fact always gets the same id (design D3).
        event_id      overrides that id.
        causation_id  id of the event that led to this one; absent when a request or a clock did.
        """
        self._emitted.append(Emitted(event, key, sequence, event_id, causation_id))

    def after_commit(self, call: Callable[..., object], *args: object) -> None:
        """Call `call(*args)` once the commit is done; never after a rollback. Must not block; wake-ups only."""
        self._after_commit.append(lambda: call(*args))


class Database:
    """A service's own database.

    url                   postgresql+asyncpg://… or sqlite+aiosqlite:///path
    outbox                takes what `emit` gives; None where the service publishes nothing.
    pool_size             connections to PostgreSQL; SQLite has one writer and this many readers.
    acquire_timeout_s     longest wait for a connection, seconds.
    statement_timeout_s   longest statement, seconds.
    lock_timeout_s        longest wait for a row lock (PostgreSQL) or for the file's writer (SQLite), seconds.
    idle_timeout_s        how long PostgreSQL lets a transaction stand idle before it ends the connection, seconds: so
                          long a stopped process keeps its locks. Default: three statements.
    """

    def __init__(
        self,
        url: str,
        *,
        outbox: OutboxWriter | None = None,
        clock: Clock | None = None,
        pool_size: int = 8,
        acquire_timeout_s: float = 5.0,
        statement_timeout_s: float = 10.0,
        lock_timeout_s: float = 5.0,
        idle_timeout_s: float | None = None,
    ) -> None:
        self.url = url
        self.clock: Clock = clock or SystemClock()
        self.outbox = outbox
        self.dialect: Literal["postgresql", "sqlite"] = "postgresql" if url.startswith("postgresql") else "sqlite"
        if self.dialect == "postgresql":
            idle_s = statement_timeout_s * 3 if idle_timeout_s is None else idle_timeout_s
            engine = _postgres_engine(url, pool_size, acquire_timeout_s, statement_timeout_s, lock_timeout_s, idle_s)
            self._writer = engine
            # Under READ COMMITTED every statement sees its own moment anyway, so reading saves BEGIN and ROLLBACK:
            # two of three round trips.
            self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        else:
            self._writer = _sqlite_engine(url, 1, acquire_timeout_s, lock_timeout_s, "BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(url, pool_size, acquire_timeout_s, lock_timeout_s, "BEGIN")

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Open a transaction; commit when the block ends, roll back when it raises.

        Raises DatabaseUnavailable when there is no connection or it broke; then it is unknown whether an interrupted
        commit took place, which is why ids are deterministic. Raises DatabaseContended where `run` would try again, and
        UnstorableValue for values that no schema check caught.
        """
        async with self._translated(), self._writer.connect() as connection:
            tx = Transaction(connection, self.clock.now(), self.dialect)
            await connection.begin()
            try:
                yield tx
                if tx._emitted:
                    if self.outbox is None:
                        raise RuntimeError("this service publishes nothing, yet an event was emitted")
                    await self.outbox.write(tx, tx._emitted)
            except TimeoutError as error:
                # The driver gave a statement up. The server may be frozen: a rollback would wait for it as long again.
                await connection.invalidate(error)
                raise
            await _uninterrupted(connection.commit())
        for call in tx._after_commit:
            call()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """Read, without waiting for writers. Two statements may see two different moments."""
        async with self._translated(), self._reader.connect() as connection:
            try:
                yield Transaction(connection, self.clock.now(), self.dialect)
            except TimeoutError as error:
                await connection.invalidate(error)
                raise

    async def reserve(self) -> AsyncConnection:
        """A connection outside of transactions, the caller's until they close it. Raises DatabaseUnavailable."""
        async with self._translated():
            return await self._reader.connect()

    async def run(self, work: Callable[[Transaction], Awaitable[T]], *, attempts: int = 5) -> T:
        """Run `work` in a transaction, again with jitter when the database asks for it (deadlock, serialization)."""
        for attempt in range(1, attempts + 1):
            try:
                async with self.begin() as tx:
                    return await work(tx)
            except DatabaseContended:
                if attempt == attempts:
                    raise
                await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Say in the chassis's words what the driver raises."""
        try:
            yield
        except (PoolTimeoutError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailable() from error
        except OverflowError as error:  # SQLite's driver, for integers beyond 64 bits
            raise UnstorableValue() from error
        except DBAPIError as error:
            if is_retriable(error):
                raise DatabaseContended() from error
            if _sqlstate(error) in DEMOTED:
                await self._writer.dispose()  # every pooled connection leads to the server that stepped down
            if is_disconnect(error):
                raise DatabaseUnavailable() from error
            if _sqlstate(error)[:2] == "22":
                raise UnstorableValue() from error
            raise

    async def ping(self) -> datetime:
        """The database's own clock (aware, UTC). Raises DatabaseUnavailable."""
        now = "SELECT now()" if self.dialect == "postgresql" else "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"
        async with self.read() as tx:
            value = (await tx.execute(text(now))).scalar_one()
        return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._reader.dispose()


def padded(values: Iterable[V]) -> list[V]:
    """The distinct values in order, the last one repeated up to a power of two; for `IN (…)`; none stay none.

    A list of another length is another statement to the caches of plans; this way there are ten instead of 500.
    """
    ordered = sorted(set(values))  # type: ignore[type-var]
    return ordered + ordered[-1:] * ((1 << (len(ordered) - 1).bit_length()) - len(ordered))


def _given(types: Mapping[str, TypeEngine[Any]]) -> TableValuedAlias:
    """The rows of one array per column, with their number as `place`. Texts without their length: cast to it, one too
    long would be cut in silence instead of refused."""
    arrays = [
        bindparam(name, type_=postgresql.ARRAY(String() if type(kind) is String else kind))
        for name, kind in types.items()
    ]
    columns = [column(name, kind) for name, kind in types.items()]
    return func.unnest(*arrays).table_valued(*columns, with_ordinality="place").render_derived(name="given")


@cache
def _insert_of_arrays(
    table: Table, names: tuple[str, ...], new_only: bool, returning: tuple[Column[Any], ...]
) -> Executable:
    """INSERT … SELECT … FROM unnest(array of each column), ordered as the arrays are."""
    given = _given({name: table.c[name].type for name in names})
    ordered = select(*(given.c[name] for name in names)).order_by(given.c.place)
    insert = postgresql.insert(table).from_select(list(names), ordered, include_defaults=False)
    insert = insert.on_conflict_do_nothing() if new_only else insert
    return insert.returning(*returning) if returning else insert


@cache
def _update_of(
    table: Table, keys: tuple[str, ...], names: tuple[str, ...], sticky: tuple[str, ...], *, arrays: bool
) -> Executable:
    """UPDATE … FROM unnest(array of each column), one execution whatever the number of rows; or one to run per row."""
    types = {f"old_{name}": table.c[name].type for name in keys} | {f"new_{name}": table.c[name].type for name in names}
    given: Any = _given(types).c if arrays else {name: bindparam(name, type_=kind) for name, kind in types.items()}
    values = {
        name: or_(table.c[name], given[f"new_{name}"]) if name in sticky else given[f"new_{name}"] for name in names
    }
    return update(table).where(*(table.c[name] == given[f"old_{name}"] for name in keys)).values(values)


def in_keys(columns: Sequence[ColumnElement[Any]], keys: Iterable[tuple[Any, ...]]) -> ColumnElement[bool]:
    """`(a, b) IN (…)` for composite keys of which there is at least one.

    Spelt `a = … AND b IN (…)` per distinct beginning, mostly one tenant: PostgreSQL looks those up one by one in an
    index, but reads everything of the tenant for pairs.
    """
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for key in keys:
        groups.setdefault(key[:-1], []).append(key[-1])
    return or_(
        *(
            and_(
                *(column == value for column, value in zip(columns, start, strict=False)), columns[-1].in_(padded(ends))
            )
            for start, ends in sorted(groups.items())
        )
    )


def is_retriable(error: DBAPIError) -> bool:
    """True where running the whole transaction again may succeed."""
    return _sqlstate(error) in RETRIED_SQLSTATES or "database is locked" in str(error.orig)


def is_disconnect(error: DBAPIError) -> bool:
    """True where the connection or the server went away, or the server is read-only or starting."""
    if any(words in str(error.orig) for words in SQLITE_AWAY):
        return True
    state = _sqlstate(error)
    return bool(error.connection_invalidated) or state[:2] in {"08", "53"} or state in DEMOTED | STOPPED


def _sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's code for an error; empty for errors of the driver itself and of SQLite."""
    return str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Await to the end even when the caller is cancelled: a commit is better known than guessed."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # taken note of; the caller is gone
        raise


def _postgres_engine(
    url: str, pool: int, acquire_s: float, statement_s: float, lock_s: float, idle_s: float
) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=acquire_s,
        pool_recycle=1800,
        connect_args={
            "timeout": acquire_s,
            "target_session_attrs": "read-write",
            "command_timeout": statement_s + 1,
            "server_settings": {
                "application_name": "fenliu",
                "timezone": "UTC",
                "statement_timeout": str(int(statement_s * 1000)),
                "lock_timeout": str(int(lock_s * 1000)),
                "idle_in_transaction_session_timeout": str(int(idle_s * 1000)),
                # Every statement here looks rows up by an index. A plan made while a table is young would read all of
                # it, and prepared statements keep their plans: at 250 tickets/s a look-up then took 50 ms.
                "enable_seqscan": "off",
                "jit": "off",
            },
        },
    )


def _sqlite_engine(url: str, pool: int, acquire_s: float, lock_s: float, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=pool, max_overflow=0, pool_timeout=acquire_s, connect_args={"timeout": lock_s}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's implicit BEGIN would come too late for a write lock
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
