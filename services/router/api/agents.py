"""Agents: who there is, what they can, and what they are working on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Malformed
from fenliu.chassis.http import (
    NO_OTHER_NAMES,
    Cursor,
    Identifier,
    Page,
    Paged,
    StrictModel,
    Text,
    Whole,
    deadline,
    page,
    problem_responses,
    require,
)
from fenliu.contracts.vocabulary import DEFAULT_DESK, skills
from services.router.api.parts import (
    READERS,
    NoSuchAgent,
    Parts,
    TicketOut,
    check_self_or_supervisor,
    ticket_out,
)
from services.router.domain.ticket import Agent
from services.router.store import agents as store
from services.router.store import board, configuration

SEEN_EVERY = timedelta(seconds=60)
"""A poll for work is written down as a sign of life at most this often."""

Presence = Literal["online", "away", "offline"]
Language = Annotated[str, Field(pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]


class UnknownSkill(Malformed):
    """This skill is not in the catalogue fenliu/contracts/skills.toml."""

    slug = "unknown-skill"
    http_status = 422


class AgentIn(StrictModel):
    """Settings of an agent; presence and load are not among them."""

    name: Annotated[str, Text(200)] = Field(description="As customers may see it.")
    skills: dict[Identifier, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict,
        max_length=100,
        description="Skill slug to level, 0 (cannot) to 1 (expert).",
        json_schema_extra=NO_OTHER_NAMES,
    )
    capacity: Annotated[int, Field(ge=0, le=10_000), Whole] = Field(description="Tickets that they may own at once.")
    capacity_min: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        None, description="Predicted minutes of work at hand at which they are full; absent: only tickets count."
    )
    desk: Identifier = Field(DEFAULT_DESK, description="Desk that they work at.")
    languages: list[Language] = Field(
        default_factory=list, max_length=50, description="BCP 47 tags; empty: every language."
    )
    seniority: float = Field(1.0, ge=0, le=1, description="0 newcomer to 1 expert; decides who gets complex tickets.")


class NamedAgentIn(AgentIn):
    """One agent of a bulk request."""

    agent_id: Identifier


class AgentsIn(StrictModel):
    """Many agents at once; all or nothing."""

    agents: list[NamedAgentIn] = Field(min_length=1, max_length=1000)


class AgentOut(BaseModel):
    """An agent."""

    agent_id: str
    name: str
    desk: str
    skills: dict[str, float]
    languages: list[str]
    seniority: float
    capacity: int
    capacity_min: float | None = Field(description="Minutes of work at hand at which they are full; null: no limit.")
    load: int = Field(description="Tickets that they own now.")
    load_min: float = Field(description="Predicted minutes of what they own now.")
    presence: str
    presence_at: datetime | None
    last_assigned_at: datetime | None
    version: int = Field(description="Grows when settings or presence change.")


class AgentsOut(BaseModel):
    """Agents of a bulk request, by id."""

    items: list[AgentOut]


class AssignmentsOut(BaseModel):
    """An agent's work."""

    version: int = Field(description="Give it as `after` to wait for the next change.")
    items: list[TicketOut] = Field(description="What they own, the most pressing first.")


def agent_out(agent: Agent) -> AgentOut:
    """The shape that routes answer with."""
    return AgentOut(
        agent_id=agent.agent_id,
        name=agent.name,
        desk=agent.desk_id,
        skills=dict(agent.skills),
        languages=sorted(agent.languages),
        seniority=agent.seniority,
        capacity=agent.capacity,
        capacity_min=agent.capacity_min,
        load=agent.load,
        load_min=round(max(agent.load_min, 0.0), 3),
        presence=agent.presence,
        presence_at=agent.presence_at,
        last_assigned_at=agent.last_assigned_at,
        version=agent.version,
    )


