"""Orders and parcels as intake sees them, and the facts about them that open tickets by themselves.

Everything here is a fold: view before, event, view after. An older event than the one already applied changes nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.intake.domain.contact import (
    DUPLICATE_CHARGE,
    PARCEL_DAMAGED,
    PARCEL_LOST,
    PROMISE_MISSED,
    REFUND_OVERDUE,
    STORIES,
    Labels,
)

KINDS = tuple(STORIES)

DELIVERY = "delivery"
REFUND = "refund"

TROUBLES = {"lost": PARCEL_LOST, "damaged": PARCEL_DAMAGED}
"""Fact by the status of the scan that tells of it."""

ENDED = frozenset({"cancelled", "merged"})
"""States of an order of which no delivery is expected any more."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the newest event left it. version is the source's, or occurred_at in µs where it gives none."""

    tenant_id: str
    order_id: str
    version: int = 0
    status: str = ""
    customer_id: str = ""
    total_minor: int = 0
    currency: str = ""
    promised_at: datetime | None = None
    refund_promised_at: datetime | None = None
    refund_paid_at: datetime | None = None
    occurred_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel as the newest scan left it. order_id is empty while nobody has said which order it belongs to.

    trouble  "lost" or "damaged" where it was reported so; a parcel that turns up again is no longer lost, but a damaged
             one stays damaged when it is delivered.
    """

    tenant_id: str
    parcel_id: str
    version: int = 0
    order_id: str = ""
    status: str = ""
    carrier: str = ""
    location: str = ""
    promised_at: datetime | None = None
    delivered_at: datetime | None = None
    occurred_at: datetime | None = None
    note: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Charge:
    """Money taken for an order. Charges are a set: their order of arrival does not matter."""

    tenant_id: str
    order_id: str
    charge_id: str
    amount_minor: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class OrderChange:
    """An order event. Empty strings, 0 and None leave what is there, except for `status`."""

    tenant_id: str
    order_id: str
    status: str
    version: int
    occurred_at: datetime
    customer_id: str = ""
    total_minor: int = 0
    currency: str = ""
    parcel_ids: tuple[str, ...] = ()
    promised_at: datetime | None = None
    charge_id: str = ""
    amount_minor: int = 0
    note: str = ""
    yearly_spend_minor: int = 0
    customer_class: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """A logistics event. Empty strings and None leave what is there, except for `status`."""

    tenant_id: str
    parcel_id: str
    status: str
    version: int
    occurred_at: datetime
    order_id: str = ""
    carrier: str = ""
    location: str = ""
    promised_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that went wrong with an order. At most one ticket is ever opened for it.

    name  fact:<kind>:<id>, stable whatever the order in which its evidence arrived.
    """

    tenant_id: str
    kind: str
    subject_id: str
    customer_id: str
    order_id: str = ""
    parcel_id: str = ""

    @property
    def name(self) -> str:
        return f"fact:{self.kind}:{self.subject_id}"


@dataclass(frozen=True, slots=True)
class Due:
    """A promise that is looked at again at `due_at`. kind: "delivery" or "refund". One per tenant, kind and subject."""

    tenant_id: str
    kind: str
    subject_id: str
    order_id: str
    parcel_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class FactRule:
    """What facts.toml says about a kind: its labels and the words for agents and customers, by language."""

    labels: Labels
    text: Mapping[str, str]
    resolved_text: Mapping[str, str]

    def words(self, locale: str, fact: Fact) -> str:
        """The opening text in the customer's language; Chinese where it is unknown or not in the table."""
        return _say(self.text, locale, fact)

    def resolved_words(self, locale: str, fact: Fact) -> str:
        """What is added to a touched ticket when the matter has settled itself."""
        return _say(self.resolved_text, locale, fact)


def parse_rules(toml: str) -> dict[str, FactRule]:
    """Read facts.toml. Raises ValueError where a kind is missing or unknown, so that a bad table fails at start-up."""
    table = tomllib.loads(toml)
    if set(table) != set(KINDS):
        raise ValueError(f"facts.toml must name exactly {', '.join(KINDS)}; it names {', '.join(sorted(table))}")
    return {kind: FactRule(Labels(**row["labels"]), row["text"], row["resolved"]) for kind, row in table.items()}


def apply_order(order: Order | None, change: OrderChange) -> Order | None:
    """The order after the change; None where the change is older than what is known and must be ignored."""
    before = order or Order(change.tenant_id, change.order_id)
    if order is not None and change.version <= before.version:
        return None
    refund = change.status == "refund_approved"
    return replace(
        before,
        version=change.version,
        status=change.status or before.status,
        customer_id=change.customer_id or before.customer_id,
        total_minor=change.total_minor or before.total_minor,
        currency=change.currency or before.currency,
        promised_at=before.promised_at if refund else change.promised_at or before.promised_at,
        refund_promised_at=change.promised_at or before.refund_promised_at if refund else before.refund_promised_at,
        refund_paid_at=change.occurred_at if change.status == "refund_paid" else before.refund_paid_at,
        occurred_at=change.occurred_at,
        note=change.note or before.note,
    )


