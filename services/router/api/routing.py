"""The story of one ticket's routing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.http import Identifier, problem_responses, require
from services.router.api.parts import READERS, NoSuchTicket, Parts, TicketOut, ticket_out
from services.router.domain.customer import DEDICATED
from services.router.domain.explain import in_words
from services.router.store import board, decisions, tickets


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


class CandidateOut(BaseModel):
    """Somebody who could have had the ticket."""

    agent_id: str
    score: float | None = Field(description="The policy's value of the pair, larger is better; null: rank decided.")
    parts: dict[str, float] = Field(description="Addends of the score by name; empty where the policy has none.")
    expected_min: float | None = Field(description="Minutes that they were expected to need; null: not kept then.")


class RefusalOut(BaseModel):
    """Somebody with a claim to the ticket who could not have it."""

    agent_id: str
    reason: str = Field(description="declined_it, left_the_desk, not_online or full.")


class DecisionOut(BaseModel):
    """Why the dispatcher gave the ticket to an agent."""

    version: int = Field(description="Of the ticket after the assignment; the step of the history with this version.")
    policy: str = Field(description="Name and version of the policy.")
    candidates: list[CandidateOut] = Field(description="The chosen agent, then the best of the others; at most 5.")
    refused: list[RefusalOut] = Field(description="At most 5.")
    words: list[str] = Field(description="The same in sentences.")


class StoryOut(TicketOut):
    """A ticket with everything that happened to it."""

    known_agent: str | None = Field(description="Who should have it if free soon: they know the customer.")
    dedicated: bool = Field(description="known_agent serves the customer by name.")
    rating: int | None = Field(description="1 to 5; null: not rated.")
    sla_version: str | None = Field(description="Version of the service levels under which it was promised.")
    history: list[StepOut] = Field(description="Every change, the first one first.")
    decisions: list[DecisionOut] = Field(description="Grounds of the dispatcher's assignments, the first one first.")


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
            grounds = await decisions.load_decisions(tx, ticket_id)
        return StoryOut(
            **dict(ticket_out(ticket)),
            known_agent=ticket.facts.known_agent or None,
            dedicated=ticket.facts.wish >= DEDICATED,
            rating=ticket.rating or None,
            sla_version=ticket.sla_version or None,
            history=[_step(step) for step in steps],
            decisions=[_decision(item) for item in grounds],
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


def _decision(item: decisions.Grounds) -> DecisionOut:
    return DecisionOut(
        version=item.version,
        policy=item.policy,
        candidates=[
            CandidateOut(
                agent_id=one.agent_id, score=one.score, parts=dict(one.parts), expected_min=one.expected_min or None
            )
            for one in item.candidates
        ],
        refused=[RefusalOut(agent_id=agent_id, reason=reason) for agent_id, reason in item.refused],
        words=in_words(item.policy, item.candidates, item.refused),
    )
