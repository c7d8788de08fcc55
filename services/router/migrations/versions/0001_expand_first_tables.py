"""The router's first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Everything that the first release needs: work, agents, queues, leases, outbox and inbox."""
    _agents()
    _agents_indexes()
    _desks()
    _inbox()
    _outbox()
    _outbox_lease()
    _outbox_partition()
    _queues()
    _ticket_history()
    _tickets()
    _tickets_indexes()


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("desk_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("skills", sa.Text(), nullable=False, comment="JSON object: skill slug to level 0..1"),
        sa.Column(
            "languages", sa.Text(), nullable=False, comment="JSON array of primary tags; empty array: every language"
        ),
        sa.Column("seniority", sa.Float(), nullable=False, comment="0..1"),
        sa.Column("capacity", sa.Integer(), nullable=False, comment="tickets they may own at once"),
        sa.Column("load", sa.Integer(), server_default="0", nullable=False, comment="tickets they own now"),
        sa.Column("presence", sa.String(length=16), nullable=False, comment="online, away, offline"),
        sa.Column("presence_at", sa.DateTime(timezone=True), nullable=False, comment="when presence last changed"),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="last sign of life: presence set, or a poll for work",
        ),
        sa.Column("last_assigned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="grows when settings or presence change"),
        sa.Column(
            "revision",
            sa.BigInteger(),
            nullable=False,
            comment="grows with every change, also of load or of owned work",
        ),
        sa.Column(
            "release_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="their work must be looked at because they left; null: nothing to do",
        ),
        sa.Column(
            "dirty",
            sa.Boolean(),
            server_default=sa.text("(false)"),
            nullable=False,
            comment="changed by somebody else than the dispatcher since it last looked",
        ),
        sa.CheckConstraint("capacity >= 0", name="agents_capacity_not_negative"),
        sa.CheckConstraint("load >= 0", name="agents_load_not_negative"),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", name="agents_pk"),
        postgresql_with={"fillfactor": 60},
    )


def _agents_indexes() -> None:
    op.create_index(
        "ix_agents_dirty",
        "agents",
        ["tenant_id", "desk_id"],
        unique=False,
        postgresql_where=sa.text("dirty"),
        sqlite_where=sa.text("dirty"),
    )
    op.create_index(
        "ix_agents_release",
        "agents",
        ["release_at"],
        unique=False,
        postgresql_where=sa.text("release_at IS NOT NULL"),
        sqlite_where=sa.text("release_at IS NOT NULL"),
    )
    op.create_index(
        "ix_agents_seen",
        "agents",
        ["seen_at"],
        unique=False,
        postgresql_where=sa.text("presence = 'online'"),
        sqlite_where=sa.text("presence = 'online'"),
    )


def _desks() -> None:
    op.create_table(
        "desks",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("desk_id", sa.String(length=128), nullable=False),
        sa.Column(
            "holder", sa.String(length=64), server_default="", nullable=False, comment="dispatcher that serves the desk"
        ),
        sa.Column(
            "fence", sa.BigInteger(), server_default="0", nullable=False, comment="grows with every change of holder"
        ),
        sa.Column(
            "expires_s",
            sa.Float(precision=53),
            server_default="0",
            nullable=False,
            comment="Unix seconds on the database's clock",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "desk_id", name="desks_pk"),
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.String(length=64), nullable=False, comment="consumer group"),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id"),
    )
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"], unique=False)


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


def _outbox_lease() -> None:
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


def _outbox_partition() -> None:
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


