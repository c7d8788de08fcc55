"""What may be done to a ticket in which state, as far as intake can know: the router decides, this is only a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.intake.domain.contact import TERMINAL

ANNOUNCEMENTS = 4
"""How many times a ticket is announced again before a person must look."""

UNTOUCHED = frozenset({"", "received", "self_service", "waiting", "offered", "assigned"})
"""States in which nobody has started to work; "" is a ticket of which the router has said nothing yet."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The router's word about a ticket, as of `version`. Empty strings and None are absent."""

    tenant_id: str
    ticket_id: str
    state: str
    version: int
    fence: int
    queue_id: str
    agent_id: str
    agent_name: str
    labels: str
    reason: str
    awaited: str
    reopen_count: int
    first_response_due_at: datetime | None
    resolution_due_at: datetime | None
    first_responded_at: datetime | None
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person made of a ticket's labels. labels: JSON text, {} for none; version: the router's, after it."""

    tenant_id: str
    ticket_id: str
    version: int
    labels_before: str
    labels_after: str
    corrected_by_role: str
    reason: str
    model_version: str
    corrected_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """What intake holds of a ticket when somebody acts on it. sequence is that of the fact about to be recorded."""

    tenant_id: str
    ticket_id: str
    customer_id: str
    state: str
    origin: str
    sequence: int
    received_at: datetime
    cancel_requested_at: datetime | None = None


def next_announcement(announcements: int, received_at: datetime) -> datetime | None:
    """When to look again at a ticket that was announced again `announcements` times; None: a person must look.

    1, 2, 4 and 8 minutes after the look before, counted from the receipt: after 1, 3, 7 and 15 minutes (design D10).
    """
    if announcements >= ANNOUNCEMENTS:
        return None
    return received_at + timedelta(minutes=2 ** (announcements + 1) - 1)


def is_passed(published: tuple[int, int] | None, read_until: Mapping[int, int]) -> bool:
    """True where the group has read past a record and yet nothing came of it.

    published   partition and offset of the record; None while it waits in the outbox.
    read_until  next offset that the group will read, by partition.
    """
    if published is None:
        return False
    partition, offset = published
    return read_until.get(partition, 0) > offset


def newest(snapshots: list[Snapshot]) -> list[Snapshot]:
    """One snapshot per ticket, the one with the highest version, ordered by ticket."""
    best: dict[tuple[str, str], Snapshot] = {}
    for snapshot in snapshots:
        key = (snapshot.tenant_id, snapshot.ticket_id)
        if key not in best or snapshot.version > best[key].version:
            best[key] = snapshot
    return [best[key] for key in sorted(best)]


def is_over(state: str) -> bool:
    """True where nothing that a customer does can change the ticket any more."""
    return state in TERMINAL


def reopens(state: str, author_role: str) -> bool:
    """True where a message says by itself that a resolved ticket is not solved."""
    return state == "resolved" and author_role == "customer"


def is_untouched(state: str, origin: str, messages: int) -> bool:
    """True where a fact may settle the ticket: an event opened it, nobody wrote, nobody has started to work on it.

    messages  how many messages of customers and agents the ticket has.
    """
    return origin == "event" and messages == 0 and state in UNTOUCHED
