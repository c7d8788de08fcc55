"""Taking contacts in: one transaction for a whole batch, one statement per table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update

from fenliu.chassis.db import Transaction, in_keys
from fenliu.chassis.errors import Transient
from services.intake.domain.contact import (
    Contact,
    Held,
    Joined,
    Opened,
    RequestKey,
    Settlement,
    Subject,
    joined_text,
    message_id_for,
    settle,
)
from services.intake.store import events
from services.intake.tables import customers, matters, messages, orders, parcels, requests, tickets

FIRST_SWEEP = timedelta(minutes=1)
"""After this time without a word from the router a ticket is looked at again (design D10)."""


class MatterRaced(Transient):
    """Two contacts about one matter arrived in two processes at the same moment. Try again; the second one joins."""

    slug = "matter-raced"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a contact. sequence: position of its message in the ticket."""

    ticket_id: str
    state: str
    joined: bool
    received_at: datetime
    sequence: int = 1
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key stands for a request with another body; nothing was written."""


async def receive(tx: Transaction, contacts: Sequence[Contact]) -> list[Receipt | KeyReused]:
    """Write the contacts: tickets, messages and events. One result per contact, in their order.

    Raises MatterRaced where another process opened a ticket about one of the matters meanwhile: nothing may be
    committed then, and the whole transaction is to be run again.
    """
    before, winners = await _claim(tx, contacts)
    receipts = dict(before)
    fresh = [index for index in range(len(contacts)) if index not in receipts and winners.get(index, index) == index]
    if fresh:
        written = await _write(tx, await _with_orders(tx, [contacts[index] for index in fresh]))
        receipts.update(zip(fresh, written, strict=True))
    for index, winner in winners.items():
        if index not in receipts:
            same = contacts[index].fingerprint == contacts[winner].fingerprint
            first = receipts[winner]
            receipts[index] = replace(first, repeated=True) if same and isinstance(first, Receipt) else KeyReused()
    return [receipts[index] for index in range(len(contacts))]


async def load_request(tx: Transaction, request: RequestKey, fingerprint: str) -> Receipt | KeyReused | None:
    """What an earlier request with this key led to; None where there was none."""
    row = (await tx.execute(select(requests).where(in_keys(_REQUEST, [request])))).one_or_none()
    return _earlier(row, fingerprint) if row else None


_REQUEST = (requests.c.tenant_id, requests.c.operation, requests.c.key)


async def _claim(tx: Transaction, contacts: Sequence[Contact]) -> tuple[dict[int, Receipt | KeyReused], dict[int, int]]:
    """Claim the contacts' keys: answers of those that took effect earlier, and who leads each key in this batch."""
    leaders: dict[RequestKey, int] = {}
    winners: dict[int, int] = {}
    for index, contact in enumerate(contacts):
        if request := contact.request:
            winners[index] = leaders.setdefault(request, index)
    if not leaders:
        return {}, {}
    rows = [_request_row(contacts[leaders[request]], tx.now) for request in sorted(leaders)]
    won = {tuple(row) for row in await tx.insert_rows(requests, rows, new_only=True, returning=_REQUEST)}
    lost = [request for request in leaders if request not in won]
    if not lost:
        return {}, winners
    earlier = {row[:3]: row for row in await tx.execute(select(requests).where(in_keys(_REQUEST, lost)))}
    answers = {
        index: _earlier(earlier[request], contacts[index].fingerprint)
        for index in winners
        if (request := contacts[index].request) in earlier
    }
    return answers, {index: winner for index, winner in winners.items() if index not in answers}


def _request_row(contact: Contact, now: datetime) -> dict[str, Any]:
    return {
        "tenant_id": contact.tenant_id,
        "operation": contact.operation,
        "key": contact.key,
        "fingerprint": contact.fingerprint,
        "ticket_id": contact.ticket_id,
        "joined": 0,
        "sequence": 1,
        "state": "received",
        "received_at": now,
    }


