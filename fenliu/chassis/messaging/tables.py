"""Tables that every service with a database has: outbox, its leases and facts, inbox.

A service puts them among its own with `messaging_tables(metadata)`; its first migration creates them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from fenliu.chassis.db import UtcDateTime

_row_id = BigInteger().with_variant(Integer(), "sqlite")
_own = MetaData()

outbox = Table(
    "outbox",
    _own,
    Column("id", _row_id, primary_key=True, autoincrement=True, comment="order of insertion; grows per key"),
    Column("shard", SmallInteger, nullable=False, comment="crc32 of the key modulo the number of shards"),
    Column("event_id", String(64), nullable=False),
    Column("topic", String(64), nullable=False),
    Column("record_key", String(255), nullable=False),
    Column("headers", LargeBinary, nullable=False, comment="see envelope.pack_headers"),
    Column("value", LargeBinary, nullable=False, comment="protobuf"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime, comment="null: waits to be published"),
    Column("ack_partition", Integer, comment="where the broker put it last"),
    Column("ack_offset", BigInteger, comment="where the broker put it last"),
)
"""Events to publish and, for 7 days, events published. Read by row state, never by id > last (see relay.py)."""

Index(
    "ix_outbox_pending",
    outbox.c.shard,
    outbox.c.id,
    postgresql_where=text("published_at IS NULL"),
    sqlite_where=text("published_at IS NULL"),
)

outbox_lease = Table(
    "outbox_lease",
    _own,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("holder", String(64), nullable=False),
    Column("fence", BigInteger, nullable=False, comment="grows with every change of holder"),
    Column("expires_s", Float(53), nullable=False, comment="Unix seconds on the database's clock"),
    Column("republish_after", BigInteger, comment="republishing: every row with a larger id ..."),
    Column("republish_until", BigInteger, comment="... up to this one goes out (again); null: nothing to do"),
)
"""One active relay per shard."""

outbox_partition = Table(
    "outbox_partition",
    _own,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("topic", String(64), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("last_offset", BigInteger, nullable=False, comment="highest offset that the broker acknowledged"),
    Column("checked_offset", BigInteger, nullable=False, comment="last_offset at checked_at"),
    Column("checked_at", UtcDateTime, nullable=False),
    Column("consumed_until", UtcDateTime, nullable=False, comment="all groups have read what was published before"),
)
"""What the relay knows about the broker's log, by which it notices that the log was replaced."""

inbox = Table(
    "inbox",
    _own,
    Column("consumer", String(64), primary_key=True, comment="consumer group"),
    Column("event_id", String(64), primary_key=True),
    Column("received_at", UtcDateTime, nullable=False),
)
"""Events that were handled, kept for 8 days: one day longer than any outbox may repeat them."""

Index("ix_inbox_received_at", inbox.c.received_at)


def outbox_tables(metadata: MetaData) -> list[Table]:
    """Add the outbox with its leases and facts to a service's metadata."""
    return [table.to_metadata(metadata) for table in (outbox, outbox_lease, outbox_partition)]


def inbox_table(metadata: MetaData) -> Table:
    """Add the inbox to a service's metadata."""
    return inbox.to_metadata(metadata)


def messaging_tables(metadata: MetaData) -> list[Table]:
    """Add all of them."""
    return [*outbox_tables(metadata), inbox_table(metadata)]


class database_seconds(FunctionElement[float]):
    """Unix seconds with fractions on the database's own clock; leases of several processes are compared with it."""

    type = Float(53)
    inherit_cache = True


@compiles(database_seconds, "postgresql")
def _on_postgresql(element: database_seconds, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(database_seconds, "sqlite")
def _on_sqlite(element: database_seconds, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"
