"""What the router does about events: each handler locks the tickets of its list, decides, and records the changes.

A ticket's row is made by whichever event comes first; a customer's wish about a ticket that is not known yet is
honoured all the same. Every event that asks for something gets an answer: a change, or the present state once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Malformed
from fenliu.contracts import events
from fenliu.contracts.vocabulary import CATEGORIES, COMPLEXITIES, DEFAULT_DESK, SENTIMENTS, TIERS
from services.router import metrics
from services.router.domain import inbound
from services.router.domain.customer import wished
from services.router.domain.due import Timers, timed
from services.router.domain.queues import TRIAGE, QueueRules
from services.router.domain.sla import ServiceLevels
from services.router.domain.ticket import Facts, Labels, Ticket
from services.router.domain.transitions import Change
from services.router.store import tickets
from services.router.store.news import News
from services.router.store.snapshots import emit_repeated


@dataclass(frozen=True, slots=True)
class Context:
    """What the handlers need besides the events; bound once in main."""

    rules: QueueRules
    levels: ServiceLevels
    timers: Timers
    news: News


class _AboutTicket(Protocol):
    tenant_id: str
    ticket_id: str


E = TypeVar("E", bound=_AboutTicket)


async def on_ticket_received(tx: Transaction, received: Sequence[events.TicketReceived], *, context: Context) -> None:
    """Take up new tickets; they wait for their labels, at most until triage_after. One announced again is answered
    with its present state, because whoever announces again has heard nothing."""
    fresh = {event.ticket_id: _fresh(event.tenant_id, event.ticket_id, tx.now, context, event) for event in received}
    known, made = await tickets.lock_or_insert(tx, fresh)

    late = {key: ticket for key, ticket in known.items() if key not in made and not ticket.announced}
    again = [ticket for key, ticket in known.items() if key not in made and ticket.announced]

    await tickets.update_announced(
        tx, {key: (wished(fresh[key].facts, late[key].facts), fresh[key].received_at) for key in late}
    )
    emit_repeated(tx, again)


async def on_ticket_classified(
    tx: Transaction, classified: Sequence[events.TicketClassified], *, context: Context
) -> None:
    """Queue newly labelled tickets; the dispatcher assigns them. What was cancelled meanwhile is left alone."""

    def decide(ticket: Ticket, event: events.TicketClassified) -> Change | None:
        change = inbound.label(
            ticket, _labels(event.labels), event.message_sequence or 1, needs_review=event.needs_review,
            rules=context.rules, levels=context.levels, now=tx.now, model_version=event.model_version[:64],
        )  # fmt: skip
        if change is not None and change.after.queue_id == TRIAGE and change.action != "note":
            tx.after_commit(partial(metrics.triaged.inc, reason="needs_review" if event.needs_review else "unclear"))
        return change

    def fresh(event: events.TicketClassified) -> Ticket:
        facts = event.facts if event.HasField("facts") else None
        return _fresh(event.tenant_id, event.ticket_id, tx.now, context, facts, announced=False)

    await _apply(tx, classified, decide, context, fresh=fresh)


async def on_message_added(tx: Transaction, added: Sequence[events.TicketMessageAdded], *, context: Context) -> None:
    """An agent's first public reply stops the first-response clock; a customer's message ends a hold for it."""

    def decide(ticket: Ticket, event: events.TicketMessageAdded) -> Change | None:
        return inbound.message(
            ticket, event.author_role, event.author_id, event.visibility, _moment(event.added_at) or tx.now, tx.now,
            repeat=event.repeat_contact, levels=context.levels,
        )  # fmt: skip

    await _apply(tx, added, decide, context)


async def on_cancel_requested(
    tx: Transaction, requested: Sequence[events.TicketCancelRequested], *, context: Context
) -> None:
    """Cancel, whoever owns the ticket, also when the labels are still on their way."""
    await _apply(tx, requested, lambda ticket, _: inbound.cancel(ticket, tx.now), context, answers=True)


async def on_reopen_requested(
    tx: Transaction, requested: Sequence[events.TicketReopenRequested], *, context: Context
) -> None:
    """Queue a resolved ticket again; in any other state the answer is the present state."""
    await _apply(tx, requested, lambda ticket, _: inbound.reopen(ticket, context.levels, tx.now), context, answers=True)


async def on_help_requested(
    tx: Transaction, requested: Sequence[events.TicketHelpRequested], *, context: Context
) -> None:
    """A person shall look: what no person was going to see is queued."""

    def decide(ticket: Ticket, _: events.TicketHelpRequested) -> Change | None:
        return inbound.ask_for_human(ticket, context.levels, tx.now)

    await _apply(tx, requested, decide, context, answers=True)


async def on_confirmed(tx: Transaction, confirmed: Sequence[events.TicketConfirmed], *, context: Context) -> None:
    """Settled, says the customer, or a fact, which counts only while nobody has started to work."""

    def decide(ticket: Ticket, event: events.TicketConfirmed) -> Change | None:
        return inbound.confirm(ticket, event.confirmed_by, tx.now)

    await _apply(tx, confirmed, decide, context, answers=True)


async def on_rated(tx: Transaction, rated: Sequence[events.TicketRated]) -> None:
    """Keep the score with the ticket. The state does not change."""
    await tickets.lock_tickets(tx, {event.ticket_id for event in rated})
    await tickets.update_ratings(tx, {event.ticket_id: event.score for event in rated})


async def _apply(
    tx: Transaction, found: Sequence[E], decide: Callable[[Ticket, E], Change | None], context: Context, *,
    fresh: Callable[[E], Ticket] | None = None, answers: bool = False,
) -> None:  # fmt: skip
    """Lock, decide event by event, record. answers: where nothing changes, the present state is published again."""
    make = fresh or (lambda event: _fresh(event.tenant_id, event.ticket_id, tx.now, context, None, announced=False))
    known, _ = await tickets.lock_or_insert(tx, {event.ticket_id: make(event) for event in found})
    for event in found:
        if known[event.ticket_id].tenant_id != event.tenant_id:
            raise Malformed("the ticket belongs to another tenant")

    changes: list[Change] = []
    unmoved: dict[str, Ticket] = {}
    for event in found:
        change = decide(known[event.ticket_id], event)
        if change is None:
            unmoved[event.ticket_id] = known[event.ticket_id]
            continue
        change = timed(change, tx.now, context.timers)
        known[event.ticket_id] = change.after
        changes.append(change)

    await tickets.record(tx, changes)
    if answers:
        moved = {change.after.ticket_id for change in changes}
        emit_repeated(tx, [ticket for key, ticket in unmoved.items() if key not in moved])
    context.news.after(tx, changes)


def _fresh(
    tenant_id: str, ticket_id: str, now: datetime, context: Context,
    said: events.TicketReceived | events.TicketFacts | None, *, announced: bool = True,
) -> Ticket:  # fmt: skip
    """A ticket that has just become known. said: what is known of it; None is nothing but its id."""
    return Ticket(
        tenant_id=tenant_id,
        ticket_id=ticket_id,
        desk_id=(said.desk_id if said else "") or DEFAULT_DESK,
        received_at=(_moment(said.received_at) if said else None) or now,
        reason="received",
        facts=_facts(said) if said else Facts(),
        announced=announced,
        changed_at=now,
        next_check_at=now + context.timers.triage_after,
    )


def _facts(said: events.TicketReceived | events.TicketFacts) -> Facts:
    return Facts(
        customer_id=said.customer_id,
        channel=said.channel,
        language_hint=said.language_hint,
        order_id=said.order_id,
        parcel_id=said.parcel_id,
        yearly_spend_minor=said.yearly_spend_minor,
        currency=said.currency,
        customer_class=said.customer_class,
        region=said.region,
        origin=getattr(said, "origin", ""),
        fact=getattr(said, "fact", ""),
        repeat_contacts=said.repeat_contacts,
    )


_KNOWN: Mapping[str, tuple[str, ...]] = {
    "category": CATEGORIES,
    "tier": TIERS,
    "complexity": COMPLEXITIES,
    "sentiment": SENTIMENTS,
}


def _labels(said: events.Labels) -> Labels:
    """A slug that this version does not know counts as unknown, so that a newer classifier stops nobody."""
    known = {name: value if (value := getattr(said, name)) in slugs else "" for name, slugs in _KNOWN.items()}
    return Labels(**known, intent=said.intent, language=said.language)


def _moment(stamp: Timestamp) -> datetime | None:
    """Aware UTC; None where the field is not set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    return datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000)