def _earlier(row: Any, fingerprint: str) -> Receipt | KeyReused:
    if row.fingerprint != fingerprint:
        return KeyReused()
    return Receipt(row.ticket_id, row.state, bool(row.joined), row.received_at, row.sequence, repeated=True)


async def _with_orders(tx: Transaction, contacts: list[Contact]) -> list[Contact]:
    """Name the order of contacts that name only its parcel, where it is the same customer's order."""
    wanted = {(c.tenant_id, c.parcel_id) for c in contacts if c.parcel_id and not c.order_id}
    if not wanted:
        return contacts
    query = (
        select(parcels.c.tenant_id, parcels.c.parcel_id, orders.c.customer_id, parcels.c.order_id)
        .join(orders, (orders.c.tenant_id == parcels.c.tenant_id) & (orders.c.order_id == parcels.c.order_id))
        .where(in_keys((parcels.c.tenant_id, parcels.c.parcel_id), wanted))
    )
    order_of = {tuple(row[:3]): row.order_id for row in await tx.execute(query)}
    return [
        replace(c, order_id=order_of.get((c.tenant_id, c.parcel_id, c.customer_id), "")) if not c.order_id else c
        for c in contacts
    ]


async def _write(tx: Transaction, contacts: list[Contact]) -> list[Receipt]:
    settlement = await _settle(tx, contacts)
    opened = [outcome for outcome in settlement.outcomes if isinstance(outcome, Opened)]
    joined = [outcome for outcome in settlement.outcomes if isinstance(outcome, Joined)]
    texts: dict[tuple[str, str], list[str]] = {}
    held: dict[tuple[str, str], tuple[int, str]] = {}
    if joined:
        held, texts = await _extend(tx, settlement, joined)
    if opened:
        await _insert_tickets(tx, opened, joined)
    receipts, rows = [], []
    for outcome in settlement.outcomes:
        contact = outcome.contact
        if isinstance(outcome, Opened):
            receipt = Receipt(contact.ticket_id, "received", False, tx.now)
            texts[contact.tenant_id, contact.ticket_id] = [] if contact.fact else [contact.text]
        else:
            base, state = held.get((contact.tenant_id, outcome.ticket_id), (1, "received"))
            receipt = Receipt(outcome.ticket_id, state, True, tx.now, base + outcome.nth)
            _emit_joined(tx, contact, receipt, texts[contact.tenant_id, outcome.ticket_id])
        rows.append(_message_row(contact, receipt))
        receipts.append(receipt)
    await tx.insert_rows(messages, rows)
    await _correct_requests(tx, joined, receipts, settlement)
    return receipts


async def _settle(tx: Transaction, contacts: list[Contact]) -> Settlement:
    """Decide who opens and who joins, and write down whose the matters are.

    Nearly always every matter is new: they are claimed at once, and only what was there already is looked up.
    """
    claimed = settle(contacts, {})
    taken = await _insert_matters(tx, claimed.matters)
    if not taken:
        return claimed
    settlement = settle(contacts, await _lock_matters(tx, taken))
    if taken & settlement.matters.keys():
        raise MatterRaced()  # it was given back between the two statements
    moved = [(subject, to) for subject, to in settlement.matters.items() if claimed.matters[subject] != to]
    if moved:
        await _move_matters(tx, moved)
    return settlement


_MATTER = (matters.c.tenant_id, matters.c.customer_id, matters.c.subject)


async def _insert_matters(tx: Transaction, found: Mapping[Subject, str]) -> set[Subject]:
    """Claim these matters for their tickets. Returns those that are some other ticket's already."""
    if not found:
        return set()
    rows = [
        {"tenant_id": tenant_id, "customer_id": customer_id, "subject": subject, "ticket_id": ticket_id}
        for (tenant_id, customer_id, subject), ticket_id in sorted(found.items())
    ]
    inserted = await tx.insert_rows(matters, rows, new_only=True, returning=_MATTER)
    return found.keys() - {tuple(row) for row in inserted}


