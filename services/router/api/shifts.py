"""Shifts: when agents work."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Malformed
from fenliu.chassis.http import Identifier, Moment, StrictModel, problem_responses, require
from services.router.api.parts import READERS, NoSuchAgent, Parts
from services.router.domain.shift import closed_until, merged
from services.router.domain.ticket import Agent
from services.router.store import agents as agent_store
from services.router.store import shifts as store


class BadShifts(Malformed):
    """These shifts make no sense."""

    slug = "invalid-shifts"
    http_status = 422


class ShiftSpan(StrictModel):
    """One shift."""

    from_at: Moment
    until_at: Moment


class ShiftsIn(StrictModel):
    """When an agent works. Neither intervals nor calendar: presence alone counts."""

    intervals: list[ShiftSpan] = Field(default_factory=list, max_length=200, description="Shifts by date; may touch.")
    calendar: Identifier | None = Field(None, description="Name of a calendar of sla.toml, instead of intervals.")


class ShiftsOut(BaseModel):
    """When an agent works, and what follows now. Times are UTC."""

    intervals: list[ShiftSpan]
    calendar: str | None
    shift_from: datetime | None = Field(description="Beginning of the present or next shift; null: no plan.")
    shift_ends_at: datetime | None = Field(description="Its end; work not done by then is queued again.")
    takes_work: bool = Field(description="Time alone lets them get new work now: in a shift, not wrapping up.")


def routes(parts: Parts) -> APIRouter:
    """GET and PUT of an agent's shifts."""
    router = APIRouter(tags=["agents"])

    @router.get("/v1/agents/{agent_id}/shifts", responses=problem_responses(401, 403, 404))
    async def read_shifts(agent_id: Identifier, caller: Annotated[Principal, require(*READERS)]) -> ShiftsOut:
        """An agent's shifts."""
        async with parts.db.read() as tx:
            agent = await agent_store.load_agent(tx, caller.tenant_id, agent_id)
            return _out(tx, agent, await store.load_plan(tx, caller.tenant_id, agent_id))

    @router.put("/v1/agents/{agent_id}/shifts", responses=problem_responses(401, 403, 404, 422))
    async def put_shifts(
        agent_id: Identifier, body: ShiftsIn, caller: Annotated[Principal, require("supervisor", "integration")]
    ) -> ShiftsOut:
        """Replace an agent's shifts. Outside of them, and in the last five minutes, they get nothing new; at the end
        work not begun is queued again at once, work under way after the same grace as when they go away."""
        plan = _plan(parts, body)

        async def work(tx: Transaction) -> ShiftsOut:
            agent = await store.update_plan(tx, caller.tenant_id, agent_id, plan, parts.levels.calendars)
            if agent is not None:
                tx.after_commit(parts.news.wake_desks, {(caller.tenant_id, agent.desk_id)})
            return _out(tx, agent, plan)

        return await parts.db.run(work)

    return router


def _plan(parts: Parts, body: ShiftsIn) -> store.Plan:
    if body.calendar is not None and (body.intervals or body.calendar not in parts.levels.calendars):
        known = ", ".join(sorted(parts.levels.calendars))
        raise BadShifts(f"Name either intervals or a calendar; calendars are: {known}.")
    try:
        return store.Plan(tuple(merged([(one.from_at, one.until_at) for one in body.intervals])), body.calendar or "")
    except ValueError as error:
        raise BadShifts(f"{str(error).capitalize()}.") from error


def _out(tx: Transaction, agent: Agent | None, plan: store.Plan) -> ShiftsOut:
    if agent is None:
        raise NoSuchAgent()
    return ShiftsOut(
        intervals=[ShiftSpan(from_at=start, until_at=end) for start, end in plan.spans],
        calendar=plan.calendar or None,
        shift_from=agent.shift_from,
        shift_ends_at=agent.shift_ends_at,
        takes_work=closed_until(agent, tx.now) is None,
    )
