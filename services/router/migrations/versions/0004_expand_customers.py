"""Which agent knows a customer, and which one serves them by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """One row per customer of whom a ticket was resolved, or for whom an agent was named."""
    op.create_table(
        "customers",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("customer_id", sa.String(length=128), nullable=False),
        sa.Column(
            "known_agent",
            sa.String(length=128),
            server_default="",
            nullable=False,
            comment="who resolved their last ticket",
        ),
        sa.Column(
            "dedicated_agent",
            sa.String(length=128),
            server_default="",
            nullable=False,
            comment="whom a supervisor named for them",
        ),
        sa.Column(
            "month", sa.String(length=7), server_default="", nullable=False, comment="2026-11: for which `used` counts"
        ),
        sa.Column(
            "used",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="tickets of that month that wished for the dedicated agent",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "customer_id", name="customers_pk"),
    )
