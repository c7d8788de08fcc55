"""Minutes that agents need, learned from what they finish, and how many minutes they have at hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """A table of sums by agent and kind of work; time worked on a ticket; minutes at an agent's hand."""
    op.create_table(
        "efforts",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("category", sa.String(length=64), nullable=False),
        sa.Column("complexity", sa.String(length=16), nullable=False),
        sa.Column("count", sa.Integer(), server_default="0", nullable=False, comment="finished tickets that count"),
        sa.Column("minutes", sa.Float(), server_default="0", nullable=False, comment="of all of them together"),
        sa.Column("prior_min", sa.Float(), nullable=True, comment="what a supervisor expects; null: nothing"),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False, comment="grows with the prior"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", "category", "complexity", name="efforts_pk"),
    )
    op.create_index("ix_efforts_changed", "efforts", ["tenant_id", "changed_at"])
    op.add_column("tickets", sa.Column("working_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "tickets",
        sa.Column(
            "worked_s",
            sa.Float(),
            server_default="0",
            nullable=False,
            comment="seconds that its present owner worked on it before working_since",
        ),
    )
    op.add_column(
        "agents",
        sa.Column(
            "load_min", sa.Float(), server_default="0", nullable=False, comment="predicted minutes of what they own now"
        ),
    )
    op.add_column(
        "agents",
        sa.Column("capacity_min", sa.Float(), nullable=True, comment="minutes at which they are full; null: no limit"),
    )
    op.execute(
        "UPDATE agents SET load_min = (SELECT coalesce(sum(predicted_min), 0) FROM tickets"
        " WHERE tickets.tenant_id = agents.tenant_id AND tickets.agent_id = agents.agent_id"
        " AND state IN ('offered', 'assigned', 'in_progress', 'on_hold'))"
    )
