"""What follows when a person corrects a ticket's labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from services.router.domain.clocks import clocks
from services.router.domain.queues import TRIAGE, QueueRules
from services.router.domain.sla import ServiceLevels
from services.router.domain.ticket import Labels, Ticket
from services.router.domain.transitions import Change, Who, apply
from services.router.domain.waiting import ABOUT_TO_BE_ASSIGNED

CORRECTABLE = ("category", "tier", "complexity")
"""Labels that a person can set."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Labels as a person wants them; "" leaves one as it is."""

    category: str = ""
    tier: str = ""
    complexity: str = ""

    def of(self, labels: Labels | None) -> Labels:
        """The labels with this correction. The intent goes where the category changes: it belonged to the old one."""
        before = labels or Labels()
        wanted = {name: slug for name in CORRECTABLE if (slug := getattr(self, name))}
        after = replace(before, **wanted)
        return after if after.category == before.category else replace(after, intent="")


def correct(
    ticket: Ticket, wanted: Correction, who: Who, *, rules: QueueRules, levels: ServiceLevels, now: datetime
) -> Change | None:
    """Set labels as a person says; what the classifier says later is a suggestion only.

    The ticket keeps its age: due times follow the new tier from the moment it was received. One that waits moves to
    the queue that the rules name, out of triage always, else only where the new labels lead elsewhere than the old
    ones, so that a ticket which a person moved stays there. One that somebody owns stays theirs.

    None where it has these labels from a person already. Raises IllegalTransition where it is over.
    """
    labels = wanted.of(ticket.labels)
    if ticket.corrected and labels == ticket.labels:
        return None
    waits = ticket.state in ("received", "waiting")
    queue_id = _queue(ticket, labels, rules) if waits else ticket.queue_id
    first, last = levels.due(ticket.received_at, ticket.facts.customer_class, labels.tier, ticket.facts.region)
    settled = ticket.state == "resolved"
    after = replace(
        ticket,
        first_response_due_at=ticket.first_response_due_at if settled else first,
        resolution_due_at=ticket.resolution_due_at if settled else last,
    )
    due = dict(clocks(after))
    missed = tuple(clock for clock in ticket.missed if due.get(clock, now) <= now)
    return apply(
        ticket, "correct", who, now, reason=ABOUT_TO_BE_ASSIGNED if waits else ticket.reason,
        labels=labels, corrected=True, suggestion=None, queue_id=queue_id, predicted_min=rules.minutes(labels),
        declined_by=ticket.declined_by if queue_id == ticket.queue_id else (),
        first_response_due_at=after.first_response_due_at, resolution_due_at=after.resolution_due_at,
        sla_version=ticket.sla_version if settled else levels.version,
        missed=missed, escalation=ticket.escalation if missed else 0,
    )  # fmt: skip


def _queue(ticket: Ticket, labels: Labels, rules: QueueRules) -> str:
    if not labels.category:  # nobody has said yet what it is about
        return ticket.queue_id or TRIAGE
    leads_to = rules.queue_for(labels, needs_review=False)
    before = rules.queue_for(ticket.labels, needs_review=False) if ticket.labels else ""
    return leads_to if ticket.queue_id in ("", TRIAGE) or leads_to != before else ticket.queue_id