async def _lock_matters(tx: Transaction, subjects: set[Subject]) -> dict[Subject, Held]:
    ticket = (tickets.c.tenant_id == matters.c.tenant_id) & (tickets.c.ticket_id == matters.c.ticket_id)
    query = (
        select(*_MATTER, matters.c.ticket_id, tickets.c.fact)
        .join(tickets, ticket)
        .where(in_keys(_MATTER, subjects))
        .order_by(*_MATTER)
        .with_for_update(of=matters)
    )
    return {tuple(row[:3]): Held(row.ticket_id, row.fact) for row in await tx.execute(query)}


async def _move_matters(tx: Transaction, moved: list[tuple[Subject, str]]) -> None:
    """Give matters that this transaction claimed to the tickets that their contacts join."""
    change = (
        update(matters)
        .where(
            matters.c.tenant_id == bindparam("in_tenant"),
            matters.c.customer_id == bindparam("of_customer"),
            matters.c.subject == bindparam("about"),
        )
        .values(ticket_id=bindparam("to_ticket"))
    )
    rows = [
        {"in_tenant": subject[0], "of_customer": subject[1], "about": subject[2], "to_ticket": ticket_id}
        for subject, ticket_id in sorted(moved)
    ]
    await tx.execute(change, rows)


async def _extend(
    tx: Transaction, settlement: Settlement, joined: list[Joined]
) -> tuple[dict[tuple[str, str], tuple[int, str]], dict[tuple[str, str], list[str]]]:
    """Count the new messages on tickets that were open before. Their last sequence and state, and customers' texts."""
    if not settlement.added:
        return {}, {}
    key = (tickets.c.tenant_id, tickets.c.ticket_id)
    query = select(*key, tickets.c.sequence, tickets.c.state).where(in_keys(key, settlement.added)).order_by(*key)
    held = {
        tuple(row[:2]): (row.sequence, row.state or "received") for row in await tx.execute(query.with_for_update())
    }
    repeats = _repeats(joined)
    change = (
        update(tickets)
        .where(tickets.c.tenant_id == bindparam("in_tenant"), tickets.c.ticket_id == bindparam("in_ticket"))
        .values(
            sequence=tickets.c.sequence + bindparam("added"),
            repeat_contacts=tickets.c.repeat_contacts + bindparam("repeats"),
        )
    )
    rows = [
        {"in_tenant": where[0], "in_ticket": where[1], "added": added, "repeats": repeats.get(where, 0)}
        for where, added in sorted(settlement.added.items())
    ]
    await tx.execute(change, rows)
    return held, await load_customer_texts(tx, list(settlement.added))


