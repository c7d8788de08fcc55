"""What intake does with events: the shop's orders, the carriers' scans, the router's word about tickets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Malformed
from fenliu.contracts.events import (
    Labels,
    LogisticsEvent,
    LogisticsEventKind,
    OrderEvent,
    OrderEventKind,
    TicketRelabelled,
    TicketStatusChanged,
)
from services.intake import metrics
from services.intake.domain.fact import (
    FactRule,
    Order,
    OrderChange,
    Parcel,
    Scan,
    apply_order,
    apply_scan,
    charge_of,
    dues_of,
    facts_of,
)
from services.intake.domain.ticket import Correction, Snapshot, newest
from services.intake.store import orders as store
from services.intake.store.corrections import insert_corrections
from services.intake.store.facts import open_facts, settle_delivered
from services.intake.store.status import update_snapshots

Rules = Mapping[str, FactRule]
Now = Callable[[], datetime]


async def on_order_event(
    tx: Transaction, events: Sequence[OrderEvent], *, rules: Rules, grace: timedelta, now: Now
) -> None:
    """Fold order events into the view; open a ticket for a duplicate charge, and for parcels that waited for the order.

    Raises Malformed where an event names no order or no time.
    """
    changes = [_order_change(event) for event in events]
    keys = {(change.tenant_id, change.order_id) for change in changes}
    orders = await store.lock_orders(tx, keys)
    named = {(change.tenant_id, parcel_id) for change in changes for parcel_id in change.parcel_ids}
    parcels = await store.lock_parcels(tx, named)

    applied = _fold_orders(orders, parcels, changes)

    await store.upsert_orders(tx, [orders[key] for key in {(c.tenant_id, c.order_id) for c in applied}])
    await store.upsert_parcels(tx, parcels.values())
    await store.insert_charges(tx, [charge for change in changes if (charge := charge_of(change))])
    await store.upsert_customers(tx, [(orders[c.tenant_id, c.order_id].customer_id, c) for c in applied])
    siblings = await store.load_parcels_of(tx, keys)
    charges = await store.load_charges_of(tx, keys)
    facts = [
        fact for key in sorted(keys) for fact in facts_of(orders[key], siblings.get(key, []), charges.get(key, []))
    ]
    await open_facts(tx, facts, rules)
    await store.upsert_dues(tx, [d for key in sorted(keys) for d in dues_of(orders[key], siblings.get(key, []), grace)])
    tx.after_commit(_observe, "order", [change.occurred_at for change in changes], len(applied), now)


async def on_logistics_event(
    tx: Transaction, events: Sequence[LogisticsEvent], *, rules: Rules, grace: timedelta, now: Now
) -> None:
    """Fold scans into the view; open a ticket for a lost or damaged parcel, settle one that only waited for delivery.

    Raises Malformed where an event names no parcel or no time.
    """
    scans = [_scan(event) for event in events]
    keys = {(scan.tenant_id, scan.parcel_id) for scan in scans}
    known = await store.load_parcels(tx, keys)
    order_ids = {(scan.tenant_id, scan.order_id) for scan in scans} | {
        (p.tenant_id, p.order_id) for p in known.values()
    }
    await store.lock_orders(tx, {key for key in order_ids if key[1]})
    before = await store.lock_parcels(tx, keys)

    after, applied = _fold_scans(before, scans)

    await store.upsert_parcels(tx, after.values())
    order_keys = {(parcel.tenant_id, parcel.order_id) for parcel in after.values() if parcel.order_id}
    orders = await store.load_orders(tx, order_keys)
    facts = [
        fact
        for parcel in after.values()
        if (order := orders.get((parcel.tenant_id, parcel.order_id)))
        for fact in facts_of(order, [parcel], [])
    ]
    await open_facts(tx, facts, rules)
    await store.upsert_dues(tx, dues_of(None, list(after.values()), grace))
    delivered = [after[key] for key in sorted(after) if after[key].delivered_at and not before[key].delivered_at]
    if delivered:
        await settle_delivered(tx, delivered, await store.load_parcels_of(tx, order_keys), rules)
    tx.after_commit(_observe, "logistics", [scan.occurred_at for scan in scans], applied, now)


async def on_ticket_status_changed(tx: Transaction, events: Sequence[TicketStatusChanged]) -> None:
    """Copy the router's newest word about each ticket; an older one changes nothing, so a repeat is harmless."""
    await update_snapshots(tx, newest([_snapshot(event) for event in events]))


async def on_ticket_relabelled(tx: Transaction, events: Sequence[TicketRelabelled]) -> None:
    """Keep what people said of labels, beside the text that it is about; a repeat changes nothing."""
    await insert_corrections(tx, [_correction(event) for event in events])


def _fold_orders(
    orders: dict[store.Key, Order], parcels: dict[store.Key, Parcel], changes: Sequence[OrderChange]
) -> list[OrderChange]:
    """Bring both views up to date in place; the changes that were not stale."""
    applied = []
    for change in changes:
        key = (change.tenant_id, change.order_id)
        after = apply_order(orders[key], change)
        if after is not None:
            orders[key] = after
            applied.append(change)
        for parcel_id in change.parcel_ids:
            parcel = parcels[change.tenant_id, parcel_id]
            if after is not None or not parcel.order_id:
                parcels[change.tenant_id, parcel_id] = replace(parcel, order_id=change.order_id)
    return applied


