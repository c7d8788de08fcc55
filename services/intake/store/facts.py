"""Facts about orders become tickets, or messages on the ticket that is open about the same matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fenliu.chassis.db import Transaction
from services.intake import metrics
from services.intake.domain.contact import FACT, SETTLED, Contact, ticket_id_for
from services.intake.domain.fact import Fact, FactRule, Parcel, settled_by_delivery
from services.intake.domain.ticket import is_untouched
from services.intake.store import conversation, events, orders
from services.intake.store.receiving import Receipt, receive

Rules = Mapping[str, FactRule]


async def open_facts(tx: Transaction, facts: Sequence[Fact], rules: Rules) -> int:
    """Open a ticket for each fact that is new, or add it to the open one about its order. Returns how many were new.

    Raises MatterRaced like `receive`.
    """
    unique = {(fact.tenant_id, fact.name): fact for fact in facts}
    known = await orders.load_fact_tickets(tx, unique)
    fresh = [fact for key, fact in sorted(unique.items()) if key not in known]
    if not fresh:
        return 0
    locales = await orders.load_locales(tx, {(fact.tenant_id, fact.customer_id) for fact in fresh})
    contacts = [_contact(fact, rules[fact.kind], locales.get((fact.tenant_id, fact.customer_id), "")) for fact in fresh]
    receipts = await receive(tx, contacts)
    written = [
        (fact.kind, "joined" if receipt.joined else "opened")
        for fact, receipt in zip(fresh, receipts, strict=True)
        if isinstance(receipt, Receipt) and not receipt.repeated
    ]
    for kind, outcome in written:
        tx.after_commit(metrics.count_fact, kind, outcome)
    return len(written)


def _contact(fact: Fact, rule: FactRule, locale: str) -> Contact:
    return Contact(
        tenant_id=fact.tenant_id,
        ticket_id=ticket_id_for(fact.tenant_id, FACT, fact.name),
        customer_id=fact.customer_id,
        text=rule.words(locale, fact),
        order_id=fact.order_id,
        parcel_id=fact.parcel_id,
        channel="event",
        locale=locale,
        operation=FACT,
        key=fact.name,
        fact=fact.name,
        labels=rule.labels,
    )


async def settle_delivered(
    tx: Transaction, delivered: Sequence[Parcel], siblings: Mapping[orders.Key, list[Parcel]], rules: Rules
) -> int:
    """Confirm tickets that only waited for these parcels; where somebody has touched one, tell them. Returns how many.

    siblings  all known parcels by order.
    """
    concerned: dict[orders.Key, Parcel] = {}
    for parcel in delivered:
        for name in settled_by_delivery(parcel, siblings.get((parcel.tenant_id, parcel.order_id), [])):
            concerned[parcel.tenant_id, name] = parcel
    found = await orders.load_fact_tickets(tx, concerned)
    by_ticket = {(tenant_id, ticket_id): name for (tenant_id, name), ticket_id in found.items()}
    done = 0
    for (tenant_id, ticket_id), name in sorted(by_ticket.items()):
        done += await _settle(tx, tenant_id, ticket_id, name, concerned[tenant_id, name], rules)
    return done


async def _settle(tx: Transaction, tenant_id: str, ticket_id: str, name: str, parcel: Parcel, rules: Rules) -> int:
    held = await conversation.lock_ticket(tx, tenant_id, ticket_id)
    if held is None or held.state in SETTLED:
        return 0
    replies = await conversation.count_replies(tx, tenant_id, ticket_id)
    if is_untouched(held.state, held.origin, replies):
        held = await conversation.advance(tx, tenant_id, ticket_id, confirmed_at=tx.now)
        assert held is not None
        events.confirmed(tx, held, "event")
        return 1
    held = await conversation.advance(tx, tenant_id, ticket_id)
    assert held is not None
    kind = name.split(":", 2)[1]
    fact = Fact(tenant_id, kind, parcel.parcel_id, held.customer_id, parcel.order_id, parcel.parcel_id)
    locales = await orders.load_locales(tx, [(tenant_id, held.customer_id)])
    words = rules[kind].resolved_words(locales.get((tenant_id, held.customer_id), ""), fact)
    await conversation.insert_message(tx, held, conversation.Author("system", ""), words)
    return 1
