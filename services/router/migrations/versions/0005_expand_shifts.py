"""Agents' shifts, and time to wrap up after a ticket."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Columns alone: without a plan and without wrap-up nothing changes."""
    op.add_column(
        "agents",
        sa.Column("shifts", sa.Text(), server_default="", nullable=False, comment="plan, JSON; empty: presence alone"),
    )
    for name, comment in (
        ("shift_from", "beginning of the present or next shift"),
        ("shift_ends_at", "end of the present, next or last shift; null: no plan"),
        ("shift_turn_at", "when the next shift must be found; null: never"),
        ("shift_ended_at", "end of the shift before"),
        ("wrap_until", "until when they wrap up and get nothing new"),
    ):
        op.add_column("agents", sa.Column(name, sa.DateTime(timezone=True), nullable=True, comment=comment))
    op.create_index(
        "ix_agents_shift",
        "agents",
        ["shift_turn_at"],
        postgresql_where=sa.text("shift_turn_at IS NOT NULL"),
        sqlite_where=sa.text("shift_turn_at IS NOT NULL"),
    )
    op.add_column(
        "tickets",
        sa.Column(
            "wrap_up_s",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="seconds for its agent to wrap up after it",
        ),
    )
    op.add_column(
        "queues",
        sa.Column("wrap_up_s", sa.Integer(), server_default="0", nullable=False, comment="seconds after each ticket"),
    )
