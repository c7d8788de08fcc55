"""What the dispatcher needs: the desk's lease, changed rows, and locks on what it is about to write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import bindparam, select, tuple_, update

from fenliu.chassis.db import Transaction, padded
from fenliu.chassis.messaging.tables import database_seconds
from services.router.domain.ticket import Agent, Ticket
from services.router.store.rows import AGENT_COLUMNS, TICKET_COLUMNS, agent_of, ticket_of
from services.router.tables import agents, desks, tickets

Desk = tuple[str, str]
"""Tenant and desk."""


async def claim_desks(tx: Transaction, holder: str, lease_s: float) -> dict[Desk, int]:
    """Renew the leases that `holder` has and take those that ran out. Returns the fence of every desk held.

    lease_s  length of a lease, seconds on the database's clock.
    """
    held = (desks.c.tenant_id, desks.c.desk_id, desks.c.fence)
    renew = update(desks).where(desks.c.holder == holder).values(expires_s=database_seconds() + lease_s)
    found = {(row[0], row[1]): int(row[2]) for row in await tx.execute(renew.returning(*held))}
    take = (
        update(desks)
        .where(desks.c.expires_s <= database_seconds())
        .values(holder=holder, fence=desks.c.fence + 1, expires_s=database_seconds() + lease_s)
    )
    return found | {(row[0], row[1]): int(row[2]) for row in await tx.execute(take.returning(*held))}


async def release_desks(tx: Transaction, holder: str) -> None:
    """Give up every lease, so that another dispatcher need not wait for it to run out."""
    await tx.execute(update(desks).where(desks.c.holder == holder).values(expires_s=0.0))


async def hold_desk(tx: Transaction, desk: Desk, holder: str, fence: int, lease_s: float) -> bool:
    """Renew the desk's lease and keep it from changing hands until this transaction ends; False where it already has.

    A lease that ran out while nobody took it over is still good: holder and fence say whose the desk is.
    """
    renew = (
        update(desks)
        .where(
            desks.c.tenant_id == desk[0],
            desks.c.desk_id == desk[1],
            desks.c.holder == holder,
            desks.c.fence == fence,
        )
        .values(expires_s=database_seconds() + lease_s)
    )
    return (await tx.execute(renew.returning(desks.c.fence))).first() is not None


async def load_waiting(tx: Transaction, desk: Desk, *, after: str, limit: int) -> list[Ticket]:
    """Waiting tickets of a desk with ids above `after`, by id."""
    query = select(*TICKET_COLUMNS).where(
        tickets.c.tenant_id == desk[0],
        tickets.c.desk_id == desk[1],
        tickets.c.state == "waiting",
        tickets.c.ticket_id > after,
    )
    return [ticket_of(row) for row in await tx.execute(query.order_by(tickets.c.ticket_id).limit(limit))]


async def load_dirty_tickets(tx: Transaction, held: Collection[Desk], limit: int) -> list[Ticket]:
    """Tickets of these desks that somebody else changed since the dispatcher last looked."""
    query = select(*TICKET_COLUMNS).where(tickets.c.dirty, tuple_(tickets.c.tenant_id, tickets.c.desk_id).in_(held))
    return [ticket_of(row) for row in await tx.execute(query.limit(limit))]


async def load_dirty_agents(tx: Transaction, held: Collection[Desk], limit: int) -> list[Agent]:
    """Agents of these desks that somebody else changed since the dispatcher last looked."""
    query = select(*AGENT_COLUMNS).where(agents.c.dirty, tuple_(agents.c.tenant_id, agents.c.desk_id).in_(held))
    return [agent_of(row) for row in await tx.execute(query.limit(limit))]


async def clear_dirty(tx: Transaction, seen: Sequence[Ticket], staff: Sequence[Agent]) -> None:
    """Note that these rows were seen; a row that changed since stays dirty."""
    if seen:
        rows = [{"id": ticket.ticket_id, "seen": ticket.version} for ticket in seen]
        statement = update(tickets).where(
            tickets.c.ticket_id == bindparam("id"), tickets.c.version == bindparam("seen")
        )
        await tx.execute(statement.values(dirty=False), sorted(rows, key=lambda row: str(row["id"])))
    if staff:
        rows = [{"tenant": a.tenant_id, "agent": a.agent_id, "seen": a.revision} for a in staff]
        agent_statement = update(agents).where(
            agents.c.tenant_id == bindparam("tenant"),
            agents.c.agent_id == bindparam("agent"),
            agents.c.revision == bindparam("seen"),
        )
        ordered = sorted(rows, key=lambda row: (str(row["tenant"]), str(row["agent"])))
        await tx.execute(agent_statement.values(dirty=False), ordered)


async def lock_waiting(tx: Transaction, versions: Mapping[str, int]) -> set[str]:
    """Lock these tickets in the order of their ids. Returns the won: those that still wait at the given version."""
    query = (
        select(tickets.c.ticket_id, tickets.c.version, tickets.c.state)
        .where(tickets.c.ticket_id.in_(padded(versions)))
        .order_by(tickets.c.ticket_id)
        .with_for_update()
    )
    rows = (await tx.execute(query)).all()
    return {row[0] for row in rows if row[2] == "waiting" and row[1] == versions[row[0]]}


async def lock_agents(tx: Transaction, tenant_id: str, agent_ids: Collection[str]) -> dict[str, Agent]:
    """Lock these agents in the order of their ids and read them as they are."""
    query = (
        select(*AGENT_COLUMNS)
        .where(agents.c.tenant_id == tenant_id, agents.c.agent_id.in_(padded(agent_ids)))
        .order_by(agents.c.agent_id)
        .with_for_update()
    )
    return {agent.agent_id: agent for agent in map(agent_of, await tx.execute(query))}
