"""What a plan rested on, so that it can be made again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Two columns; decisions of older versions have none and cannot be replayed."""
    op.add_column(
        "ticket_decisions",
        sa.Column(
            "scene_at",
            sa.String(length=160),
            server_default="",
            nullable=False,
            comment="ticket@version of the row of the same plan that has the scene; empty: none kept",
        ),
    )
    op.add_column(
        "ticket_decisions",
        sa.Column("scene", sa.LargeBinary(), nullable=True, comment="facts of the plan, see store/scenes.py"),
    )
