"""What others owe to a ticket: parties that are awaited and their answers, escalations and their acknowledgement."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Conflict
from fenliu.chassis.http import Cursor, Identifier, Page, Paged, StrictModel, Text, page, problem_responses, require
from services.router.api.parts import READERS, Awaited, Parts, TicketOut, Wish, change_ticket, ticket_out
from services.router.domain.clocks import hold_ends, hold_of
from services.router.domain.inbound import answer
from services.router.domain.ticket import Ticket
from services.router.domain.transitions import Change, IllegalTransition, apply
from services.router.store import board


class NotAwaited(Conflict):
    """The ticket is not on hold for this party: it was answered already, or the hold has ended. Nothing was changed."""

    slug = "not-awaited"


class NothingToAcknowledge(Conflict):
    """The ticket is over, or nobody owns or waits for it. Nothing was changed."""

    slug = "illegal-transition"


class AnswerIn(StrictModel):
    """The answer of whoever was awaited."""

    party: Awaited = Field(description="Who answers; must be the one that is awaited.")
    note: Annotated[str, Text(2000)] | None = Field(None, description="What the agent should know.")


class AwaitedOut(TicketOut):
    """A ticket on hold, as the awaited party sees it."""

    owner: str | None = Field(description="Who answers for the party.")
    reminded: bool = Field(description="The party was reminded.")
    remind_at: datetime | None = Field(description="When it will be; null: it was, or never is.")
    answer_due_at: datetime = Field(description="When the ticket goes back to its agent without an answer.")


def routes(parts: Parts) -> APIRouter:
    """Lists and actions of departments and supervisors."""
    router = APIRouter(tags=["routing"])

    @router.get("/v1/routing/awaited", responses=problem_responses(401, 403, 422))
    async def list_awaited(
        paging: Paged,
        caller: Annotated[Principal, require(*READERS)],
        party: Annotated[Awaited, Query(description="Who is awaited.")],
    ) -> Page[AwaitedOut]:
        """Tickets on hold for a party, the one that waits longest first."""
        after = Cursor.decode(paging.cursor, datetime, str)
        async with parts.db.read() as tx:
            found = await board.list_awaited(tx, caller.tenant_id, party, after=after, limit=paging.limit + 1)
        shown = found[: paging.limit]
        last = shown[-1] if len(found) > paging.limit else None
        more = Cursor.encode(last.awaited_since, last.ticket_id) if last else None
        return page([_awaited_out(parts, ticket) for ticket in shown], more)

    @router.post("/v1/routing/tickets/{ticket_id}/answer", responses=problem_responses(401, 403, 404, 409, 422))
    async def answer_for(
        ticket_id: Identifier, body: AnswerIn, caller: Annotated[Principal, require("integration", "supervisor")]
    ) -> TicketOut:
        """Answer for the awaited party: the hold ends and the agent goes on. 409 where this party is not awaited."""

        async def decide(tx: Transaction, ticket: Ticket) -> Change:
            try:
                return answer(ticket, body.party, tx.now, body.note or "")
            except ValueError as error:
                raise NotAwaited() from error

        return await change_ticket(parts, Wish(caller, ticket_id, decide))

    _escalations(parts, router)
    return router


def _escalations(parts: Parts, router: APIRouter) -> None:
    @router.get("/v1/routing/escalations", responses=problem_responses(401, 403, 422))
    async def list_escalations(paging: Paged, caller: Annotated[Principal, require("supervisor")]) -> Page[TicketOut]:
        """Open tickets whose due time has passed, or whose awaited party did not answer, and that nobody took on."""
        after = Cursor.decode(paging.cursor, str)
        async with parts.db.read() as tx:
            found = await board.list_escalated(
                tx, caller.tenant_id, after=after[0] if after else "", limit=paging.limit + 1
            )  # fmt: skip
        shown = found[: paging.limit]
        more = Cursor.encode(shown[-1].ticket_id) if len(found) > paging.limit else None
        return page([ticket_out(ticket) for ticket in shown], more)

    @router.post("/v1/routing/tickets/{ticket_id}/acknowledge", responses=problem_responses(401, 403, 404, 409))
    async def acknowledge(ticket_id: Identifier, caller: Annotated[Principal, require("supervisor")]) -> TicketOut:
        """Take an escalation on: the ladder stops until the next clock starts. A repeat changes nothing."""

        async def decide(tx: Transaction, ticket: Ticket) -> Change | None:
            if ticket.acknowledged_by == caller.subject:
                return None
            try:
                return apply(
                    ticket, "acknowledge", "supervisor", tx.now, reason=ticket.reason, acknowledged_by=caller.subject
                )
            except IllegalTransition as error:
                raise NothingToAcknowledge() from error

        return await change_ticket(parts, Wish(caller, ticket_id, decide))


def _awaited_out(parts: Parts, ticket: Ticket) -> AwaitedOut:
    remind_at, due_at = hold_ends(ticket, parts.levels)
    return AwaitedOut(
        **dict(ticket_out(ticket)),
        owner=hold_of(ticket, parts.levels).owner or None,
        reminded=ticket.reminded,
        remind_at=remind_at,
        answer_due_at=due_at,
    )
