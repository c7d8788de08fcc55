"""Agents: settings, presence and the look-ups of the dispatcher and the clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import and_, bindparam, select, update

from fenliu.chassis.db import Transaction, in_keys
from services.router.domain.ticket import Agent
from services.router.store.rows import AGENT_COLUMNS, agent_of
from services.router.store.snapshots import emit_agent
from services.router.store.tickets import insert_desks
from services.router.tables import agents

_CHUNK = 500
_SETTINGS = ("desk_id", "name", "skills", "languages", "seniority", "capacity", "capacity_min")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What a supervisor says about an agent; see domain.ticket.Agent for the units."""

    agent_id: str
    name: str
    desk_id: str
    skills: Mapping[str, float]
    languages: Collection[str]
    seniority: float
    capacity: int
    capacity_min: float | None = None


def settings_of(agent: Agent) -> AgentSettings:
    """What a supervisor said about the agent."""
    return AgentSettings(
        agent.agent_id, agent.name, agent.desk_id, dict(agent.skills), sorted(agent.languages), agent.seniority,
        agent.capacity, agent.capacity_min,
    )  # fmt: skip


async def load_best_levels(tx: Transaction, tenant_id: str) -> dict[str, float] | None:
    """The highest level of each skill among all agents of the tenant; None where it has no agents."""
    best: dict[str, float] | None = None
    for row in await tx.execute(select(agents.c.skills).where(agents.c.tenant_id == tenant_id)):
        best = best or {}
        for skill, level in orjson.loads(row[0]).items():
            best[skill] = max(level, best.get(skill, 0.0))
    return best


async def upsert_agents(tx: Transaction, tenant_id: str, settings: Sequence[AgentSettings]) -> list[Agent]:
    """Make these agents (offline) or replace their settings; presence and load stay. Publishes their snapshots."""
    rows = [
        {
            "tenant_id": tenant_id,
            "agent_id": item.agent_id,
            "desk_id": item.desk_id,
            "name": item.name,
            "skills": orjson.dumps(dict(sorted(item.skills.items()))).decode(),
            "languages": orjson.dumps(sorted(item.languages)).decode(),
            "seniority": item.seniority,
            "capacity": item.capacity,
            "capacity_min": item.capacity_min,
            "presence": "offline",
            "presence_at": tx.now,
            "seen_at": tx.now,
            "version": 1,
            "revision": 1,
            "dirty": True,
        }
        for item in sorted(settings, key=lambda item: item.agent_id)
    ]
    statement = tx.insert(agents)
    kept = {name: statement.excluded[name] for name in _SETTINGS}
    statement = statement.on_conflict_do_update(
        index_elements=[agents.c.tenant_id, agents.c.agent_id],
        set_={**kept, "version": agents.c.version + 1, "revision": agents.c.revision + 1, "dirty": True},
    )
    found = [agent_of(row) for row in await tx.execute(statement.returning(*AGENT_COLUMNS), rows)]
    await insert_desks(tx, {(tenant_id, item.desk_id) for item in settings})
    for agent in found:
        emit_agent(tx, agent)
    return sorted(found, key=lambda agent: agent.agent_id)


async def update_presence(tx: Transaction, tenant_id: str, agent_ids: Collection[str], presence: str) -> list[Agent]:
    """Set these agents' presence. Whoever leaves gets release_at, by which the clock takes their work back.

    Returns those that exist, as they are now. Saying the same again is a sign of life and nothing else.
    """
    mine = and_(agents.c.tenant_id == tenant_id, agents.c.agent_id.in_(sorted(agent_ids)))
    locked = await tx.execute(select(*AGENT_COLUMNS).where(mine).order_by(agents.c.agent_id).with_for_update())
    before = [agent_of(row) for row in locked]
    changed = {agent.agent_id for agent in before if agent.presence != presence}
    await tx.execute(update(agents).where(mine).values(seen_at=tx.now))
    after: dict[str, Agent] = {}
    if changed:
        statement = (
            update(agents)
            .where(agents.c.tenant_id == tenant_id, agents.c.agent_id.in_(sorted(changed)))
            .values(_left_or_came(tx, presence))
            .returning(*AGENT_COLUMNS)
        )
        after = {agent.agent_id: agent for agent in map(agent_of, await tx.execute(statement))}
        for agent_id in sorted(after):
            emit_agent(tx, after[agent_id])
    return [after.get(agent.agent_id, agent) for agent in before]


def _left_or_came(tx: Transaction, presence: str) -> dict[str, Any]:
    return {
        "presence": presence,
        "presence_at": tx.now,
        "release_at": None if presence == "online" else tx.now,
        "version": agents.c.version + 1,
        "revision": agents.c.revision + 1,
        "dirty": True,
    }


