"""Why the dispatcher gave a ticket to an agent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """One row per decision of the dispatcher, beside the ticket's history."""
    op.create_table(
        "ticket_decisions",
        sa.Column("ticket_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="of the ticket after the assignment"),
        sa.Column("policy", sa.String(length=80), nullable=False, comment="name/version"),
        sa.Column("grounds", sa.Text(), nullable=False, comment="candidates with scores and parts, refusals; JSON"),
        sa.PrimaryKeyConstraint("ticket_id", "version", name="ticket_decisions_pk"),
    )
