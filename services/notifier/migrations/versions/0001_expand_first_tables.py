"""The notifier's first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Tickets, timelines, agents' names; subscriptions, deliveries, attempts; what messaging needs."""
    _agents()
    _tickets()
    _subscriptions()
    _deliveries()
    _outbox()
    _messaging()


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", name="agents_pk"),
        postgresql_with={"fillfactor": 60},
    )


def _tickets() -> None:
    op.create_table(
        "tickets",
        sa.Column("ticket_id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column(
            "version", sa.BigInteger(), server_default="0", nullable=False, comment="router's; 0 before any snapshot"
        ),
        sa.Column("state", sa.String(length=32), server_default="", nullable=False),
        sa.Column(
            "step", sa.String(length=32), server_default="", nullable=False, comment="what customers read of the state"
        ),
        sa.Column("agent_id", sa.String(length=128), server_default="", nullable=False),
        sa.Column("agent_name", sa.Text(), server_default="", nullable=False),
        sa.Column("awaited", sa.String(length=128), server_default="", nullable=False),
        sa.Column(
            "previous_version", sa.BigInteger(), server_default="0", nullable=False, comment="before the last snapshot"
        ),
        sa.Column("previous_step", sa.String(length=32), server_default="", nullable=False),
        sa.Column("previous_agent_id", sa.String(length=128), server_default="", nullable=False),
        sa.Column("customer_id", sa.String(length=128), server_default="", nullable=False),
        sa.Column("order_id", sa.String(length=128), server_default="", nullable=False),
        sa.Column("parcel_id", sa.String(length=128), server_default="", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_response_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_responded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "last_sequence", sa.BigInteger(), nullable=False, comment="highest sequence reserved in the timeline"
        ),
        sa.PrimaryKeyConstraint("ticket_id", "tenant_id", name="tickets_pk"),
        postgresql_with={"fillfactor": 60},
    )
    op.create_table(
        "timeline",
        sa.Column("ticket_id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column(
            "sequence", sa.BigInteger(), nullable=False, comment="grows in commit order within the ticket; has gaps"
        ),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "author_id", sa.String(length=128), server_default="", nullable=False, comment="agent; empty for customers"
        ),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("source_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", "tenant_id", "sequence", name="timeline_pk"),
        sa.UniqueConstraint("ticket_id", "tenant_id", "source", "source_sequence", name="timeline_source_uq"),
    )


def _subscriptions() -> None:
    op.create_table(
        "attempts",
        sa.Column("delivery_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="1 is the first"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True, comment="HTTP status; null when there was no answer"),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="attempts_pk"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("subscription_id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False, comment="state names or *, separated by spaces"),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("secret", sa.Text(), nullable=False, comment="whsec_…; needed in clear to sign"),
        sa.Column(
            "previous_secret",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="signs as well until the next column",
        ),
        sa.Column(
            "previous_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="null: there is no previous secret",
        ),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id"),
    )
    op.create_index("subscriptions_tenant_ix", "subscriptions", ["tenant_id", "subscription_id"], unique=False)


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.String(length=36), nullable=False, comment="sent as webhook-id"),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("subscription_id", sa.String(length=36), nullable=False),
        sa.Column(
            "ticket_id", sa.String(length=128), server_default="", nullable=False, comment="empty for a test delivery"
        ),
        sa.Column("event_type", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="pending, sent, failed"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False, comment="claimed so far"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "next_attempt_at", sa.DateTime(timezone=True), nullable=True, comment="null when nothing is due any more"
        ),
        sa.Column(
            "lease_expires_s",
            sa.Float(precision=53),
            nullable=True,
            comment="Unix seconds on the database's clock; null: nobody is sending it",
        ),
        sa.Column("lease_id", sa.String(length=36), server_default="", nullable=False),
        sa.Column(
            "last_status",
            sa.Integer(),
            nullable=True,
            comment="HTTP status of the last attempt; null when there was no answer",
        ),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.Column("last_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="when it was sent or given up"),
        sa.PrimaryKeyConstraint("delivery_id"),
    )
    op.create_index(
        "deliveries_due_ix",
        "deliveries",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )
    op.create_index("deliveries_finished_ix", "deliveries", ["finished_at"], unique=False)
    op.create_index("deliveries_log_ix", "deliveries", ["tenant_id", "created_at", "delivery_id"], unique=False)
    op.create_index("deliveries_subscription_ix", "deliveries", ["subscription_id"], unique=False)


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
            comment="order of insertion; grows per key",
        ),
        sa.Column("shard", sa.SmallInteger(), nullable=False, comment="crc32 of the key modulo the number of shards"),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("record_key", sa.String(length=255), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False, comment="see envelope.pack_headers"),
        sa.Column("value", sa.LargeBinary(), nullable=False, comment="protobuf"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True, comment="null: waits to be published"),
        sa.Column("ack_partition", sa.Integer(), nullable=True, comment="where the broker put it last"),
        sa.Column("ack_offset", sa.BigInteger(), nullable=True, comment="where the broker put it last"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["shard", "id"],
        unique=False,
        postgresql_where=sa.text("published_at IS NULL"),
        sqlite_where=sa.text("published_at IS NULL"),
    )
    if op.get_context().dialect.name == "postgresql":
        # Nearly every row is published, whatever a sample taken under load says; a plan that believes such a sample
        # walks through everything that was published to find what was not.
        op.execute("ALTER TABLE outbox ALTER COLUMN published_at SET STATISTICS 0")


def _messaging() -> None:
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.String(length=64), nullable=False, comment="consumer group"),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id"),
    )
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"], unique=False)
    op.create_table(
        "outbox_lease",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="grows with every change of holder"),
        sa.Column("expires_s", sa.Float(precision=53), nullable=False, comment="Unix seconds on the database's clock"),
        sa.Column(
            "republish_after", sa.BigInteger(), nullable=True, comment="republishing: every row with a larger id ..."
        ),
        sa.Column(
            "republish_until",
            sa.BigInteger(),
            nullable=True,
            comment="... up to this one goes out (again); null: nothing to do",
        ),
        sa.PrimaryKeyConstraint("shard"),
    )
    op.create_table(
        "outbox_partition",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "last_offset", sa.BigInteger(), nullable=False, comment="highest offset that the broker acknowledged"
        ),
        sa.Column("checked_offset", sa.BigInteger(), nullable=False, comment="last_offset at checked_at"),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "consumed_until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="all groups have read what was published before",
        ),
        sa.PrimaryKeyConstraint("shard", "topic", "partition"),
    )
