"""What the notifier does with events: its copy of the ticket, lines of the timeline, webhooks that become due.

Every write is idempotent by construction (a snapshot under `version <`, lines by their source, deliveries by their id),
so these subscriptions need no inbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Malformed
from fenliu.contracts.events import (
    AgentChanged,
    TicketCancelRequested,
    TicketConfirmed,
    TicketHelpRequested,
    TicketMessageAdded,
    TicketRated,
    TicketReceived,
    TicketReopenRequested,
    TicketStatusChanged,
)
from services.notifier import domain, metrics, store
from services.notifier.domain import Entry, Key, Snapshot

Wake = Callable[[Sequence[Entry]], None]
"""Told after the commit which entries are new."""


class Subscribers(Protocol):
    """Who wants webhooks, by tenant."""

    async def by_tenant(self, tx: Transaction) -> Mapping[str, Sequence[domain.Subscriber]]: ...


async def on_ticket_received(tx: Transaction, events: Sequence[TicketReceived], *, push: Wake) -> None:
    """The ticket exists, also for its status page; its first line is "received"."""
    facts: dict[Key, dict[str, Any]] = {}
    entries = []
    for event in events:
        received_at = _required(event.received_at)
        facts[event.tenant_id, event.ticket_id] = {
            "customer_id": event.customer_id,
            "order_id": event.order_id,
            "parcel_id": event.parcel_id,
            "received_at": received_at,
        }
        entries.append(_entry(event, "received", received_at))
    await _record(tx, entries, push, facts)


async def on_message_added(tx: Transaction, events: Sequence[TicketMessageAdded], *, push: Wake) -> None:
    """A public message becomes a line with its text. Internal notes are nobody's business here."""
    await _record(
        tx,
        [
            _entry(
                event,
                f"message_{event.author_role if event.author_role in ('customer', 'agent') else 'system'}",
                _required(event.added_at),
                text=event.text,
                author_id=event.author_id if event.author_role == "agent" else "",
            )
            for event in events
            if event.visibility == "public"
        ],
        push,
    )


async def on_cancel_requested(tx: Transaction, events: Sequence[TicketCancelRequested], *, push: Wake) -> None:
    """The customer's wish is shown at once; whether it is granted comes with a snapshot."""
    await _record(tx, [_entry(e, "cancel_requested", _required(e.requested_at)) for e in events], push)


async def on_reopen_requested(tx: Transaction, events: Sequence[TicketReopenRequested], *, push: Wake) -> None:
    """As on_cancel_requested."""
    await _record(tx, [_entry(e, "reopen_requested", _required(e.requested_at)) for e in events], push)


async def on_help_requested(tx: Transaction, events: Sequence[TicketHelpRequested], *, push: Wake) -> None:
    """As on_cancel_requested."""
    await _record(tx, [_entry(e, "help_requested", _required(e.requested_at)) for e in events], push)


async def on_confirmed(tx: Transaction, events: Sequence[TicketConfirmed], *, push: Wake) -> None:
    """The customer, or a fact about the order, says that it is solved."""
    entries = [
        _entry(e, "settled" if e.confirmed_by == "event" else "confirmed", _required(e.confirmed_at)) for e in events
    ]
    await _record(tx, entries, push)


async def on_rated(tx: Transaction, events: Sequence[TicketRated], *, push: Wake) -> None:
    """The rating becomes a line; its text is the score."""
    await _record(tx, [_entry(e, "rated", _required(e.rated_at), text=str(e.score)) for e in events], push)


async def on_status_changed(
    tx: Transaction,
    events: Sequence[TicketStatusChanged],
    *,
    subscribers: Subscribers,
    push: Wake,
    wake_deliveries: Callable[[], None],
) -> None:
    """Apply snapshots that are newer than the copy, write the steps that customers read, owe the webhooks."""
    snapshots = [_snapshot(event) for event in events]
    wanted = await subscribers.by_tenant(tx)

    held = await store.update_snapshots(tx, domain.newest(snapshots), Counter(s.key for s in snapshots))
    fresh, entries = domain.status_entries(snapshots, held)
    owed = domain.deliveries_for(fresh, wanted) if wanted else []

    await store.insert_entries(tx, entries, {key: before.last_sequence for key, before in held.items()})
    await store.insert_deliveries(tx, owed, tx.now)
    tx.after_commit(_count, len(fresh), len(entries), len(owed))
    if entries:
        tx.after_commit(push, entries)
    if owed:
        tx.after_commit(wake_deliveries)


async def on_agent_changed(tx: Transaction, events: Sequence[AgentChanged]) -> None:
    """Keep the name that customers may read beside an agent's answer."""
    newest: dict[Key, AgentChanged] = {}
    for event in events:
        held = newest.get((event.tenant_id, event.agent_id))
        if held is None or event.version > held.version:
            newest[event.tenant_id, event.agent_id] = event
    rows = [
        {"tenant_id": e.tenant_id, "agent_id": e.agent_id, "version": e.version, "name": e.name}
        for _, e in sorted(newest.items())
    ]
    await store.update_agents(tx, rows)


async def _record(
    tx: Transaction, entries: list[Entry], push: Wake, facts: Mapping[Key, dict[str, Any]] | None = None
) -> None:
    if not entries:
        return
    reserved = await store.upsert_tickets(tx, entries, facts or {})
    await store.insert_entries(tx, entries, reserved)
    tx.after_commit(_count, 0, len(entries), 0)
    tx.after_commit(push, entries)


def _count(snapshots: int, entries: int, owed: int) -> None:
    metrics.snapshots_applied.inc(snapshots)
    metrics.entries_written.inc(entries)
    metrics.deliveries_owed.inc(owed)


def _entry(event: Any, kind: str, at: datetime, *, text: str = "", author_id: str = "") -> Entry:
    """An entry for one of intake's facts. Raises Malformed without a ticket."""
    if not event.tenant_id or not event.ticket_id:
        raise Malformed("the event names no tenant or no ticket")
    return Entry(event.tenant_id, event.ticket_id, kind, at, "intake", event.sequence, text, author_id)


def _snapshot(event: TicketStatusChanged) -> Snapshot:
    if not event.tenant_id or not event.ticket_id or not event.state or event.version < 1:
        raise Malformed("the snapshot lacks its tenant, ticket, state or version")
    labels = event.labels
    return Snapshot(
        event.tenant_id,
        event.ticket_id,
        event.state,
        event.version,
        _required(event.changed_at),
        received_at=_time(event.received_at),
        customer_id=event.customer_id,
        queue_id=event.queue_id,
        agent_id=event.agent_id,
        agent_name=event.agent_name,
        category=labels.category,
        tier=labels.tier,
        complexity=labels.complexity,
        sentiment=labels.sentiment,
        reason=event.reason,
        awaited=event.awaited,
        reopen_count=event.reopen_count,
        first_response_due_at=_time(event.first_response_due_at),
        resolution_due_at=_time(event.resolution_due_at),
        first_responded_at=_time(event.first_responded_at),
    )


def _required(stamp: Timestamp) -> datetime:
    moment = _time(stamp)
    if moment is None:
        raise Malformed("the event does not say when it happened")
    return moment


def _time(stamp: Timestamp) -> datetime | None:
    """None for a stamp that is not set: no event of ours is from the first second of 1970."""
    if not stamp.seconds and not stamp.nanos:
        return None
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed("a time lies outside the calendar") from error
