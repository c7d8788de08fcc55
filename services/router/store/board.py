"""Reads for people and dashboards: what waits, what an agent holds, what happened to a ticket, how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select, text

from fenliu.chassis.db import Transaction
from services.router.domain.ticket import OWNED, Ticket
from services.router.store.rows import TICKET_COLUMNS, ticket_of
from services.router.tables import agents, ticket_history, tickets


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a ticket's history."""

    version: int
    action: str
    state: str
    fence: int
    agent_id: str
    queue_id: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Waiters:
    """Waiting tickets of one queue and tier. oldest: since when the oldest waits; None where none does."""

    queue_id: str
    tier: str
    count: int
    oldest: datetime | None


async def load_history(tx: Transaction, ticket_id: str) -> list[Step]:
    """Every change of a ticket, the first one first. The caller has checked the tenant."""
    columns = [ticket_history.c[name] for name in Step.__slots__]
    query = select(*columns).where(ticket_history.c.ticket_id == ticket_id).order_by(ticket_history.c.version)
    return [Step(*row) for row in await tx.execute(query)]


async def list_assignments(tx: Transaction, tenant_id: str, agent_id: str) -> list[Ticket]:
    """What the agent owns, the most pressing first; bounded by their capacity, and by 500."""
    query = select(*TICKET_COLUMNS).where(
        tickets.c.tenant_id == tenant_id, tickets.c.agent_id == agent_id, tickets.c.state.in_(sorted(OWNED))
    )
    ordered = query.order_by(tickets.c.first_response_due_at, tickets.c.ticket_id).limit(500)
    return [ticket_of(row) for row in await tx.execute(ordered)]


async def list_waiting(
    tx: Transaction, tenant_id: str, queue_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Ticket]:
    """Waiting tickets of a queue, the one that waits longest first."""
    query = select(*TICKET_COLUMNS).where(
        tickets.c.tenant_id == tenant_id, tickets.c.queue_id == queue_id, tickets.c.state == "waiting"
    )
    if after is not None:
        since, ticket_id = after
        later = and_(tickets.c.waiting_since == since, tickets.c.ticket_id > ticket_id)
        query = query.where(or_(tickets.c.waiting_since > since, later))
    ordered = query.order_by(tickets.c.waiting_since, tickets.c.ticket_id).limit(limit)
    return [ticket_of(row) for row in await tx.execute(ordered)]


async def list_awaited(
    tx: Transaction, tenant_id: str, party: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Ticket]:
    """Tickets on hold for this party, the one that waits longest first."""
    query = select(*TICKET_COLUMNS).where(
        tickets.c.state == "on_hold", tickets.c.tenant_id == tenant_id, tickets.c.awaited == party
    )
    if after is not None:
        since, ticket_id = after
        later = and_(tickets.c.awaited_since == since, tickets.c.ticket_id > ticket_id)
        query = query.where(or_(tickets.c.awaited_since > since, later))
    ordered = query.order_by(tickets.c.awaited_since, tickets.c.ticket_id).limit(limit)
    return [ticket_of(row) for row in await tx.execute(ordered)]


async def list_escalated(tx: Transaction, tenant_id: str, *, after: str, limit: int) -> list[Ticket]:
    """Open tickets about which a supervisor was told and that nobody has acknowledged, by id."""
    query = select(*TICKET_COLUMNS).where(
        text("escalation > 2 AND acknowledged_by = '' AND next_check_at IS NOT NULL"),  # as the partial index says
        tickets.c.tenant_id == tenant_id,
        tickets.c.ticket_id > after,
    )
    return [ticket_of(row) for row in await tx.execute(query.order_by(tickets.c.ticket_id).limit(limit))]


async def count_waiting(tx: Transaction, tenant_id: str | None = None) -> list[Waiters]:
    """Waiting tickets by queue and tier, of one tenant or of all."""
    query = select(
        tickets.c.queue_id, tickets.c.tier, func.count(), func.min(tickets.c.waiting_since)
    ).where(tickets.c.state == "waiting")  # fmt: skip
    if tenant_id is not None:
        query = query.where(tickets.c.tenant_id == tenant_id)
    return [Waiters(*row) for row in await tx.execute(query.group_by(tickets.c.queue_id, tickets.c.tier))]


async def count_states(tx: Transaction) -> dict[str, int]:
    """Open tickets by state."""
    query = select(tickets.c.state, func.count()).where(tickets.c.next_check_at.is_not(None)).group_by(tickets.c.state)
    return {row[0]: row[1] for row in await tx.execute(query)}


async def count_agents(tx: Transaction) -> dict[str, tuple[int, int, int]]:
    """(agents, capacity, load) by presence."""
    query = select(agents.c.presence, func.count(), func.sum(agents.c.capacity), func.sum(agents.c.load))
    return {row[0]: (row[1], int(row[2]), int(row[3])) for row in await tx.execute(query.group_by(agents.c.presence))}


async def count_drift(tx: Transaction) -> int:
    """Sum over all agents of the distance between the load counter and the tickets that they really own; 0 is right."""
    owned = (
        select(tickets.c.tenant_id, tickets.c.agent_id, func.count().label("held"))
        .where(tickets.c.state.in_(sorted(OWNED)), tickets.c.agent_id != "")
        .group_by(tickets.c.tenant_id, tickets.c.agent_id)
        .subquery()
    )
    same = and_(agents.c.tenant_id == owned.c.tenant_id, agents.c.agent_id == owned.c.agent_id)
    held = func.coalesce(owned.c.held, 0)
    query = select(func.coalesce(func.sum(func.abs(agents.c.load - held)), 0)).select_from(
        agents.outerjoin(owned, same)
    )
    return int((await tx.execute(query)).scalar_one())


async def load_due(tx: Transaction, limit: int) -> list[str]:
    """Ids of tickets whose time to look has come, the most overdue first."""
    query = select(tickets.c.ticket_id).where(tickets.c.next_check_at <= tx.now).order_by(tickets.c.next_check_at)
    return [row[0] for row in await tx.execute(query.limit(limit))]


async def load_open_of(tx: Transaction, tenant_id: str, agent_id: str) -> list[str]:
    """Ids of what the agent owns."""
    query = select(tickets.c.ticket_id).where(
        tickets.c.tenant_id == tenant_id, tickets.c.agent_id == agent_id, tickets.c.state.in_(sorted(OWNED))
    )
    return [row[0] for row in await tx.execute(query)]