async def load_customer_texts(tx: Transaction, keys: list[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """What customers have written on these tickets, oldest first, at most 50 messages each are of use."""
    key = (messages.c.tenant_id, messages.c.ticket_id)
    query = (
        select(*key, messages.c.text)
        .where(in_keys(key, keys), messages.c.author_role == "customer")
        .order_by(*key, messages.c.sequence)
    )
    texts: dict[tuple[str, str], list[str]] = {where: [] for where in keys}
    for row in await tx.execute(query):
        texts[row.tenant_id, row.ticket_id].append(row.text)
    return texts


def _repeats(joined: list[Joined]) -> dict[tuple[str, str], int]:
    """How many customers' contacts joined each ticket; a fact that joins is not one."""
    counts: dict[tuple[str, str], int] = {}
    for outcome in joined:
        if not outcome.contact.fact:
            where = (outcome.contact.tenant_id, outcome.ticket_id)
            counts[where] = counts.get(where, 0) + 1
    return counts


async def _insert_tickets(tx: Transaction, opened: list[Opened], joined: list[Joined]) -> None:
    known = await _load_customers(tx, opened)
    earlier = await _count_earlier(tx, opened)
    repeats = _repeats(joined)
    rows = []
    for outcome in opened:
        contact = outcome.contact
        followers = repeats.get((contact.tenant_id, contact.ticket_id), 0)
        rows.append(_ticket_row(contact, tx.now, outcome.followers, followers))
        events.received(
            tx,
            contact,
            tx.now,
            known.get((contact.tenant_id, contact.customer_id)),
            earlier.get((contact.tenant_id, contact.customer_id, contact.order_id), 0),
        )
    await tx.insert_rows(tickets, rows)


async def _load_customers(tx: Transaction, opened: list[Opened]) -> dict[tuple[str, str], Any]:
    key = (customers.c.tenant_id, customers.c.customer_id)
    wanted = [(outcome.contact.tenant_id, outcome.contact.customer_id) for outcome in opened]
    return {tuple(row[:2]): row for row in await tx.execute(select(customers).where(in_keys(key, wanted)))}


async def _count_earlier(tx: Transaction, opened: list[Opened]) -> dict[tuple[str, str, str], int]:
    """How many tickets each customer has had about the same order."""
    wanted = {(outcome.contact.tenant_id, outcome.contact.order_id) for outcome in opened if outcome.contact.order_id}
    if not wanted:
        return {}
    key = (tickets.c.tenant_id, tickets.c.customer_id, tickets.c.order_id)
    query = (
        select(*key, func.count().label("tickets"))
        .where(in_keys((tickets.c.tenant_id, tickets.c.order_id), wanted), tickets.c.order_id != "")
        .group_by(*key)
    )
    return {tuple(row[:3]): row.tickets for row in await tx.execute(query)}


def _ticket_row(contact: Contact, now: datetime, followers: int, repeats: int) -> dict[str, Any]:
    return {
        "tenant_id": contact.tenant_id,
        "ticket_id": contact.ticket_id,
        "customer_id": contact.customer_id,
        "order_id": contact.order_id,
        "parcel_id": contact.parcel_id,
        "channel": contact.channel,
        "locale": contact.locale,
        "attributes": contact.attributes,
        "desk_id": contact.desk_id,
        "region": contact.region,
        "origin": contact.origin,
        "fact": contact.fact,
        "received_at": now,
        "sequence": 1 + followers,
        "repeat_contacts": repeats,
        "announce_at": now + FIRST_SWEEP,
    }


def _message_row(contact: Contact, receipt: Receipt) -> dict[str, Any]:
    return {
        "tenant_id": contact.tenant_id,
        "ticket_id": receipt.ticket_id,
        "sequence": receipt.sequence,
        "author_role": contact.author_role,
        "author_id": "" if contact.fact else contact.customer_id,
        "visibility": "public",
        "text": contact.text,
        "added_at": receipt.received_at,
    }


def _emit_joined(tx: Transaction, contact: Contact, receipt: Receipt, texts: list[str]) -> None:
    again = "" if contact.fact else joined_text(texts, contact.text)
    events.message_added(
        tx,
        contact.tenant_id,
        receipt.ticket_id,
        receipt.sequence,
        message_id_for(receipt.ticket_id, receipt.sequence),
        author=(contact.author_role, "" if contact.fact else contact.customer_id),
        text=contact.text,
        again=again,
        repeat_contact=not contact.fact,
    )
    if not contact.fact:
        texts.append(contact.text)


async def _correct_requests(
    tx: Transaction, joined: list[Joined], receipts: list[Receipt], settlement: Settlement
) -> None:
    """Let the keys of contacts that joined point at the ticket that they joined."""
    change = (
        update(requests)
        .where(
            requests.c.tenant_id == bindparam("in_tenant"),
            requests.c.operation == bindparam("in_operation"),
            requests.c.key == bindparam("in_key"),
        )
        .values(ticket_id=bindparam("of_ticket"), joined=1, sequence=bindparam("at"), state=bindparam("as_state"))
    )
    rows = [
        {
            "in_tenant": outcome.contact.tenant_id,
            "in_operation": outcome.contact.operation,
            "in_key": outcome.contact.key,
            "of_ticket": receipt.ticket_id,
            "at": receipt.sequence,
            "as_state": receipt.state,
        }
        for outcome, receipt in zip(settlement.outcomes, receipts, strict=True)
        if receipt.joined and outcome.contact.key
    ]
    if rows:
        await tx.execute(change, rows)