def apply_scan(parcel: Parcel | None, scan: Scan) -> Parcel | None:
    """The parcel after the scan; None where the scan is older than what is known and must be ignored."""
    before = parcel or Parcel(scan.tenant_id, scan.parcel_id)
    if parcel is not None and scan.version <= before.version:
        return None
    return replace(
        before,
        version=scan.version,
        order_id=scan.order_id or before.order_id,
        status=scan.status or before.status,
        carrier=scan.carrier or before.carrier,
        location=scan.location or before.location,
        promised_at=scan.promised_at or before.promised_at,
        delivered_at=scan.occurred_at if scan.status == "delivered" else before.delivered_at,
        occurred_at=scan.occurred_at,
        note=scan.note or before.note,
        trouble=scan.status if scan.status in TROUBLES else before.trouble if before.trouble == "damaged" else "",
    )


def charge_of(change: OrderChange) -> Charge | None:
    """The charge that an order event tells of, if it names one with an amount."""
    if change.status not in ("charged", "paid") or not change.charge_id or change.amount_minor <= 0:
        return None
    return Charge(change.tenant_id, change.order_id, change.charge_id, change.amount_minor, change.occurred_at)


def facts_of(order: Order, parcels: Sequence[Parcel], charges: Sequence[Charge]) -> list[Fact]:
    """What is wrong with an order right now, apart from promises. Nothing while its customer is unknown."""
    if not order.customer_id:
        return []
    facts = [
        Fact(order.tenant_id, TROUBLES[p.trouble], p.parcel_id, order.customer_id, order.order_id, p.parcel_id)
        for p in parcels
        if p.trouble
    ]
    if has_duplicate_charge(charges):
        facts.append(Fact(order.tenant_id, DUPLICATE_CHARGE, order.order_id, order.customer_id, order.order_id))
    return facts


def has_duplicate_charge(charges: Sequence[Charge]) -> bool:
    """True where two charges of one order have different ids and the same amount."""
    by_id = {charge.charge_id: charge.amount_minor for charge in charges}
    return len(set(by_id.values())) < len(by_id)


def dues_of(order: Order | None, parcels: Sequence[Parcel], grace: timedelta) -> list[Due]:
    """Promises to look at again: the order's delivery and refund, and every parcel's own delivery.

    grace  time after the promised moment in which nothing is said yet.
    """
    dues = []
    if order is not None and order.promised_at and order.status not in ENDED:
        due_at = order.promised_at + grace
        dues.append(Due(order.tenant_id, DELIVERY, "order:" + order.order_id, order.order_id, "", due_at))
    if order is not None and order.refund_promised_at and order.refund_paid_at is None:
        due_at = order.refund_promised_at + grace
        dues.append(Due(order.tenant_id, REFUND, "order:" + order.order_id, order.order_id, "", due_at))
    for parcel in parcels:
        if parcel.promised_at and parcel.delivered_at is None:
            due_at, subject = parcel.promised_at + grace, "parcel:" + parcel.parcel_id
            dues.append(Due(parcel.tenant_id, DELIVERY, subject, parcel.order_id, parcel.parcel_id, due_at))
    return dues


def missed(due: Due, order: Order | None, parcels: Sequence[Parcel]) -> Fact | None:
    """The fact that a promise was broken, or None: kept, given up, not about a known customer, or told by another fact.

    order    None while only its parcel is known; then nobody can be told.
    parcels  all known parcels of the order.
    """
    if order is None or not order.customer_id:
        return None
    if due.kind == REFUND:
        fact = Fact(due.tenant_id, REFUND_OVERDUE, order.order_id, order.customer_id, order.order_id)
        return None if order.refund_paid_at else fact
    if order.status in ENDED:
        return None
    concerned = [parcel for parcel in parcels if not due.parcel_id or parcel.parcel_id == due.parcel_id]
    waiting = [p for p in concerned if p.delivered_at is None and p.status not in ("lost", "damaged", "returned")]
    if concerned and not waiting:
        return None
    parcel_id = due.parcel_id or (waiting[0].parcel_id if len(waiting) == 1 else "")
    # One fact per order, not per parcel: a customer who waits for three parcels has one complaint.
    return Fact(due.tenant_id, PROMISE_MISSED, order.order_id, order.customer_id, order.order_id, parcel_id)


def settled_by_delivery(parcel: Parcel, siblings: Sequence[Parcel]) -> list[str]:
    """Names of the facts that the delivery of a parcel settles.

    siblings  all known parcels of its order, the delivered one among them.
    """
    names = [f"fact:{PARCEL_LOST}:{parcel.parcel_id}"]
    if parcel.order_id and all(other.delivered_at for other in siblings):
        names.append(f"fact:{PROMISE_MISSED}:{parcel.order_id}")
    return names


def _say(table: Mapping[str, str], locale: str, fact: Fact) -> str:
    language = "en" if locale.lower().startswith("en") else "zh"
    return table[language].format(order=fact.order_id or "-", parcel=fact.parcel_id or "-")