def _fold_scans(before: Mapping[store.Key, Parcel], scans: Sequence[Scan]) -> tuple[dict[store.Key, Parcel], int]:
    """Parcels after the scans, and how many scans were not stale."""
    after, applied = dict(before), 0
    for scan in scans:
        key = (scan.tenant_id, scan.parcel_id)
        if (parcel := apply_scan(after[key], scan)) is not None:
            after[key] = parcel
            applied += 1
        elif scan.order_id and not after[key].order_id:
            after[key] = replace(after[key], order_id=scan.order_id)
    return after, applied


def _observe(stream: str, occurred: Sequence[datetime], applied: int, now: Now) -> None:
    moment = now()
    for at in occurred:
        metrics.event_visible_seconds.observe(max(0.0, (moment - at).total_seconds()), stream=stream)
    metrics.outside_events_total.inc(applied, stream=stream, outcome="applied")
    metrics.outside_events_total.inc(len(occurred) - applied, stream=stream, outcome="stale")


def _order_change(event: OrderEvent) -> OrderChange:
    occurred_at = _occurred_at(event.order_id, event)
    parcel_ids = tuple(_identifier("parcel_ids", parcel_id) for parcel_id in dict.fromkeys(event.parcel_ids))
    return OrderChange(
        tenant_id=event.tenant_id,
        order_id=_identifier("order_id", event.order_id),
        status=_kind(OrderEventKind, event.kind, "ORDER_EVENT_KIND_"),
        version=event.version if event.version > 0 else _microseconds(occurred_at),
        occurred_at=occurred_at,
        customer_id=_identifier("customer_id", event.customer_id) if event.customer_id else "",
        total_minor=event.total_minor,
        currency=event.currency[:8],
        parcel_ids=parcel_ids,
        promised_at=_moment(event, "promised_at"),
        charge_id=_identifier("charge_id", event.charge_id) if event.charge_id else "",
        amount_minor=event.amount_minor,
        note=event.note[:500],
        yearly_spend_minor=event.yearly_spend_minor,
        customer_class=event.customer_class[:64],
    )


def _scan(event: LogisticsEvent) -> Scan:
    occurred_at = _occurred_at(event.parcel_id, event)
    return Scan(
        tenant_id=event.tenant_id,
        parcel_id=_identifier("parcel_id", event.parcel_id),
        status=_kind(LogisticsEventKind, event.kind, "LOGISTICS_EVENT_KIND_"),
        version=event.version if event.version > 0 else _microseconds(occurred_at),
        occurred_at=occurred_at,
        order_id=_identifier("order_id", event.order_id) if event.order_id else "",
        carrier=event.carrier[:64],
        location=event.location[:256],
        promised_at=_moment(event, "promised_at"),
        note=event.note[:500],
    )


def _snapshot(event: TicketStatusChanged) -> Snapshot:
    return Snapshot(
        tenant_id=event.tenant_id,
        ticket_id=event.ticket_id,
        state=event.state[:32],
        version=event.version,
        fence=event.fence,
        queue_id=event.queue_id[:128],
        agent_id=event.agent_id[:128],
        agent_name=event.agent_name[:256],
        labels=_labels(event.labels) if event.HasField("labels") else "{}",
        reason=event.reason[:256],
        awaited=event.awaited[:64],
        reopen_count=event.reopen_count,
        first_response_due_at=_moment(event, "first_response_due_at"),
        resolution_due_at=_moment(event, "resolution_due_at"),
        first_responded_at=_moment(event, "first_responded_at"),
        changed_at=_moment(event, "changed_at"),
    )


def _correction(event: TicketRelabelled) -> Correction:
    corrected_at = _moment(event, "corrected_at")
    if corrected_at is None or not event.HasField("labels_after"):
        raise Malformed("A correction must say which labels a ticket has now (labels_after), and since when.")
    return Correction(
        tenant_id=event.tenant_id,
        ticket_id=_identifier("ticket_id", event.ticket_id),
        version=event.version,
        labels_before=_labels(event.labels_before) if event.HasField("labels_before") else "{}",
        labels_after=_labels(event.labels_after),
        corrected_by_role=event.corrected_by_role[:16],
        reason=event.reason[:200],
        model_version=event.model_version[:64],
        corrected_at=corrected_at,
    )


def _labels(labels: Labels) -> str:
    names = ("category", "tier", "complexity", "sentiment", "intent", "language")
    return json.dumps({name: getattr(labels, name) for name in names})


def _identifier(field: str, value: str) -> str:
    if not value or len(value) > 128 or not value.isprintable():
        raise Malformed(f"{field} must have 1 to 128 visible characters.")
    return value


def _occurred_at(about: str, event: OrderEvent | LogisticsEvent) -> datetime:
    moment = _moment(event, "occurred_at")
    if moment is None:
        raise Malformed(f"An event about {about[:128]!r} does not say when it happened (occurred_at).")
    return moment


def _moment(event: OrderEvent | LogisticsEvent | TicketStatusChanged | TicketRelabelled, field: str) -> datetime | None:
    if not event.HasField(field):
        return None
    stamp: Timestamp = getattr(event, field)
    try:
        moment = stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"{field} is not a moment.") from error
    if not 1970 <= moment.year <= 9000:
        raise Malformed(f"{field} is not a moment between the years 1970 and 9000.")
    return moment


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _kind(enum: type[OrderEventKind] | type[LogisticsEventKind], number: int, prefix: str) -> str:
    """The kind's slug; "" where it is newer than this reader, which leaves the status as it is. Raises Malformed where
    it is not said, or said with a name that nobody knows."""
    names = {value: name.removeprefix(prefix).lower() for name, value in enum.items()}
    if number == 0:
        raise Malformed(f"kind is missing or unknown; it is one of {prefix}… {', '.join(list(names.values())[1:])}.")
    return names.get(number, "")
