"""What people changed about queues and agents, so that it can be taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """One head per tenant, one row per changed queue or agent."""
    op.create_table(
        "config_heads",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="config_heads_pk"),
    )
    op.create_table(
        "config_edits",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="queue, agent"),
        sa.Column("key", sa.String(length=128), nullable=False, comment="id of the queue or agent"),
        sa.Column("before", sa.Text(), nullable=False, comment="settings, JSON; empty: there were none"),
        sa.Column("after", sa.Text(), nullable=False, comment="settings, JSON; empty: there are none"),
        sa.Column("by", sa.String(length=255), nullable=False, comment="subject of the token"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "revision", "kind", "key", name="config_edits_pk"),
    )
