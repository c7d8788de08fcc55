"""What follows from a fact that a customer, an agent's message or the classifier made: one change, or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.router.domain.clocks import NEXT, answer_due
from services.router.domain.customer import KNOWN
from services.router.domain.queues import TRIAGE, QueueRules
from services.router.domain.sla import DEPARTMENTS, ServiceLevels
from services.router.domain.ticket import OWNED, TERMINAL, UNTOUCHED, Labels, Ticket
from services.router.domain.transitions import Change, apply


def label(
    ticket: Ticket, labels: Labels, sequence: int, *, needs_review: bool, rules: QueueRules, levels: ServiceLevels,
    now: datetime, model_version: str = "",
) -> Change | None:  # fmt: skip
    """Labels arrived. They queue a ticket that has none; newer ones are applied while it is unclear or in triage,
    nobody owns it and no person set its labels, and kept as a suggestion otherwise. None where they are older than
    those in force, or too late. Where a person should look (needs_review) the queue is triage, and the service level
    that of the labels all the same."""
    if ticket.state in TERMINAL or ticket.state == "resolved" or sequence <= ticket.labelled_sequence:
        return None
    settled = ticket.labels is not None and ticket.labels.category != "unclear" and ticket.queue_id != TRIAGE
    if ticket.corrected or ticket.state in OWNED or (ticket.state == "waiting" and settled):
        return apply(
            ticket, "note", "classifier", now, reason=ticket.reason, suggestion=labels, labelled_sequence=sequence
        )
    queue_id = rules.queue_for(labels, needs_review=needs_review)
    first, last = levels.due(ticket.received_at, ticket.facts.customer_class, labels.tier, ticket.facts.region)
    return apply(
        ticket, "relabel" if ticket.state == "waiting" else "queue", "classifier", now, reason="queued",
        labels=labels, labelled_sequence=sequence, queue_id=queue_id, predicted_min=rules.minutes(labels),
        first_response_due_at=first, resolution_due_at=last, sla_version=levels.version, model_version=model_version,
    )  # fmt: skip


def cancel(ticket: Ticket, now: datetime) -> Change | None:
    """The customer wants to cancel: honoured in every open state; a resolved ticket is closed. None: it is over."""
    if ticket.state in TERMINAL:
        return None
    return apply(
        ticket, "close" if ticket.state == "resolved" else "cancel", "customer", now, reason="cancel_requested"
    )


def reopen(ticket: Ticket, levels: ServiceLevels, now: datetime, *, reason: str = "reopen_requested") -> Change | None:
    """The customer says that it is not solved, which is a message to answer. None where it is not resolved."""
    if ticket.state != "resolved":
        return None
    owed: dict[str, Any] = {}
    if ticket.first_responded_at:
        owed["next_response_due_at"] = answer_due(ticket, now, levels)
    if ticket.agent_id:
        wish = max(ticket.facts.wish, KNOWN)
        owed["facts"] = replace(ticket.facts, known_agent=ticket.agent_id, wish=wish)
    return apply(
        ticket, "reopen", "customer", now, reason=reason, queue_id=ticket.queue_id or TRIAGE, declined_by=(), **owed
    )


def ask_for_human(ticket: Ticket, levels: ServiceLevels, now: datetime) -> Change | None:
    """The customer asked for a person. None where one is already on the way or the ticket is over."""
    if ticket.state == "resolved":
        return reopen(ticket, levels, now, reason="help_requested")
    if ticket.state not in ("received", "self_service"):
        return None
    tier = ticket.labels.tier if ticket.labels else ""
    first, last = levels.due(ticket.received_at, ticket.facts.customer_class, tier, ticket.facts.region)
    return apply(
        ticket, "queue", "customer", now, reason="help_requested", queue_id=ticket.queue_id or TRIAGE,
        first_response_due_at=ticket.first_response_due_at or first,
        resolution_due_at=ticket.resolution_due_at or last, sla_version=ticket.sla_version or levels.version,
    )  # fmt: skip


def confirm(ticket: Ticket, by: str, now: datetime) -> Change | None:
    """The matter is settled, says the customer or a fact. A fact settles only what nobody has started to work on."""
    if ticket.state in TERMINAL:
        return None
    if by == "event":
        untouched = ticket.state in UNTOUCHED and ticket.first_responded_at is None
        return apply(ticket, "confirm", "customer", now, reason="settled_by_event") if untouched else None
    action = "close" if ticket.state == "resolved" else "confirm"
    return apply(ticket, action, "customer", now, reason="confirmed_by_customer")


def message(
    ticket: Ticket, author_role: str, author_id: str, visibility: str, at: datetime, now: datetime, *, repeat: bool,
    levels: ServiceLevels,
) -> Change | None:  # fmt: skip
    """Somebody wrote. An agent's public reply stops the response clocks and, from the owner, starts the work; an
    internal note of the department that is awaited ends the hold; a customer's message starts the next-response clock,
    ends a hold that waited for it, and tells the owner. None where nothing follows."""
    if ticket.state in TERMINAL:
        return None
    if author_role == "agent":
        if visibility == "public":
            return _reply(ticket, author_id, at, now)
        answered = ticket.state == "on_hold" and ticket.awaited == author_id and author_id in DEPARTMENTS
        return answer(ticket, author_id, now) if answered else None
    if author_role != "customer":
        return None
    fields: dict[str, Any] = {}
    if repeat:
        fields["facts"] = replace(ticket.facts, repeat_contacts=ticket.facts.repeat_contacts + 1)
    open_ticket = ticket.state in OWNED or ticket.state == "waiting"
    if open_ticket and ticket.first_responded_at is not None and ticket.next_response_due_at is None:
        fields["next_response_due_at"] = answer_due(ticket, max(at, ticket.first_responded_at), levels)
    if ticket.state == "on_hold" and ticket.awaited == "customer":
        return apply(ticket, "resume", "customer", now, reason="customer_answered", **fields)
    if ticket.owned or fields:
        reason = "customer_wrote" if ticket.owned or ticket.state != "waiting" else ticket.reason
        return apply(ticket, "note", "customer", now, reason=reason, **fields)
    return None


def answer(ticket: Ticket, party: str, now: datetime, note: str = "") -> Change:
    """Whoever is awaited has answered: the ticket goes back to its agent. Raises ValueError where they are not."""
    if ticket.state != "on_hold" or ticket.awaited != party:
        raise ValueError(f"{party} is not awaited")
    return apply(ticket, "resume", "party", now, reason=f"{party}_answered", note=note or ticket.note)


def _reply(ticket: Ticket, author_id: str, at: datetime, now: datetime) -> Change | None:
    by_owner = ticket.agent_id == author_id and ticket.state in ("offered", "assigned")
    answers = {
        "first_responded_at": ticket.first_responded_at or max(at, ticket.received_at),
        "next_response_due_at": None,
        "missed": tuple(clock for clock in ticket.missed if clock != NEXT),
    }
    if by_owner:
        return apply(ticket, "start", "owner", now, reason="replied", **answers)
    if ticket.first_responded_at is None or ticket.next_response_due_at is not None:
        return apply(ticket, "note", "owner", now, reason=ticket.reason, **answers)
    return None
