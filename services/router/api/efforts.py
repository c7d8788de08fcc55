"""Minutes that agents need by kind of work: what was learned, and what a supervisor says."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Conflict
from fenliu.chassis.http import Identifier, StrictModel, Whole, problem_responses, require
from fenliu.contracts.vocabulary import CATEGORIES
from services.router.api.agents import AgentOut, agent_out
from services.router.api.parts import READERS, NoSuchAgent, Parts
from services.router.domain.effort import MOST_MIN, Effort, expected_min, mean_of, pace_of
from services.router.store import agents as agent_store
from services.router.store import efforts as store


def _known(category: str) -> str:
    if category not in CATEGORIES:
        raise ValueError(f"must be one of {', '.join(CATEGORIES)}")
    return category


Category = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(CATEGORIES)})]


class StalePrior(Conflict):
    """Somebody else has changed what is expected since you read it. Read the agent again."""

    slug = "stale-version"


class PriorIn(StrictModel):
    """What a supervisor expects of an agent."""

    category: Category = Field(description="What the work is about.")
    complexity: Literal["simple", "moderate", "complex"]
    prior_min: Annotated[float, Field(gt=0, le=MOST_MIN)] | None = Field(
        description="Minutes for such a ticket; weighs like 20 finished ones. null: nothing, what was learned counts."
    )
    version: Annotated[int, Field(ge=0, lt=2**53), Whole] | None = Field(
        None, description="Version that you saw; where it is another one, nothing changes (409)."
    )


class EffortOut(BaseModel):
    """Minutes that an agent needs for one kind of work."""

    category: str
    complexity: str
    expected_min: float = Field(description="What routing expects: learned, leaning on broader averages.")
    finished: int = Field(description="Finished tickets that count, at most 200; older ones fade.")
    mean_min: float | None = Field(description="Minutes that these took on average; null: none yet.")
    prior_min: float | None = Field(description="What a supervisor expects; null: nothing.")
    version: int = Field(description="Grows when prior_min is changed.")


class AgentDetailOut(AgentOut):
    """An agent with what is known of their minutes."""

    pace: float = Field(description="Their minutes over the average agent's, all kinds of work; below 1 is faster.")
    efforts: list[EffortOut] = Field(description="By category and complexity; kinds never finished are left out.")


def routes(parts: Parts) -> APIRouter:
    """GET of an agent, PUT of what a supervisor expects of them."""
    router = APIRouter(tags=["agents"])

    @router.get("/v1/agents/{agent_id}", responses=problem_responses(401, 403, 404))
    async def read_agent(agent_id: Identifier, caller: Annotated[Principal, require(*READERS)]) -> AgentDetailOut:
        """One agent, with the minutes that they are expected to need."""
        async with parts.db.read() as tx:
            return await _read(tx, parts, caller.tenant_id, agent_id)

    @router.put("/v1/agents/{agent_id}/efforts", responses=problem_responses(401, 403, 404, 409, 422))
    async def put_prior(
        agent_id: Identifier, body: PriorIn, caller: Annotated[Principal, require("supervisor")]
    ) -> AgentDetailOut:
        """Say how many minutes an agent needs for a kind of work. Routing follows within ten seconds."""

        async def work(tx: Transaction) -> AgentDetailOut:
            if await agent_store.load_agent(tx, caller.tenant_id, agent_id) is None:
                raise NoSuchAgent()
            kind = (body.category, body.complexity)
            if not await store.update_prior(tx, caller.tenant_id, agent_id, kind, body.prior_min, body.version):
                raise StalePrior()
            return await _read(tx, parts, caller.tenant_id, agent_id)

        return await parts.db.run(work)

    return router


async def _read(tx: Transaction, parts: Parts, tenant_id: str, agent_id: str) -> AgentDetailOut:
    agent = await agent_store.load_agent(tx, tenant_id, agent_id)
    if agent is None:
        raise NoSuchAgent()
    cells = await store.load_efforts(tx, tenant_id, agent_id)
    sums = await store.load_kinds(tx, tenant_id) if cells else {}
    means = {kind: mean_of(*held, parts.rules.minutes_of(kind[1])) for kind, held in sums.items()}
    pace = pace_of(cells, means.__getitem__)
    found = [_out(cell, expected_min(cell, means[cell.kind], pace)) for cell in cells]
    return AgentDetailOut(**dict(agent_out(agent)), pace=round(pace, 3), efforts=found)


def _out(cell: Effort, expected: float) -> EffortOut:
    return EffortOut(
        category=cell.category,
        complexity=cell.complexity,
        expected_min=round(expected, 3),
        finished=cell.count,
        mean_min=round(cell.minutes / cell.count, 3) if cell.count else None,
        prior_min=cell.prior_min,
        version=cell.version,
    )
