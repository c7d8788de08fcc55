"""What people said of labels, and the text that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select

from fenliu.chassis.db import Transaction, in_keys
from services.intake.domain.contact import joined_text
from services.intake.domain.ticket import Correction
from services.intake.tables import corrections, messages

Position = tuple[datetime, str, int]
"""Where the list goes on: time, ticket and version of the last row shown."""


async def insert_corrections(tx: Transaction, found: Sequence[Correction]) -> None:
    """Keep corrections; one that is known already stays as it is."""
    await tx.execute(tx.insert(corrections).on_conflict_do_nothing(), [asdict(one) for one in found])


async def load_corrections(tx: Transaction, tenant_id: str, limit: int, after: Position | None) -> Sequence[Any]:
    """Corrections newest first, at most `limit`, after a position."""
    row = corrections.c
    query = select(corrections).where(row.tenant_id == tenant_id)
    if after is not None:
        at, ticket_id, version = after
        earlier = or_(row.ticket_id < ticket_id, and_(row.ticket_id == ticket_id, row.version < version))
        query = query.where(row.corrected_at <= at, or_(row.corrected_at < at, earlier))
    query = query.order_by(row.corrected_at.desc(), row.ticket_id.desc(), row.version.desc()).limit(limit)
    return (await tx.execute(query)).all()


async def load_texts(tx: Transaction, found: Sequence[Any]) -> list[str]:
    """For each correction what the customer had written by then, joined as for labelling; "" where it was nothing."""
    if not found:
        return []
    row = messages.c
    keys = {(one.tenant_id, one.ticket_id) for one in found}
    query = select(row.tenant_id, row.ticket_id, row.text, row.added_at).where(
        in_keys((row.tenant_id, row.ticket_id), keys), row.author_role == "customer"
    )
    written: dict[tuple[str, str], list[tuple[str, datetime]]] = {}
    for message in await tx.execute(query.order_by(row.tenant_id, row.ticket_id, row.sequence)):
        written.setdefault((message.tenant_id, message.ticket_id), []).append((message.text, message.added_at))
    return [
        _joined([text for text, at in written.get((one.tenant_id, one.ticket_id), []) if at <= one.corrected_at])
        for one in found
    ]


def _joined(texts: Sequence[str]) -> str:
    return joined_text(texts[:-1], texts[-1]) if texts else ""
