"""Intake's tables. The tenant is the first column of every key and index, except of the two that workers scan by time.

Absent text is '', absent time is NULL.

All times are UTC, all amounts are in minor units (cents, fen).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from fenliu.chassis.db import UtcDateTime
from fenliu.chassis.messaging.tables import messaging_tables

metadata = MetaData()
messaging_tables(metadata)
outbox = metadata.tables["outbox"]
Index("ix_outbox_record_key", outbox.c.record_key)  # by which the sweep finds what announced a ticket


def _id(name: str) -> Column[str]:
    return Column(name, String(128), nullable=False, server_default="")


def _word(name: str, length: int = 64) -> Column[str]:
    return Column(name, String(length), nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


tickets = Table(
    "tickets",
    metadata,
    _id("tenant_id"),
    _id("ticket_id"),
    _id("customer_id"),
    _id("order_id"),
    _id("parcel_id"),
    _word("channel"),
    _word("locale"),
    Column("attributes", Text, nullable=False, server_default="{}"),  # the caller's own fields, JSON text
    _id("desk_id"),
    _word("region"),
    _word("origin", 16),  # customer | event
    Column("fact", String(300), nullable=False, server_default=""),  # fact:<kind>:<id>
    Column("received_at", UtcDateTime, nullable=False),
    Column("sequence", BigInteger, nullable=False, server_default="1"),  # last fact of this ticket that was published
    _count("repeat_contacts"),  # contacts that joined
    Column("cancel_requested_at", UtcDateTime),
    Column("help_requested_at", UtcDateTime),
    Column("confirmed_at", UtcDateTime),
    # Copy of the router's snapshot; version 0 means that the router has said nothing yet.
    _word("state", 32),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    _id("queue_id"),
    _id("agent_id"),
    Column("agent_name", String(256), nullable=False, server_default=""),
    Column("labels", Text, nullable=False, server_default="{}"),  # JSON text
    Column("reason", String(256), nullable=False, server_default=""),
    _word("awaited"),
    _count("reopen_count"),
    Column("first_response_due_at", UtcDateTime),
    Column("resolution_due_at", UtcDateTime),
    Column("first_responded_at", UtcDateTime),
    Column("changed_at", UtcDateTime),
    # Sweep of tickets that the router has not taken up (D10).
    _count("announcements"),  # how many times it was announced again
    Column("announce_at", UtcDateTime),  # when to look again; NULL: the router has spoken
    PrimaryKeyConstraint("tenant_id", "ticket_id", name="pk_tickets"),
    Index("ix_tickets_received", "tenant_id", "received_at"),
    Index("ix_tickets_customer", "tenant_id", "customer_id", "received_at"),
    Index(
        "ix_tickets_order",
        "tenant_id",
        "order_id",
        "received_at",
        postgresql_where=text("order_id <> ''"),
        sqlite_where=text("order_id <> ''"),
    ),
    Index(
        "ix_tickets_unheard",
        "announce_at",
        postgresql_where=text("announce_at IS NOT NULL"),
        sqlite_where=text("announce_at IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": 60},  # room to update a row in its own page, which leaves the indexes alone
)
"""Tickets with the copy of their state."""

messages = Table(
    "messages",
    metadata,
    _id("tenant_id"),
    _id("ticket_id"),
    Column("sequence", BigInteger, nullable=False),
    _word("author_role", 16),  # customer | agent | system
    _id("author_id"),
    _word("visibility", 16),  # public | internal
    Column("text", Text, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "ticket_id", "sequence", name="pk_messages"),
)
"""Everything that was written, the opening text included."""

requests = Table(
    "requests",
    metadata,
    _id("tenant_id"),
    Column("operation", String(160), nullable=False),  # create | fact | message:<ticket_id>
    Column("key", String(300), nullable=False),
    _word("fingerprint"),
    _id("ticket_id"),
    Column("joined", Integer, nullable=False, server_default="0"),
    Column("sequence", BigInteger, nullable=False, server_default="1"),  # message that it became
    _word("state", 32),  # state that the answer named
    Column("received_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "operation", "key", name="pk_requests"),
)
"""Idempotency keys and facts that took effect, with what is needed to give the same answer again."""

matters = Table(
    "matters",
    metadata,
    _id("tenant_id"),
    _id("customer_id"),
    Column("subject", String(160), nullable=False),  # order:<id> | parcel:<number>
    _id("ticket_id"),
    PrimaryKeyConstraint("tenant_id", "customer_id", "subject", name="pk_matters"),
    Index("ix_matters_ticket", "tenant_id", "ticket_id"),
)
"""The open ticket of each matter. A row is there exactly while its ticket takes further contacts."""

customers = Table(
    "customers",
    metadata,
    _id("tenant_id"),
    _id("customer_id"),
    Column("yearly_spend_minor", BigInteger, nullable=False, server_default="0"),
    _word("currency", 8),
    _word("customer_class"),
    PrimaryKeyConstraint("tenant_id", "customer_id", name="pk_customers"),
)
"""What order events say about customers."""

orders = Table(
    "orders",
    metadata,
    _id("tenant_id"),
    _id("order_id"),
    Column("version", BigInteger, nullable=False),
    _word("status", 32),
    _id("customer_id"),
    Column("total_minor", BigInteger, nullable=False, server_default="0"),
    _word("currency", 8),
    Column("promised_at", UtcDateTime),
    Column("refund_promised_at", UtcDateTime),
    Column("refund_paid_at", UtcDateTime),
    Column("occurred_at", UtcDateTime),
    Column("note", String(2000), nullable=False, server_default=""),
    PrimaryKeyConstraint("tenant_id", "order_id", name="pk_orders"),
)
"""Orders as the newest event left them; version guards against older ones."""

parcels = Table(
    "parcels",
    metadata,
    _id("tenant_id"),
    _id("parcel_id"),
    Column("version", BigInteger, nullable=False),
    _id("order_id"),
    _word("status", 32),
    _word("trouble", 16),  # lost | damaged
    _word("carrier"),
    Column("location", String(256), nullable=False, server_default=""),
    Column("promised_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("occurred_at", UtcDateTime),
    Column("note", String(2000), nullable=False, server_default=""),
    PrimaryKeyConstraint("tenant_id", "parcel_id", name="pk_parcels"),
    Index("ix_parcels_order", "tenant_id", "order_id"),
)
"""Parcels as the newest scan left them; version 0 is a parcel that only its order has named."""

charges = Table(
    "charges",
    metadata,
    _id("tenant_id"),
    _id("order_id"),
    _id("charge_id"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "order_id", "charge_id", name="pk_charges"),
)
"""Money taken, one row per charge at the payment provider."""

dues = Table(
    "dues",
    metadata,
    _id("tenant_id"),
    _word("kind", 16),  # delivery | refund
    Column("subject_id", String(160), nullable=False),  # order:<id> | parcel:<number>
    _id("order_id"),
    _id("parcel_id"),
    Column("due_at", UtcDateTime, nullable=False),  # promise + grace
    PrimaryKeyConstraint("tenant_id", "kind", "subject_id", name="pk_dues"),
    Index("ix_dues_due", "due_at"),
)
"""Promises to look at again."""

corrections = Table(
    "corrections",
    metadata,
    _id("tenant_id"),
    _id("ticket_id"),
    Column("version", BigInteger, nullable=False),  # the router's, after the correction
    Column("labels_before", Text, nullable=False),  # JSON text; {}: there were none
    Column("labels_after", Text, nullable=False),
    _word("corrected_by_role", 16),  # agent | supervisor | admin
    Column("reason", String(200), nullable=False, server_default=""),
    _word("model_version"),  # that gave the labels before the first correction
    Column("corrected_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "ticket_id", "version", name="pk_corrections"),
    Index("ix_corrections_corrected", "tenant_id", "corrected_at", "ticket_id", "version"),
)
"""Labels as people corrected them. The text that they belong to is in messages; who it was is not kept."""

ratings = Table(
    "ratings",
    metadata,
    _id("tenant_id"),
    _id("ticket_id"),
    Column("score", Integer, nullable=False),  # 1 to 5
    Column("comment", String(2000), nullable=False, server_default=""),
    Column("rated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "ticket_id", name="pk_ratings"),
    Index("ix_ratings_rated", "tenant_id", "rated_at", "ticket_id"),
)
"""The customer's verdict; a second one replaces the first."""
