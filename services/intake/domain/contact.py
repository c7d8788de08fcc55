"""Contacts: what somebody sent, under which id it is kept, and which open ticket it belongs to."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NAMESPACE = uuid.UUID("6f1c4e0a-3f0b-5b8e-9a53-7d5f2f0c1a11")
"""Fixed for ever: ticket ids are derived from it."""

MAX_JOINED_CHARS = 2_000
"""Longest text that is labelled again, characters (contract of TicketMessageAdded.joined_text)."""

MAX_TEXT_CHARS = 16_000
"""Longest message, characters (contract of TicketReceived.text)."""

TERMINAL = frozenset({"closed", "cancelled"})
SETTLED = TERMINAL | {"resolved"}
"""A ticket in one of these states takes no second contact; a new one is opened."""

CREATE = "create"
FACT = "fact"

Subject = tuple[str, str, str]
"""What two contacts have in common when they are one matter: tenant, customer, "order:<id>" or "parcel:<number>"."""

PARCEL_LOST = "parcel_lost"
PARCEL_DAMAGED = "parcel_damaged"
DUPLICATE_CHARGE = "duplicate_charge"
PROMISE_MISSED = "promise_missed"
REFUND_OVERDUE = "refund_overdue"

STORIES = {
    PARCEL_LOST: "delivery",
    PARCEL_DAMAGED: "delivery",
    PROMISE_MISSED: "delivery",
    DUPLICATE_CHARGE: "charge",
    REFUND_OVERDUE: "refund",
}
"""What the facts about one order tell of. Facts of two stories need different people, so they are two tickets."""

RequestKey = tuple[str, str, str]
"""Tenant, operation ("create", "fact", "message:<ticket>"), key. The same one never takes effect twice."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels that a fact implies by itself; slugs of docs/taxonomy.md."""

    category: str
    tier: str
    complexity: str
    sentiment: str
    intent: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """One validated contact before it is known whether it opens a ticket or joins one. Empty strings are absent.

    ticket_id   the id that it gets if it opens a ticket.
    attributes  the caller's own fields as JSON text.
    key         idempotency key, or the fact; empty takes no part in duplicate detection.
    """

    tenant_id: str
    ticket_id: str
    customer_id: str
    text: str
    order_id: str = ""
    parcel_id: str = ""
    channel: str = "web"
    locale: str = ""
    attributes: str = "{}"
    desk_id: str = ""
    region: str = ""
    operation: str = CREATE
    key: str = ""
    fingerprint: str = ""
    fact: str = ""
    labels: Labels | None = None

    @property
    def request(self) -> RequestKey | None:
        """Under what a repeat of this contact is recognised; None where it cannot be."""
        return (self.tenant_id, self.operation, self.key) if self.key else None

    @property
    def origin(self) -> str:
        """Who opened it: "event" for a fact, else "customer"."""
        return "event" if self.fact else "customer"

    @property
    def author_role(self) -> str:
        """Whose message it becomes."""
        return "system" if self.fact else "customer"

    def subjects(self) -> tuple[Subject, ...]:
        """Matters that this contact is about, order first; none makes it a matter of its own."""
        named = (("order:", self.order_id), ("parcel:", self.parcel_id))
        return tuple((self.tenant_id, self.customer_id, prefix + value) for prefix, value in named if value)


@dataclass(frozen=True, slots=True)
class Held:
    """An open ticket that a matter belongs to. fact: what opened it; empty where a customer did."""

    ticket_id: str
    fact: str = ""

    def takes(self, contact: Contact) -> bool:
        """True where the contact is about the same thing: customers' words always, a fact unless another story's fact
        opened the ticket."""
        return not contact.fact or not self.fact or story_of(contact.fact) == story_of(self.fact)


def story_of(fact: str) -> str:
    """The story of "fact:<kind>:<id>"; the kind itself where it stands in no story."""
    kind = fact.removeprefix("fact:").partition(":")[0]
    return STORIES.get(kind, kind)


@dataclass(frozen=True, slots=True)
class Opened:
    """The contact opens a ticket under its own id. followers: how many of the same batch join it at once."""

    contact: Contact
    followers: int = 0


@dataclass(frozen=True, slots=True)
class Joined:
    """The contact becomes message number `nth` (from 1) that this batch adds to the ticket."""

    contact: Contact
    ticket_id: str
    nth: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a batch: one outcome per contact in the order given, and the matters that are now open.

    added  ticket → messages that the batch adds to it, for tickets that were open before the batch.
    """

    outcomes: tuple[Opened | Joined, ...]
    matters: Mapping[Subject, str] = field(default_factory=dict)
    added: Mapping[tuple[str, str], int] = field(default_factory=dict)


def settle(contacts: Sequence[Contact], open_matters: Mapping[Subject, Held]) -> Settlement:
    """Join each contact to the open ticket about the same order or parcel, else let it open one.

    contacts      in order of arrival; a later one may join an earlier one of the same batch.
    open_matters  ticket by subject, for tickets that are neither settled nor terminal.

    A contact that names matters of two different tickets joins the one of the order. A fact joins only a ticket of its
    own story or a customer's: whoever works on a charge does not look for a parcel. Matters that the joined ticket did
    not have yet become its own, so that a third contact finds it by either.
    """
    known = dict(open_matters)
    fresh: dict[Subject, str] = {}
    outcomes: list[Opened | Joined] = []
    messages: dict[tuple[str, str], int] = {}
    opened: dict[tuple[str, str], int] = {}
    for contact in contacts:
        subjects = contact.subjects()
        found = (known[subject] for subject in subjects if subject in known)
        held = next((ticket for ticket in found if ticket.takes(contact)), None)
        where = (contact.tenant_id, held.ticket_id if held else contact.ticket_id)
        if held is None:
            held = Held(contact.ticket_id, contact.fact)
            opened[where] = len(outcomes)
            outcomes.append(Opened(contact))
        else:
            messages[where] = messages.get(where, 0) + 1
            outcomes.append(Joined(contact, held.ticket_id, messages[where]))
        for subject in subjects:
            if subject not in known:
                known[subject] = held
                fresh[subject] = held.ticket_id
    for where, index in opened.items():
        outcomes[index] = Opened(outcomes[index].contact, messages.pop(where, 0))
    return Settlement(tuple(outcomes), fresh, messages)


def ticket_id_for(tenant_id: str, operation: str, key: str) -> str:
    """The id of the ticket that a request with this key opens, the same at every retry (design D3)."""
    return str(uuid.uuid5(NAMESPACE, "\x00".join((tenant_id, operation, key))))


def message_id_for(ticket_id: str, sequence: int) -> str:
    """Id of the message at a position of a ticket."""
    return f"{ticket_id}.{sequence}"


def fingerprint_of(fields: Mapping[str, object]) -> str:
    """What a request asked for, in 32 hex digits: equal for equal fields whatever their order in the body."""
    canonical = json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def joined_text(earlier: Sequence[str], latest: str) -> str:
    """The customer's messages joined by newlines for labelling, at most MAX_JOINED_CHARS characters.

    earlier  oldest first. Where it does not fit, the opening is kept and what lies between it and the latest message
             goes; the latest keeps at least half of the room.
    """
    head = "\n".join(earlier)
    if not head:
        return latest[:MAX_JOINED_CHARS]
    tail = latest[: max(MAX_JOINED_CHARS // 2, MAX_JOINED_CHARS - 1 - len(head))]
    return head[: MAX_JOINED_CHARS - 1 - len(tail)] + "\n" + tail
