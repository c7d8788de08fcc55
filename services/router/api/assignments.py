"""Work on assignments: every action names the fence under which the agent owns the ticket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Conflict, Forbidden, Malformed
from fenliu.chassis.group import GroupCommit
from fenliu.chassis.http import Identifier, StrictModel, Text, Whole, problem_responses, require
from services.router.api.parts import (
    Awaited,
    NoSuchAgent,
    NoSuchQueue,
    Parts,
    TicketOut,
    Wish,
    change_ticket,
    change_tickets,
    ticket_out,
)
from services.router.domain.ticket import Ticket
from services.router.domain.transitions import Change, IllegalTransition, Who, apply
from services.router.store import agents as agent_store
from services.router.store import queues as queue_store

Action = Literal["accept", "decline", "start", "hold", "resume", "resolve", "transfer"]
_DONE: dict[str, tuple[str, ...]] = {
    "accept": ("assigned", "in_progress", "on_hold"),
    "start": ("in_progress", "on_hold"),
    "hold": ("on_hold",),
    "resume": ("in_progress",),
    "resolve": ("resolved",),
}
"""States in which an action with the right fence has evidently been done already: a repeat gets the same answer."""


class StaleAssignment(Conflict):
    """The ticket is no longer yours under this fence: somebody else took over. Read your assignments again."""

    slug = "stale-assignment"


class IllegalAction(Conflict):
    """The ticket's state does not allow this action."""

    slug = "illegal-transition"


class AgentUnavailable(Conflict):
    """This agent is full, not online, or at another desk. Transfer to a queue instead."""

    slug = "agent-unavailable"


class BadAction(Malformed):
    """A field is missing or does not belong to this action."""

    slug = "invalid-action"
    http_status = 422


class ActionIn(StrictModel):
    """An action on an assignment."""

    fence: Annotated[int, Field(ge=0, lt=2**53), Whole] = Field(description="Fence under which you own the ticket.")
    awaited: Awaited | None = Field(None, description="hold only: whom you wait for; on hold already: somebody else.")
    queue_id: Identifier | None = Field(None, description="transfer only: queue to give it to.")
    agent_id: Identifier | None = Field(
        None,
        description="transfer only: agent to give it to, if online with room. From a supervisor it stays there: no "
        "clock takes it away again.",
    )
    note: Annotated[str, Text(2000)] | None = Field(
        None, description="decline, hold, transfer: what the next one should know; kept with the ticket."
    )
    reason: Annotated[str, Text(64)] | None = Field(None, description="A slug or a few words; kept in the history.")


@dataclass(frozen=True, slots=True)
class Asked:
    """An action as a caller asked for it; its fields were checked."""

    caller: Principal
    ticket_id: str
    action: Action
    body: ActionIn


def routes(parts: Parts) -> APIRouter:
    """The one route for all actions."""
    router = APIRouter(tags=["assignments"])

    async def commit(asked: list[Asked]) -> list[Ticket | Exception]:
        return await parts.db.run(lambda tx: change_tickets(tx, parts, [wish_of(parts, item) for item in asked]))

    group: GroupCommit[Asked, Ticket] = GroupCommit("assignments", commit)

    @router.post("/v1/assignments/{ticket_id}/{action}", responses=problem_responses(401, 403, 404, 409, 422))
    async def act(
        ticket_id: Identifier,
        action: Action,
        body: ActionIn,
        caller: Annotated[Principal, require("agent", "supervisor")],
    ) -> TicketOut:
        """Accept, decline, start, hold, resume, resolve or transfer. A stale fence gets 409 and changes nothing."""
        _check_fields(action, body)
        asked = Asked(caller, ticket_id, action, body)
        if action == "transfer":  # looks queues and agents up; rare enough to have a transaction of its own
            return await change_ticket(parts, wish_of(parts, asked))
        return ticket_out(await group.submit(asked))

    return router


