"""Presence: whether agents can be given work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.http import Identifier, StrictModel, problem_responses, require
from services.router.api.agents import AgentOut, AgentsOut, Presence, agent_out
from services.router.api.parts import NoSuchAgent, Parts, check_self_or_supervisor
from services.router.domain.ticket import Agent
from services.router.store import agents as store


class PresenceIn(StrictModel):
    """What an agent is now. Saying the same again is a sign of life."""

    presence: Presence


class PresencesIn(StrictModel):
    """The same presence for many agents."""

    agent_ids: list[Identifier] = Field(min_length=1, max_length=1000)
    presence: Presence


def routes(parts: Parts) -> APIRouter:
    """PUT of presence, one and many."""
    router = APIRouter(tags=["agents"])

    @router.put("/v1/agents/presence", responses=problem_responses(401, 403, 404, 422))
    async def put_presences(
        body: PresencesIn, caller: Annotated[Principal, require("supervisor", "integration")]
    ) -> AgentsOut:
        """Set many agents' presence; all must exist. Work not started of whoever leaves is queued again at once."""
        wanted = set(body.agent_ids)
        found = await _write(parts, caller.tenant_id, wanted, body.presence)
        return AgentsOut(items=[agent_out(agent) for agent in found])

    @router.put("/v1/agents/{agent_id}/presence", responses=problem_responses(401, 403, 404, 422))
    async def put_presence(
        agent_id: Identifier,
        body: PresenceIn,
        caller: Annotated[Principal, require("agent", "supervisor", "integration")],
    ) -> AgentOut:
        """Set an agent's presence; agents set their own. Their work not started is queued again if they leave."""
        if not caller.has("integration"):
            check_self_or_supervisor(caller, agent_id)
        return agent_out((await _write(parts, caller.tenant_id, {agent_id}, body.presence))[0])

    return router


async def _write(parts: Parts, tenant_id: str, agent_ids: set[str], presence: str) -> Sequence[Agent]:
    async def work(tx: Transaction) -> list[Agent]:
        found = await store.update_presence(tx, tenant_id, agent_ids, presence)
        missing = agent_ids - {agent.agent_id for agent in found}
        if missing:
            raise NoSuchAgent(f"There is no such agent: {', '.join(sorted(missing)[:5])}. Nothing was changed.")
        tx.after_commit(parts.news.wake_desks, {(tenant_id, agent.desk_id) for agent in found})
        tx.after_commit(parts.news.tell_agents, {(tenant_id, agent.agent_id) for agent in found})
        if presence != "online":
            tx.after_commit(parts.news.wake_clock)
        return found

    return await parts.db.run(work)
