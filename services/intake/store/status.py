"""The copy of the router's word about tickets, and tickets about which it has said nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from fenliu.chassis.db import Transaction, in_keys
from services.intake.domain.contact import SETTLED, Contact
from services.intake.domain.ticket import Snapshot
from services.intake.store import events
from services.intake.tables import customers, matters, messages, outbox, tickets

Key = tuple[str, str]

COPIED = (
    "state",
    "version",
    "fence",
    "queue_id",
    "agent_id",
    "agent_name",
    "labels",
    "reason",
    "awaited",
    "reopen_count",
    "first_response_due_at",
    "resolution_due_at",
    "first_responded_at",
    "changed_at",
)


async def update_snapshots(tx: Transaction, snapshots: Sequence[Snapshot]) -> None:
    """Apply snapshots that are newer than the copy; one per ticket. A settled ticket takes no more contacts."""
    settled = [(s.tenant_id, s.ticket_id) for s in snapshots if s.state in SETTLED]
    reopened = [(s.tenant_id, s.ticket_id) for s in snapshots if s.state not in SETTLED and s.reopen_count > 0]
    if settled:  # matters before tickets: the order in which receiving locks them
        await tx.execute(_matters_of(settled).with_for_update())
    change = (
        update(tickets)
        .where(
            tickets.c.tenant_id == bindparam("in_tenant"),
            tickets.c.ticket_id == bindparam("in_ticket"),
            tickets.c.version < bindparam("to_version"),
        )
        .values({tickets.c[name]: bindparam(f"to_{name}") for name in COPIED} | {tickets.c.announce_at: None})
    )
    rows = [
        {"in_tenant": s.tenant_id, "in_ticket": s.ticket_id, **{f"to_{name}": getattr(s, name) for name in COPIED}}
        for s in snapshots
    ]
    await tx.execute(change, rows)
    if settled:
        await _close_matters(tx, settled)
    if reopened:
        await _reopen_matters(tx, reopened)


def _matters_of(keys: list[tuple[str, str]]) -> Any:
    return (
        select(matters.c.subject)
        .where(in_keys((matters.c.tenant_id, matters.c.ticket_id), keys))
        .order_by(matters.c.tenant_id, matters.c.customer_id, matters.c.subject)
    )


async def _close_matters(tx: Transaction, keys: list[tuple[str, str]]) -> None:
    """Remove the matters of tickets that are settled by the copy; a late snapshot changed nothing there."""
    query = select(tickets.c.tenant_id, tickets.c.ticket_id).where(
        in_keys((tickets.c.tenant_id, tickets.c.ticket_id), keys), tickets.c.state.in_(sorted(SETTLED))
    )
    if settled := [tuple(row) for row in await tx.execute(query)]:
        await tx.execute(delete(matters).where(in_keys((matters.c.tenant_id, matters.c.ticket_id), settled)))


async def _reopen_matters(tx: Transaction, keys: list[tuple[str, str]]) -> None:
    """Give matters back to tickets that are open again, unless a newer ticket took them over."""
    query = select(
        tickets.c.tenant_id, tickets.c.ticket_id, tickets.c.customer_id, tickets.c.order_id, tickets.c.parcel_id
    ).where(in_keys((tickets.c.tenant_id, tickets.c.ticket_id), keys), tickets.c.state.not_in(sorted(SETTLED)))
    rows = []
    for row in await tx.execute(query):
        for prefix, value in (("order:", row.order_id), ("parcel:", row.parcel_id)):
            if value:
                rows.append(
                    {
                        "tenant_id": row.tenant_id,
                        "customer_id": row.customer_id,
                        "subject": prefix + value,
                        "ticket_id": row.ticket_id,
                    }
                )
    if rows:
        rows.sort(key=lambda row: (row["tenant_id"], row["customer_id"], row["subject"]))
        await tx.insert_rows(matters, rows, new_only=True)


async def load_unheard(tx: Transaction, limit: int) -> dict[Key, tuple[int, int] | None]:
    """Tickets about which the router has said nothing and whose time to be looked at has come, oldest first.

    With each: partition and offset of the newest record that announced it; None while that waits in the outbox.
    """
    query = (
        select(tickets.c.tenant_id, tickets.c.ticket_id)
        .where(tickets.c.version == 0, tickets.c.announce_at <= tx.now)
        .order_by(tickets.c.announce_at)
        .limit(limit)
    )
    found = {(row.tenant_id, row.ticket_id): row.ticket_id for row in await tx.execute(query)}
    if not found:
        return {}
    acks = (
        select(outbox.c.record_key, outbox.c.ack_partition, outbox.c.ack_offset, outbox.c.published_at)
        .where(outbox.c.record_key.in_(sorted(found.values())))
        .order_by(outbox.c.id)
    )
    newest: dict[str, tuple[int, int] | None] = {}
    for row in await tx.execute(acks):
        newest[row.record_key] = None if row.ack_offset is None else (row.ack_partition, row.ack_offset)
    return {key: newest.get(ticket_id) for key, ticket_id in found.items()}


async def lock_unheard(tx: Transaction, keys: list[Key]) -> Sequence[Any]:
    """Those of the tickets about which the router has still said nothing and which no other process has in hand."""
    query = (
        select(tickets)
        .where(
            in_keys((tickets.c.tenant_id, tickets.c.ticket_id), keys),
            tickets.c.version == 0,
            tickets.c.announce_at <= tx.now,
        )
        .order_by(tickets.c.tenant_id, tickets.c.ticket_id)
        .with_for_update(skip_locked=True)
    )
    return (await tx.execute(query)).all()


async def update_announcement(tx: Transaction, row: Any, announcements: int, announce_at: datetime) -> None:
    """Record how many times a ticket was announced again and when to look next."""
    await tx.execute(
        update(tickets)
        .where(tickets.c.tenant_id == row.tenant_id, tickets.c.ticket_id == row.ticket_id)
        .values(announcements=announcements, announce_at=announce_at)
    )


async def announce_again(tx: Transaction, row: Any, announcement: int) -> None:
    """Publish TicketReceived once more under an event id of its own, so that no inbox drops it."""
    opening = select(messages.c.text).where(
        messages.c.tenant_id == row.tenant_id, messages.c.ticket_id == row.ticket_id, messages.c.sequence == 1
    )
    customer = select(customers).where(
        customers.c.tenant_id == row.tenant_id, customers.c.customer_id == row.customer_id
    )
    contact = Contact(
        tenant_id=row.tenant_id,
        ticket_id=row.ticket_id,
        customer_id=row.customer_id,
        text=(await tx.execute(opening)).scalar_one(),
        order_id=row.order_id,
        parcel_id=row.parcel_id,
        channel=row.channel,
        locale=row.locale,
        desk_id=row.desk_id,
        region=row.region,
        fact=row.fact,
    )
    event_id = f"intake:{row.ticket_id}:again:{announcement}"
    known = (await tx.execute(customer)).one_or_none()
    events.received(tx, contact, row.received_at, known, row.repeat_contacts, event_id=event_id)


async def count_unheard(tx: Transaction) -> tuple[int, datetime | None]:
    """How many tickets the router has said nothing about, and when the oldest of them was received."""
    row = (
        await tx.execute(
            select(func.count(), func.min(tickets.c.received_at)).where(tickets.c.announce_at.is_not(None))
        )
    ).one()
    return int(row[0]), row[1]