def _check_fields(action: str, body: ActionIn) -> None:
    if (action == "hold") != (body.awaited is not None):
        raise BadAction("hold, and only hold, needs `awaited`: whom the ticket waits for.")
    targets = (body.queue_id is not None) + (body.agent_id is not None)
    if targets != (1 if action == "transfer" else 0):
        raise BadAction("transfer, and only transfer, needs either `queue_id` or `agent_id`.")


def wish_of(parts: Parts, asked: Asked) -> Wish:
    """The action as a wish about its ticket."""

    async def decide(tx: Transaction, ticket: Ticket) -> Change | None:
        return await _decide(tx, parts, ticket, asked)

    return Wish(asked.caller, asked.ticket_id, decide)


async def _decide(tx: Transaction, parts: Parts, ticket: Ticket, asked: Asked) -> Change | None:
    """What the action does to the locked ticket; None where it was done already."""
    caller, action, body = asked.caller, asked.action, asked.body
    if is_stale(ticket, body.fence):
        raise StaleAssignment(current={"version": ticket.version, "fence": ticket.fence, "state": ticket.state})
    if ticket.agent_id != caller.subject and not caller.has("supervisor"):
        raise Forbidden("This ticket is not yours. Agents act on their own assignments only.")
    if ticket.state in _DONE.get(action, ()) and not (action == "hold" and body.awaited != ticket.awaited):
        return None
    who: Who = "owner" if ticket.agent_id == caller.subject else "supervisor"
    try:
        if action == "transfer":
            return await _transfer(tx, parts, ticket, who, body)
        return _apply(ticket, who, action, body, tx.now)
    except IllegalTransition as error:
        raise IllegalAction(f"{str(error).capitalize()}.") from error


def is_stale(ticket: Ticket, fence: int) -> bool:
    """True where somebody else got the ticket since."""
    return fence != ticket.fence


def _apply(ticket: Ticket, who: Who, action: Action, body: ActionIn, now: datetime) -> Change:
    fields = _note(body)
    if action == "hold":
        fields["awaited"] = body.awaited
    if action == "decline":
        fields["declined_by"] = tuple(dict.fromkeys((*ticket.declined_by, ticket.agent_id)))
    reasons = {"accept": "accepted", "decline": "declined", "start": "started", "resume": "resumed"}
    reason = body.reason or reasons.get(action) or (f"awaits_{body.awaited}" if action == "hold" else "resolved")
    return apply(ticket, action, who, now, reason=reason, **fields)


def _note(body: ActionIn) -> dict[str, Any]:
    return {} if body.note is None else {"note": body.note}


async def _transfer(tx: Transaction, parts: Parts, ticket: Ticket, who: Who, body: ActionIn) -> Change:
    if body.queue_id is not None:
        overrides = await queue_store.load_overrides(tx, ticket.tenant_id)
        if body.queue_id not in parts.rules.queues and body.queue_id not in overrides:
            raise NoSuchQueue()
        action = "move" if ticket.state == "waiting" else "return"
        gave_away = (ticket.agent_id,) if who == "owner" else ()  # it must not come straight back
        return apply(
            ticket, action, who, tx.now, reason=body.reason or "transferred", queue_id=body.queue_id,
            declined_by=gave_away, **_note(body),
        )  # fmt: skip
    target = await agent_store.load_agent(tx, ticket.tenant_id, body.agent_id or "", lock=True)
    if target is None:
        raise NoSuchAgent()
    if target.desk_id != ticket.desk_id or not target.available:
        raise AgentUnavailable()
    action = "assign" if ticket.state == "waiting" else "give"
    stays = ticket.pinned and ticket.agent_id == target.agent_id
    return apply(
        ticket, action, who, tx.now, reason=body.reason or "transferred", agent_id=target.agent_id,
        agent_name=target.name, pinned=stays or who == "supervisor", **_note(body),
    )  # fmt: skip
