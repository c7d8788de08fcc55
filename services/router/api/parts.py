"""What all routes of the router stand on, and the shapes that several of them answer with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Database, Transaction
from fenliu.chassis.errors import FenliuError, Forbidden, NotFound
from services.router.domain.due import Timers, timed
from services.router.domain.queues import QueueRules
from services.router.domain.sla import STEPS, ServiceLevels
from services.router.domain.ticket import Labels, Ticket
from services.router.domain.transitions import Change
from services.router.store import tickets
from services.router.store.news import News

READERS = ("agent", "supervisor", "integration")
"""Who may look. `admin` may always."""


Awaited = Literal[
    "customer", "carrier", "third_party", "operations", "warehouse", "product", "sales", "finance", "technology"
]
"""Who can be awaited; the same as sla.PARTIES."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Bound once in main."""

    db: Database
    rules: QueueRules
    levels: ServiceLevels
    timers: Timers
    news: News


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants with one ticket.

    decide  what it does to the ticket, which is locked; None where nothing is to change. May look things up and emit
            more events; raises a FenliuError where it cannot be.
    """

    caller: Principal
    ticket_id: str
    decide: Callable[[Transaction, Ticket], Awaitable[Change | None]]


class NoSuchTicket(NotFound):
    """There is no such ticket, or the router has not heard of it yet. Try again in a moment."""

    slug = "ticket-not-found"


class NoSuchAgent(NotFound):
    """There is no such agent. Make one with PUT /v1/agents/{id}."""

    slug = "agent-not-found"


class NoSuchQueue(NotFound):
    """There is no such queue. GET /v1/queues lists them."""

    slug = "queue-not-found"


class LabelsOut(BaseModel):
    """Labels; null is unknown."""

    category: str | None = None
    tier: str | None = None
    complexity: str | None = None
    sentiment: str | None = None
    intent: str | None = None
    language: str | None = None


class TicketOut(BaseModel):
    """A ticket as the router knows it. Times are UTC; null means "not (yet)"."""

    ticket_id: str
    desk_id: str
    state: str
    version: int = Field(description="Grows with every change.")
    fence: int = Field(description="Grows with every change of owner; actions must name it.")
    queue_id: str | None
    agent_id: str | None
    agent_name: str | None
    reason: str = Field(description="Why it is in this state: a slug.")
    awaited: str | None = Field(description="Whom it waits for while on hold.")
    reopen_count: int
    customer_id: str | None
    order_id: str | None
    parcel_id: str | None
    channel: str | None
    customer_class: str | None
    repeat_contacts: int = Field(description="How many earlier contacts joined this ticket.")
    labels: LabelsOut | None
    suggested_labels: LabelsOut | None = Field(description="Newer labels that were not applied by themselves.")
    predicted_min: float = Field(description="Minutes of work expected.")
    received_at: datetime
    changed_at: datetime | None
    waiting_since: datetime | None
    first_response_due_at: datetime | None
    resolution_due_at: datetime | None
    first_responded_at: datetime | None
    offered_until: datetime | None = Field(description="When an offer lapses; null in other states.")
    next_response_due_at: datetime | None = Field(description="When the customer's last message must be answered.")
    breached: bool = Field(description="A due time has passed.")
    missed: list[str] = Field(description="Clocks that ran out: first_response, next_response, resolution.")
    awaited_since: datetime | None = Field(description="Since when it is on hold or resolved.")
    escalation: str | None = Field(description="Last step of the ladder: warn, widen, notify, second_line, overflow.")
    acknowledged_by: str | None = Field(description="Supervisor who took care of the escalation.")
    pinned: bool = Field(description="A supervisor gave it to its owner; no clock takes it away.")
    note: str | None = Field(description="What the last agent or party had to say to the next.")


def ticket_out(ticket: Ticket) -> TicketOut:
    """The shape that routes answer with."""
    facts = ticket.facts
    return TicketOut(
        ticket_id=ticket.ticket_id,
        desk_id=ticket.desk_id,
        state=ticket.state,
        version=ticket.version,
        fence=ticket.fence,
        queue_id=ticket.queue_id or None,
        agent_id=ticket.agent_id or None,
        agent_name=ticket.agent_name or None,
        reason=ticket.reason,
        awaited=ticket.awaited or None,
        reopen_count=ticket.reopen_count,
        customer_id=facts.customer_id or None,
        order_id=facts.order_id or None,
        parcel_id=facts.parcel_id or None,
        channel=facts.channel or None,
        customer_class=facts.customer_class or None,
        repeat_contacts=facts.repeat_contacts,
        labels=_labels_out(ticket.labels),
        suggested_labels=_labels_out(ticket.suggestion),
        predicted_min=ticket.predicted_min,
        received_at=ticket.received_at,
        changed_at=ticket.changed_at,
        waiting_since=ticket.waiting_since,
        first_response_due_at=ticket.first_response_due_at,
        resolution_due_at=ticket.resolution_due_at,
        first_responded_at=ticket.first_responded_at,
        offered_until=ticket.next_check_at if ticket.state == "offered" else None,
        next_response_due_at=ticket.next_response_due_at,
        breached=bool(ticket.missed),
        missed=list(ticket.missed),
        awaited_since=ticket.awaited_since,
        escalation=STEPS[ticket.escalation - 1] if ticket.escalation else None,
        acknowledged_by=ticket.acknowledged_by or None,
        pinned=ticket.pinned,
        note=ticket.note or None,
    )


def _labels_out(labels: Labels | None) -> LabelsOut | None:
    if labels is None:
        return None
    return LabelsOut(
        category=labels.category or None,
        tier=labels.tier or None,
        complexity=labels.complexity or None,
        sentiment=labels.sentiment or None,
        intent=labels.intent or None,
        language=labels.language or None,
    )


async def change_ticket(parts: Parts, wish: Wish) -> TicketOut:
    """Carry out one wish in a transaction of its own. Raises the route's problems."""

    async def work(tx: Transaction) -> Ticket:
        (outcome,) = await change_tickets(tx, parts, [wish])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return ticket_out(await parts.db.run(work))


async def change_tickets(tx: Transaction, parts: Parts, wishes: Sequence[Wish]) -> list[Ticket | Exception]:
    """Every route's way to change tickets: lock, check the tenant, decide in order, time, record, tell.

    With each wish the ticket as it is after it, or the problem for which it was not carried out; the others are not
    touched by that.
    """
    held = await tickets.lock_tickets(tx, [wish.ticket_id for wish in wishes])
    outcomes: list[Ticket | Exception] = []
    changes = []
    for wish in wishes:
        ticket = held.get(wish.ticket_id)
        try:
            if ticket is None or ticket.tenant_id != wish.caller.tenant_id:
                raise NoSuchTicket()
            change = await wish.decide(tx, ticket)
        except FenliuError as error:
            outcomes.append(error)
            continue
        if change is not None:
            changes.append(timed(change, tx.now, parts.timers))
            held[wish.ticket_id] = changes[-1].after
        outcomes.append(held[wish.ticket_id])
    await tickets.record(tx, changes)
    parts.news.after(tx, changes)
    return outcomes


def check_self_or_supervisor(caller: Principal, agent_id: str) -> None:
    """Raises Forbidden where an agent asks about somebody else."""
    if not caller.has("supervisor") and caller.subject != agent_id:
        raise Forbidden("Agents may do this for themselves only; it needs the role supervisor for others.")