async def update_lost(tx: Transaction, silent_since: datetime, limit: int = 200) -> list[Agent]:
    """Set agents offline of whom nothing was heard since then. Returns them."""
    lost = (
        select(agents.c.tenant_id, agents.c.agent_id)
        .where(agents.c.presence == "online", agents.c.seen_at < silent_since)
        .order_by(agents.c.tenant_id, agents.c.agent_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    keys = [tuple(row) for row in await tx.execute(lost)]
    if not keys:
        return []
    statement = (
        update(agents)
        .where(in_keys((agents.c.tenant_id, agents.c.agent_id), keys))
        .values(_left_or_came(tx, "offline"))
        .returning(*AGENT_COLUMNS)
    )
    found = [agent_of(row) for row in await tx.execute(statement)]
    for agent in found:
        emit_agent(tx, agent)
    return found


async def update_seen(tx: Transaction, tenant_id: str, agent_id: str) -> None:
    """Note a sign of life."""
    mine = and_(agents.c.tenant_id == tenant_id, agents.c.agent_id == agent_id)
    await tx.execute(update(agents).where(mine).values(seen_at=tx.now))


async def load_agent(tx: Transaction, tenant_id: str, agent_id: str, *, lock: bool = False) -> Agent | None:
    """An agent of this tenant, or None."""
    query = select(*AGENT_COLUMNS).where(agents.c.tenant_id == tenant_id, agents.c.agent_id == agent_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    return agent_of(row) if row else None


async def load_seen(tx: Transaction, tenant_id: str, agent_id: str) -> datetime | None:
    """The last sign of life of an agent."""
    query = select(agents.c.seen_at).where(agents.c.tenant_id == tenant_id, agents.c.agent_id == agent_id)
    found: datetime | None = (await tx.execute(query)).scalar_one_or_none()
    return found


async def load_agents(tx: Transaction, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Agent]:
    """Agents by (tenant, agent)."""
    found: dict[tuple[str, str], Agent] = {}
    ordered = sorted(keys)
    for start in range(0, len(ordered), _CHUNK):
        chunk = ordered[start : start + _CHUNK]
        query = select(*AGENT_COLUMNS).where(in_keys((agents.c.tenant_id, agents.c.agent_id), chunk))
        found |= {(agent.tenant_id, agent.agent_id): agent for agent in map(agent_of, await tx.execute(query))}
    return found


async def load_desk_agents(tx: Transaction, tenant_id: str, desk_id: str) -> list[Agent]:
    """Everybody on a desk, online or not, by id."""
    query = select(*AGENT_COLUMNS).where(agents.c.tenant_id == tenant_id, agents.c.desk_id == desk_id)
    return [agent_of(row) for row in await tx.execute(query.order_by(agents.c.agent_id))]


async def list_agents(
    tx: Transaction, tenant_id: str, *, after: str, limit: int, desk_id: str | None, presence: str | None
) -> list[Agent]:
    """Agents with ids above `after`, by id."""
    query = select(*AGENT_COLUMNS).where(agents.c.tenant_id == tenant_id, agents.c.agent_id > after)
    if desk_id is not None:
        query = query.where(agents.c.desk_id == desk_id)
    if presence is not None:
        query = query.where(agents.c.presence == presence)
    return [agent_of(row) for row in await tx.execute(query.order_by(agents.c.agent_id).limit(limit))]


async def load_revisions(tx: Transaction, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Revisions by (tenant, agent)."""
    found: dict[tuple[str, str], int] = {}
    ordered = sorted(keys)
    for start in range(0, len(ordered), _CHUNK):
        chunk = ordered[start : start + _CHUNK]
        query = select(agents.c.tenant_id, agents.c.agent_id, agents.c.revision).where(
            in_keys((agents.c.tenant_id, agents.c.agent_id), chunk)
        )
        found |= {(row[0], row[1]): row[2] for row in await tx.execute(query)}
    return found


async def load_releases(tx: Transaction, limit: int) -> list[Agent]:
    """Agents whose work must be looked at because they left."""
    query = select(*AGENT_COLUMNS).where(agents.c.release_at <= tx.now).order_by(agents.c.release_at).limit(limit)
    return [agent_of(row) for row in await tx.execute(query)]


async def clear_releases(tx: Transaction, looked_at: Sequence[Agent]) -> None:
    """Note that these agents' work was looked at, unless their presence changed again meanwhile."""
    if looked_at:
        statement = (
            update(agents)
            .where(
                agents.c.tenant_id == bindparam("tenant"),
                agents.c.agent_id == bindparam("agent"),
                agents.c.presence_at == bindparam("since", type_=agents.c.presence_at.type),
            )
            .values(release_at=None)
        )
        rows = [{"tenant": a.tenant_id, "agent": a.agent_id, "since": a.presence_at} for a in looked_at]
        await tx.execute(statement, sorted(rows, key=lambda row: (row["tenant"], row["agent"])))
