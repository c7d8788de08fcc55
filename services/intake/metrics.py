"""Intake's metrics: how many, how fast, how late, how many waiting, how old is the oldest."""

from __future__ import annotations

from fenliu.chassis.observability import counter, gauge, histogram
from services.intake.domain.fact import KINDS

CHANNELS = ("web", "app", "chat", "email", "phone", "event")

contacts_total = counter(
    "fenliu_intake_contacts_total",
    "Contacts that were accepted and committed.",
    reaction="Falls to nothing in business hours: the shop's front end cannot reach intake; try a POST by hand.",
    labels={"channel": CHANNELS, "outcome": ("opened", "joined", "repeated")},
)
refused_total = counter(
    "fenliu_intake_contacts_refused_total",
    "Contacts that were refused although they were valid.",
    reaction="key_reused: a client uses one Idempotency-Key for different requests.",
    labels={"reason": ("key_reused",)},
)
messages_total = counter(
    "fenliu_intake_messages_total",
    "Messages that were added to tickets, apart from opening texts.",
    reaction="Informative.",
    labels={"author_role": ("customer", "agent", "system"), "visibility": ("public", "internal")},
)
requests_total = counter(
    "fenliu_intake_ticket_requests_total",
    "What customers asked for on a ticket.",
    reaction="help grows against contacts: self-service answers do not help; look at what was asked.",
    labels={"action": ("cancel", "help", "confirm", "reopen", "rating")},
)
facts_total = counter(
    "fenliu_intake_facts_total",
    "Facts about orders and parcels that opened a ticket or joined one.",
    reaction="One kind jumps: something is wrong at a carrier or a payment provider; tell the shop.",
    labels={"kind": KINDS, "outcome": ("opened", "joined")},
)
outside_events_total = counter(
    "fenliu_intake_outside_events_total",
    "Order and logistics events that were handled.",
    reaction="stale grows: the source sends old versions again. Stands still: the source or the topic is down.",
    labels={"stream": ("order", "logistics"), "outcome": ("applied", "stale")},
)
event_visible_seconds = histogram(
    "fenliu_intake_event_visible_seconds",
    "Time from an outside event's occurrence at its source to being visible on tickets.",
    reaction="p99 above 0.5 s with a small lag: the source sends late. With a large lag: see the consumer's metrics.",
    labels={"stream": ("order", "logistics")},
)
unheard_tickets = gauge(
    "fenliu_intake_unheard_tickets",
    "Tickets about which the router has said nothing yet.",
    reaction="Grows: the router is down or behind; tickets are announced again after 1, 2, 4 and 8 minutes.",
)
unheard_oldest_seconds = gauge(
    "fenliu_intake_unheard_oldest_seconds",
    "Age of the oldest ticket about which the router has said nothing.",
    reaction="Above 900 s: all announcements were used up; look at the router and its dead letters.",
)
announced_again_total = counter(
    "fenliu_intake_announced_again_total",
    "Tickets that were announced once more because the router had said nothing.",
    reaction="Grows: records were read but lost their effect; look at the router's log and dead letters.",
)
abandoned_tickets_total = counter(
    "fenliu_intake_announcements_exhausted_total",
    "Tickets that the router did not take up after the last announcement.",
    reaction="Above 0: a person must look. The ticket's id is in the log as ticket_not_taken_up.",
)
due_promises = gauge(
    "fenliu_intake_overdue_checks_promises",
    "Promises whose moment has passed and that were not looked at yet.",
    reaction="Grows: the loop due_promises does not keep up or fails; see its worker metrics.",
)
due_oldest_seconds = gauge(
    "fenliu_intake_overdue_checks_oldest_seconds",
    "How long the oldest of those promises has been waiting to be looked at.",
    reaction="Above 60 s: as above.",
)


def count_fact(kind: str, outcome: str) -> None:
    """Count a fact once it is committed."""
    facts_total.inc(kind=kind, outcome=outcome)