def _queues() -> None:
    op.create_table(
        "queues",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("queue_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("skill", sa.String(length=64), nullable=False),
        sa.Column("level", sa.Float(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("policy", sa.String(length=64), nullable=False),
        sa.Column("offer_timeout_s", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "queue_id", name="queues_pk"),
    )


def _ticket_history() -> None:
    op.create_table(
        "ticket_history",
        sa.Column("ticket_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="after the change"),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False, comment="owner after the change; empty: nobody"),
        sa.Column("queue_id", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", "version", name="ticket_history_pk"),
    )


def _tickets() -> None:
    op.create_table(
        "tickets",
        *_ticket_place(),
        *_ticket_labels(),
        *_ticket_escalation(),
        *_ticket_times(),
        sa.PrimaryKeyConstraint("ticket_id"),
        postgresql_with={"fillfactor": 60},
    )


def _ticket_place() -> list[sa.Column[Any]]:
    """Whose it is, in which state, with whom."""
    return [
        sa.Column("ticket_id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("desk_id", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("queue_id", sa.String(length=128), server_default="", nullable=False),
        sa.Column("agent_id", sa.String(length=128), server_default="", nullable=False),
        sa.Column("agent_name", sa.String(length=200), server_default="", nullable=False),
        sa.Column("reason", sa.String(length=64), server_default="", nullable=False),
        sa.Column("awaited", sa.String(length=32), server_default="", nullable=False),
        sa.Column("reopen_count", sa.Integer(), server_default="0", nullable=False),
    ]


def _ticket_label_sources() -> list[sa.Column[Any]]:
    return [
        sa.Column(
            "corrected",
            sa.Boolean(),
            server_default=sa.text("(false)"),
            nullable=False,
            comment="a person set the labels",
        ),
        sa.Column(
            "model_version",
            sa.String(length=64),
            server_default="",
            nullable=False,
            comment="model that gave the labels before any correction",
        ),
    ]


def _ticket_labels() -> list[sa.Column[Any]]:
    """What is known about it, and what was promised."""
    return [
        sa.Column(
            "tier", sa.String(length=16), server_default="", nullable=False, comment="copy of labels.tier, for counting"
        ),
        sa.Column(
            "labels", sa.Text(), server_default="", nullable=False, comment="labels in force, JSON; empty: none yet"
        ),
        sa.Column(
            "suggestion",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="newer labels that were not applied, JSON; empty: none",
        ),
        *_ticket_label_sources(),
        sa.Column(
            "facts", sa.Text(), server_default="", nullable=False, comment="what routing knows besides the labels, JSON"
        ),
        sa.Column(
            "announced",
            sa.Boolean(),
            server_default=sa.text("(false)"),
            nullable=False,
            comment="TicketReceived was seen",
        ),
        sa.Column(
            "labelled_sequence",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="message whose labels are in force or suggested",
        ),
        sa.Column("predicted_min", sa.Float(), server_default="0", nullable=False, comment="minutes of work expected"),
        sa.Column(
            "declined_by",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="agents who declined, JSON array; empty: nobody",
        ),
        sa.Column("rating", sa.SmallInteger(), server_default="0", nullable=False, comment="1 to 5; 0: not rated"),
        sa.Column(
            "sla_version",
            sa.String(length=32),
            server_default="",
            nullable=False,
            comment="version of sla.toml under which it was promised",
        ),
    ]


def _ticket_escalation() -> list[sa.Column[Any]]:
    """What was missed, who was told, what was done by hand."""
    return [
        sa.Column(
            "missed",
            sa.String(length=64),
            server_default="",
            nullable=False,
            comment="clocks whose due time has passed and was counted, comma-separated",
        ),
        sa.Column(
            "escalation",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="steps of the ladder taken for the clock that counts",
        ),
        sa.Column(
            "acknowledged_by",
            sa.String(length=255),
            server_default="",
            nullable=False,
            comment="supervisor who took care of the escalation",
        ),
        sa.Column(
            "reminded",
            sa.Boolean(),
            server_default=sa.text("(false)"),
            nullable=False,
            comment="whoever is awaited was reminded",
        ),
        sa.Column(
            "pinned",
            sa.Boolean(),
            server_default=sa.text("(false)"),
            nullable=False,
            comment="given by hand: no clock takes it from its owner",
        ),
        sa.Column(
            "note",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="what the last agent or party had to say to the next",
        ),
    ]


def _ticket_times() -> list[sa.Column[Any]]:
    """When what happened or must happen."""
    return [
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, comment="when intake accepted it"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_response_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_responded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "next_response_due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="null: no message of the customer is unanswered",
        ),
        sa.Column("owned_since", sa.DateTime(timezone=True), nullable=True, comment="when its present owner got it"),
        sa.Column(
            "awaited_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="since when it is on hold or resolved",
        ),
        sa.Column(
            "next_check_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when something must have happened; null only when it is over",
        ),
        sa.Column(
            "dirty",
            sa.Boolean(),
            server_default=sa.text("(false)"),
            nullable=False,
            comment="changed by somebody else than the dispatcher since it last looked",
        ),
    ]


def _tickets_indexes() -> None:
    op.create_index(
        "ix_tickets_agent",
        "tickets",
        ["tenant_id", "agent_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('offered', 'assigned', 'in_progress', 'on_hold')"),
        sqlite_where=sa.text("state IN ('offered', 'assigned', 'in_progress', 'on_hold')"),
    )
    op.create_index(
        "ix_tickets_awaited",
        "tickets",
        ["tenant_id", "awaited", "awaited_since"],
        unique=False,
        postgresql_where=sa.text("state = 'on_hold'"),
        sqlite_where=sa.text("state = 'on_hold'"),
    )
    op.create_index(
        "ix_tickets_escalated",
        "tickets",
        ["tenant_id", "ticket_id"],
        unique=False,
        postgresql_where=sa.text("escalation > 2 AND acknowledged_by = '' AND next_check_at IS NOT NULL"),
        sqlite_where=sa.text("escalation > 2 AND acknowledged_by = '' AND next_check_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tickets_dirty",
        "tickets",
        ["tenant_id", "desk_id"],
        unique=False,
        postgresql_where=sa.text("dirty"),
        sqlite_where=sa.text("dirty"),
    )
    op.create_index(
        "ix_tickets_due",
        "tickets",
        ["next_check_at"],
        unique=False,
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
        sqlite_where=sa.text("next_check_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tickets_waiting",
        "tickets",
        ["tenant_id", "desk_id", "queue_id", "waiting_since"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
        sqlite_where=sa.text("state = 'waiting'"),
    )
