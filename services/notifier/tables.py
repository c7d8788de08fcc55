"""The notifier's tables: its copy of tickets, their timelines, and what is owed to subscribers."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from fenliu.chassis.db import UtcDateTime
from fenliu.chassis.messaging.tables import messaging_tables

metadata = MetaData()
messaging_tables(metadata)

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", String(128), nullable=False),
    Column("tenant_id", String(128), nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0", comment="router's; 0 before any snapshot"),
    Column("state", String(32), nullable=False, server_default=""),
    Column("step", String(32), nullable=False, server_default="", comment="what customers read of the state"),
    Column("agent_id", String(128), nullable=False, server_default=""),
    Column("agent_name", Text, nullable=False, server_default=""),
    Column("awaited", String(128), nullable=False, server_default=""),
    Column("previous_version", BigInteger, nullable=False, server_default="0", comment="before the last snapshot"),
    Column("previous_step", String(32), nullable=False, server_default=""),
    Column("previous_agent_id", String(128), nullable=False, server_default=""),
    Column("customer_id", String(128), nullable=False, server_default=""),
    Column("order_id", String(128), nullable=False, server_default=""),
    Column("parcel_id", String(128), nullable=False, server_default=""),
    Column("received_at", UtcDateTime),
    Column("changed_at", UtcDateTime),
    Column("first_response_due_at", UtcDateTime),
    Column("resolution_due_at", UtcDateTime),
    Column("first_responded_at", UtcDateTime),
    Column("last_sequence", BigInteger, nullable=False, comment="highest sequence reserved in the timeline"),
    PrimaryKeyConstraint("ticket_id", "tenant_id", name="tickets_pk"),
    postgresql_with={"fillfactor": 60},  # room to update a row in its own page, which leaves the indexes alone
)
"""One row per ticket, made by whichever event comes first. Its row lock orders the writers of the ticket's timeline, so
that a sequence is never visible before a lower one."""

timeline = Table(
    "timeline",
    metadata,
    Column("ticket_id", String(128), nullable=False),
    Column("tenant_id", String(128), nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="grows in commit order within the ticket; has gaps"),
    Column("kind", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("text", Text, nullable=False, server_default=""),
    Column("author_id", String(128), nullable=False, server_default="", comment="agent; empty for customers"),
    Column("source", String(16), nullable=False),
    Column("source_sequence", BigInteger, nullable=False),
    PrimaryKeyConstraint("ticket_id", "tenant_id", "sequence", name="timeline_pk"),
    UniqueConstraint("ticket_id", "tenant_id", "source", "source_sequence", name="timeline_source_uq"),
)
"""What customers may see, one row per line. The unique constraint drops an event that arrives again."""

agents = Table(
    "agents",
    metadata,
    Column("tenant_id", String(128), nullable=False),
    Column("agent_id", String(128), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("tenant_id", "agent_id", name="agents_pk"),
    postgresql_with={"fillfactor": 60},  # room to update a row in its own page, which leaves the indexes alone
)
"""Names of agents as customers may read them."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription_id", String(36), primary_key=True),
    Column("tenant_id", String(128), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False, comment="state names or *, separated by spaces"),
    Column("description", Text, nullable=False, server_default=""),
    Column("secret", Text, nullable=False, comment="whsec_…; needed in clear to sign"),
    Column("previous_secret", Text, nullable=False, server_default="", comment="signs as well until the next column"),
    Column("previous_until", UtcDateTime, comment="null: there is no previous secret"),
    Column("enabled", Boolean, nullable=False),
    Column("disabled_reason", Text, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Index("subscriptions_tenant_ix", "tenant_id", "subscription_id"),
)
"""Who wants to be told. Deleting one deletes what is still owed to it."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", String(36), primary_key=True, comment="sent as webhook-id"),
    Column("tenant_id", String(128), nullable=False),
    Column("subscription_id", String(36), nullable=False),
    Column("ticket_id", String(128), nullable=False, server_default="", comment="empty for a test delivery"),
    Column("event_type", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", String(16), nullable=False, comment="pending, sent, failed"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="claimed so far"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, comment="null when nothing is due any more"),
    Column("lease_expires_s", Float(53), comment="Unix seconds on the database's clock; null: nobody is sending it"),
    Column("lease_id", String(36), nullable=False, server_default=""),
    Column("last_status", Integer, comment="HTTP status of the last attempt; null when there was no answer"),
    Column("last_error", Text, nullable=False, server_default=""),
    Column("last_attempt_at", UtcDateTime),
    Column("finished_at", UtcDateTime, comment="when it was sent or given up"),
)
"""One row per webhook that is or was owed; purged some days after it finished."""
Index("deliveries_log_ix", deliveries.c.tenant_id, deliveries.c.created_at, deliveries.c.delivery_id)
Index(
    "deliveries_due_ix",
    deliveries.c.next_attempt_at,
    postgresql_where=deliveries.c.state == "pending",
    sqlite_where=deliveries.c.state == "pending",
)
Index("deliveries_finished_ix", deliveries.c.finished_at)
Index("deliveries_subscription_ix", deliveries.c.subscription_id)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", String(36), nullable=False),
    Column("number", Integer, nullable=False, comment="1 is the first"),
    Column("at", UtcDateTime, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status", Integer, comment="HTTP status; null when there was no answer"),
    Column("error", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("delivery_id", "number", name="attempts_pk"),
)
"""The delivery log: one row per attempt that was recorded. A crash between sending and recording leaves no row."""