def routes(parts: Parts) -> APIRouter:
    """PUT and GET of agents, and the long poll for their work."""
    router = APIRouter(tags=["agents"])

    @router.put("/v1/agents", responses=problem_responses(401, 403, 422))
    async def put_agents(
        body: AgentsIn, caller: Annotated[Principal, require("supervisor", "integration")]
    ) -> AgentsOut:
        """Make or change many agents. New ones are offline until their presence is set."""
        found = await _write(parts, caller, [_settings(item.agent_id, item) for item in body.agents])
        return AgentsOut(items=[agent_out(agent) for agent in found])

    @router.get("/v1/agents", responses=problem_responses(401, 403, 422))
    async def list_agents(
        paging: Paged,
        caller: Annotated[Principal, require(*READERS)],
        desk: Annotated[Identifier | None, Query(description="Only this desk.")] = None,
        presence: Annotated[Presence | None, Query(description="Only with this presence.")] = None,
    ) -> Page[AgentOut]:
        """Agents by id."""
        after = Cursor.decode(paging.cursor, str)
        async with parts.db.read() as tx:
            found = await store.list_agents(
                tx, caller.tenant_id, after=after[0] if after else "", limit=paging.limit + 1, desk_id=desk,
                presence=presence,
            )  # fmt: skip
        shown = found[: paging.limit]
        more = Cursor.encode(shown[-1].agent_id) if len(found) > paging.limit else None
        return page([agent_out(agent) for agent in shown], more)

    @router.put("/v1/agents/{agent_id}", responses=problem_responses(401, 403, 422))
    async def put_agent(
        agent_id: Identifier, body: AgentIn, caller: Annotated[Principal, require("supervisor", "integration")]
    ) -> AgentOut:
        """Make or change one agent. A new one is offline until its presence is set."""
        return agent_out((await _write(parts, caller, [_settings(agent_id, body)]))[0])

    @router.get("/v1/agents/{agent_id}/assignments", responses=problem_responses(401, 403, 404, 422))
    @deadline(30)
    async def read_assignments(
        agent_id: Identifier,
        caller: Annotated[Principal, require("agent", "supervisor")],
        wait_s: Annotated[float, Query(ge=0, le=20, description="Seconds to wait for news.")] = 0,
        after: Annotated[int | None, Query(ge=0, lt=2**53, description="`version` of the last answer.")] = None,
    ) -> AssignmentsOut:
        """What the agent owns. With wait_s: once it differs from `after`; without `after`, once it is anything."""
        check_self_or_supervisor(caller, agent_id)
        return await _await_news(parts, caller, agent_id, wait_s, after)

    return router


async def _write(parts: Parts, caller: Principal, settings: Sequence[store.AgentSettings]) -> list[Agent]:
    tenant_id = caller.tenant_id
    unknown = sorted({skill for item in settings for skill in item.skills} - skills().keys())
    if unknown:
        raise UnknownSkill(f"Unknown skills: {', '.join(unknown)}. Known are: {', '.join(sorted(skills()))}.")
    distinct = {item.agent_id: item for item in settings}  # the last one counts

    async def work(tx: Transaction) -> list[Agent]:
        revision = await configuration.lock_revision(tx, tenant_id)
        known = await store.load_agents(tx, {(tenant_id, agent_id) for agent_id in distinct})
        found = await store.upsert_agents(tx, tenant_id, list(distinct.values()))
        edits = [_edit(known.get((tenant_id, agent.agent_id)), agent) for agent in found]
        await configuration.insert_edits(tx, tenant_id, revision, edits, caller.subject)
        tx.after_commit(parts.news.wake_desks, {(tenant_id, agent.desk_id) for agent in found})
        tx.after_commit(parts.news.tell_agents, {(tenant_id, agent.agent_id) for agent in found})
        return found

    return await parts.db.run(work)


def _edit(before: Agent | None, after: Agent) -> configuration.Edit:
    was = asdict(store.settings_of(before)) if before else None
    return configuration.Edit("agent", after.agent_id, was, asdict(store.settings_of(after)))


def _settings(agent_id: str, body: AgentIn) -> store.AgentSettings:
    return store.AgentSettings(
        agent_id=agent_id,
        name=body.name,
        desk_id=body.desk,
        skills=body.skills,
        languages={tag.split("-")[0].lower() for tag in body.languages},
        seniority=body.seniority,
        capacity=body.capacity,
        capacity_min=body.capacity_min,
    )


async def _await_news(
    parts: Parts, caller: Principal, agent_id: str, wait_s: float, after: int | None
) -> AssignmentsOut:
    if after is None:
        first = await _read(parts, caller, agent_id)
        if first.items or wait_s <= 0:
            return first
        after = first.version
    key = (caller.tenant_id, agent_id)
    with parts.news.listen(key, after) as changed:  # before reading, so that no change falls between
        answer = await _read(parts, caller, agent_id)
        if answer.version != after or wait_s <= 0:
            return answer
        try:
            await asyncio.wait_for(changed.wait(), wait_s)
        except TimeoutError:
            return answer
    return await _read(parts, caller, agent_id)


async def _read(parts: Parts, caller: Principal, agent_id: str) -> AssignmentsOut:
    async with parts.db.read() as tx:
        agent = await store.load_agent(tx, caller.tenant_id, agent_id)
        seen = await store.load_seen(tx, caller.tenant_id, agent_id)
        found = await board.list_assignments(tx, caller.tenant_id, agent_id)
    if agent is None:
        raise NoSuchAgent()
    if caller.subject == agent_id and (seen is None or seen + SEEN_EVERY < tx.now):
        async with parts.db.begin() as writing:
            await store.update_seen(writing, caller.tenant_id, agent_id)
    return AssignmentsOut(version=agent.revision, items=[ticket_out(ticket) for ticket in found])
