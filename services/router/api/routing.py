"""The story of one ticket's routing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.http import Identifier, problem_responses, require
from services.router.api.parts import READERS, NoSuchTicket, Parts, TicketOut, ticket_out
from services.router.store import board, tickets


class StepOut(BaseModel):
    """One change."""

    version: int
    action: str = Field(description="What was done: receive, queue, assign, offer, accept, start, hold, resolve, …")
    state: str = Field(description="State after it.")
    fence: int
    agent_id: str | None = Field(description="Owner after it.")
    queue_id: str | None
    reason: str
    at: datetime


class StoryOut(TicketOut):
    """A ticket with everything that happened to it."""

    rating: int | None = Field(description="1 to 5; null: not rated.")
    sla_version: str | None = Field(description="Version of the service levels under which it was promised.")
    history: list[StepOut] = Field(description="Every change, the first one first.")


def routes(parts: Parts) -> APIRouter:
    """GET of a ticket's routing."""
    router = APIRouter(tags=["routing"])

    @router.get("/v1/routing/tickets/{ticket_id}", responses=problem_responses(401, 403, 404))
    async def read_story(ticket_id: Identifier, caller: Annotated[Principal, require(*READERS)]) -> StoryOut:
        """Where a ticket is, what its labels and due times are, and how it got there."""
        async with parts.db.read() as tx:
            ticket = await tickets.load_ticket(tx, caller.tenant_id, ticket_id)
            if ticket is None:
                raise NoSuchTicket()
            steps = await board.load_history(tx, ticket_id)
        return StoryOut(
            **dict(ticket_out(ticket)),
            rating=ticket.rating or None,
            sla_version=ticket.sla_version or None,
            history=[_step(step) for step in steps],
        )

    return router


def _step(step: board.Step) -> StepOut:
    return StepOut(
        version=step.version,
        action=step.action,
        state=step.state,
        fence=step.fence,
        agent_id=step.agent_id or None,
        queue_id=step.queue_id or None,
        reason=step.reason,
        at=step.at,
    )
