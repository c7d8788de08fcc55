"""What callers read. Every look-up names the tenant; a customer's also names the customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select

from fenliu.chassis.db import Transaction
from services.intake.domain.fact import Order, Parcel
from services.intake.store.orders import load_orders, load_parcels, load_parcels_of
from services.intake.tables import dues, messages, ratings, tickets

Position = tuple[datetime, str]
"""Where a list goes on: time and ticket of the last row shown."""


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """What a list of tickets is narrowed to; None is no restriction."""

    customer_id: str | None = None
    order_id: str | None = None
    state: str | None = None


async def load_ticket(tx: Transaction, tenant_id: str, ticket_id: str, customer_id: str | None = None) -> Any | None:
    """A ticket's row, or None. customer_id: None for a caller who may see every customer's tickets."""
    query = select(tickets).where(tickets.c.tenant_id == tenant_id, tickets.c.ticket_id == ticket_id)
    if customer_id is not None:
        query = query.where(tickets.c.customer_id == customer_id)
    return (await tx.execute(query)).one_or_none()


async def load_tickets(
    tx: Transaction, tenant_id: str, narrowed: TicketFilter, limit: int, after: Position | None
) -> Sequence[Any]:
    """Tickets newest first, at most `limit`, after a position."""
    query = select(tickets).where(tickets.c.tenant_id == tenant_id)
    if narrowed.customer_id is not None:
        query = query.where(tickets.c.customer_id == narrowed.customer_id)
    if narrowed.order_id is not None:
        query = query.where(tickets.c.order_id == narrowed.order_id, tickets.c.order_id != "")
    if narrowed.state is not None:
        states = ["received", ""] if narrowed.state == "received" else [narrowed.state]
        query = query.where(tickets.c.state.in_(states))
    if after is not None:
        at, ticket_id = after
        earlier = and_(tickets.c.received_at == at, tickets.c.ticket_id < ticket_id)
        query = query.where(tickets.c.received_at <= at, or_(tickets.c.received_at < at, earlier))
    query = query.order_by(tickets.c.received_at.desc(), tickets.c.ticket_id.desc()).limit(limit)
    return (await tx.execute(query)).all()


async def load_messages(
    tx: Transaction, tenant_id: str, ticket_id: str, limit: int, after: int, *, internal: bool
) -> Sequence[Any]:
    """Messages oldest first, with a sequence above `after`. internal: whether notes among agents are included."""
    query = select(messages).where(
        messages.c.tenant_id == tenant_id, messages.c.ticket_id == ticket_id, messages.c.sequence > after
    )
    if not internal:
        query = query.where(messages.c.visibility == "public")
    return (await tx.execute(query.order_by(messages.c.sequence).limit(limit))).all()


async def load_order(tx: Transaction, tenant_id: str, order_id: str) -> tuple[Order, list[Parcel]] | None:
    """An order with its parcels, or None."""
    key = (tenant_id, order_id)
    order = (await load_orders(tx, [key])).get(key)
    if order is None or order.version == 0:
        return None
    return order, (await load_parcels_of(tx, [key])).get(key, [])


async def load_parcel(tx: Transaction, tenant_id: str, parcel_id: str) -> Parcel | None:
    """A parcel, or None."""
    key = (tenant_id, parcel_id)
    return (await load_parcels(tx, [key])).get(key)


async def load_ratings(tx: Transaction, tenant_id: str, limit: int, after: Position | None) -> Sequence[Any]:
    """Ratings newest first, at most `limit`, after a position."""
    query = select(ratings).where(ratings.c.tenant_id == tenant_id)
    if after is not None:
        at, ticket_id = after
        earlier = and_(ratings.c.rated_at == at, ratings.c.ticket_id < ticket_id)
        query = query.where(ratings.c.rated_at <= at, or_(ratings.c.rated_at < at, earlier))
    query = query.order_by(ratings.c.rated_at.desc(), ratings.c.ticket_id.desc()).limit(limit)
    return (await tx.execute(query)).all()


async def count_dues(tx: Transaction, now: datetime) -> tuple[int, datetime | None]:
    """How many promises have passed without being looked at, and the oldest moment among them."""
    row = (await tx.execute(select(func.count(), func.min(dues.c.due_at)).where(dues.c.due_at <= now))).one()
    return int(row[0]), row[1]
