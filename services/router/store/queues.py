"""What tenants changed about their queues."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select

from fenliu.chassis.db import Transaction
from services.router.domain.queues import Queue
from services.router.store.rows import QUEUE_COLUMNS, QUEUE_FIELDS, queue_of
from services.router.tables import queues


async def load_overrides(tx: Transaction, tenant_id: str) -> dict[str, Queue]:
    """The tenant's own queues and settings, by id; queues that it left alone are not here."""
    query = select(*QUEUE_COLUMNS).where(queues.c.tenant_id == tenant_id).order_by(queues.c.queue_id)
    return {queue.queue_id: queue for queue in map(queue_of, await tx.execute(query))}


async def load_all_overrides(tx: Transaction) -> dict[str, dict[str, Queue]]:
    """Every tenant's, by tenant and queue."""
    found: dict[str, dict[str, Queue]] = {}
    for row in await tx.execute(select(queues.c.tenant_id, *QUEUE_COLUMNS)):
        found.setdefault(row[0], {})[row[1]] = queue_of(row[1:])
    return found


def settings_of(queue: Queue) -> dict[str, Any]:
    """What a person sets about a queue: all of it but its version."""
    return {name: getattr(queue, name) for name in QUEUE_FIELDS if name != "version"}


async def delete_queue(tx: Transaction, tenant_id: str, queue_id: str) -> None:
    """Take back what a tenant said about a queue; one of queues.toml is then as it says there."""
    await tx.execute(delete(queues).where(queues.c.tenant_id == tenant_id, queues.c.queue_id == queue_id))


async def upsert_queue(tx: Transaction, tenant_id: str, queue: Queue) -> Queue:
    """Write a tenant's queue; its version grows by one. Returns it as written."""
    row = {name: getattr(queue, name) for name in QUEUE_FIELDS} | {"tenant_id": tenant_id, "version": queue.version + 1}
    statement = tx.insert(queues)
    kept = {name: statement.excluded[name] for name in QUEUE_FIELDS if name not in ("queue_id", "version")}
    statement = statement.on_conflict_do_update(
        index_elements=[queues.c.tenant_id, queues.c.queue_id], set_={**kept, "version": queues.c.version + 1}
    )
    return queue_of((await tx.execute(statement.returning(*QUEUE_COLUMNS), row)).one())
