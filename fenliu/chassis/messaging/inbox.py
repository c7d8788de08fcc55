"""The inbox: which events a consumer group has handled. Written in the transaction of their effects (design D9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select

from fenliu.chassis.db import Transaction
from fenliu.chassis.messaging import tables


async def insert_new(tx: Transaction, consumer: str, event_ids: Sequence[str]) -> set[str]:
    """Note these events as handled; returns those that were not noted before.

    A second transaction with one of them waits until this one ends, and then finds it noted or not.
    """
    distinct = sorted(set(event_ids))  # sorted: two consumers with overlapping lists must not deadlock
    if not distinct:
        return set()
    rows = [{"consumer": consumer, "event_id": event_id, "received_at": tx.now} for event_id in distinct]
    return {
        row[0] for row in await tx.insert_rows(tables.inbox, rows, new_only=True, returning=[tables.inbox.c.event_id])
    }


async def purge_inbox(tx: Transaction, *, keep: timedelta = timedelta(days=8), limit: int = 5000) -> int:
    """Forget events older than `keep`. Returns how many; fewer than `limit`: done for now."""
    key = (tables.inbox.c.consumer, tables.inbox.c.event_id)
    doomed = select(*key).where(tables.inbox.c.received_at < tx.now - keep).limit(limit)
    rows = [tuple(row) for row in await tx.execute(doomed)]
    for consumer in {row[0] for row in rows}:
        ids = [row[1] for row in rows if row[0] == consumer]
        await tx.execute(delete(tables.inbox).where(key[0] == consumer, key[1].in_(ids)))
    return len(rows)
