"""What a customer sees of a ticket: steps in their words instead of the router's states, and a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

Key = tuple[str, str]
"""Tenant and ticket."""

STEPS = {
    "received": "received",
    "self_service": "self_help",
    "waiting": "in_line",
    "offered": "in_line",  # whether an agent is still thinking about it is nobody's business but ours
    "assigned": "with_agent",
    "in_progress": "being_handled",
    "resolved": "solved",
    "closed": "finished",
    "cancelled": "withdrawn",
}
"""State of the router → step that customers read. on_hold has one for each kind of awaited party, see step_of."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ticket as the router published it. Empty strings and None mean unknown, as in TicketStatusChanged."""

    tenant_id: str
    ticket_id: str
    state: str
    version: int
    changed_at: datetime
    received_at: datetime | None = None
    customer_id: str = ""
    queue_id: str = ""
    agent_id: str = ""
    agent_name: str = ""
    category: str = ""
    tier: str = ""
    complexity: str = ""
    sentiment: str = ""
    reason: str = ""
    awaited: str = ""
    reopen_count: int = 0
    first_response_due_at: datetime | None = None
    resolution_due_at: datetime | None = None
    first_responded_at: datetime | None = None

    @property
    def key(self) -> Key:
        return self.tenant_id, self.ticket_id


@dataclass(frozen=True, slots=True)
class TicketCopy:
    """What the notifier holds of one ticket. state "" and version 0: no snapshot has come yet."""

    tenant_id: str
    ticket_id: str
    customer_id: str
    state: str
    version: int
    agent_name: str
    awaited: str
    order_id: str
    parcel_id: str
    last_sequence: int
    received_at: datetime | None
    changed_at: datetime | None
    first_response_due_at: datetime | None
    resolution_due_at: datetime | None
    first_responded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline.

    kind             a step, or what somebody did: message_agent, message_customer, cancel_requested, …
    source           service whose fact it is; with source_sequence it makes a repeat recognisable.
    text             message, or the score of a rating; empty for everything else.
    author_id        agent who wrote it; empty for customers.
    author           name that customers may read; filled when the line is read.
    sequence         position in the ticket's timeline; grows in the order of commits, with gaps. 0 before it is stored.
    """

    tenant_id: str
    ticket_id: str
    kind: str
    at: datetime
    source: str
    source_sequence: int
    text: str = ""
    author_id: str = ""
    author: str = ""
    sequence: int = 0

    @property
    def key(self) -> Key:
        return self.tenant_id, self.ticket_id


@dataclass(frozen=True, slots=True)
class Held:
    """What was held before a snapshot replaced it, and the last sequence reserved for the entries that follow."""

    previous_version: int
    previous_step: str
    previous_agent_id: str
    last_sequence: int


def step_of(state: str, awaited: str) -> str:
    """The step that customers read. A state that this version does not know reads as being handled."""
    if state == "on_hold":
        return "awaiting_you" if awaited == "customer" else "awaiting_others"
    return STEPS.get(state, "being_handled")


def newest(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """The highest version of each ticket, ordered by ticket so that every transaction locks in the same order."""
    best: dict[Key, Snapshot] = {}
    for snapshot in snapshots:
        held = best.get(snapshot.key)
        if held is None or snapshot.version > held.version:
            best[snapshot.key] = snapshot
    return sorted(best.values(), key=lambda s: (s.ticket_id, s.tenant_id))


def status_entries(snapshots: Sequence[Snapshot], held: Mapping[Key, Held]) -> tuple[list[Snapshot], list[Entry]]:
    """Which snapshots are news, and the timeline entries that they make.

    held: by ticket; a ticket that is missing there had nothing new. An entry is made only where the step that customers
    read changes, or another agent takes over. "received" makes none: intake's own fact does.
    """
    fresh: list[Snapshot] = []
    entries: list[Entry] = []
    last: dict[Key, tuple[int, str, str]] = {}
    for snapshot in sorted(snapshots, key=lambda s: s.version):
        before = held.get(snapshot.key)
        if before is None:
            continue
        version, step, agent = last.get(
            snapshot.key, (before.previous_version, before.previous_step, before.previous_agent_id)
        )
        if snapshot.version <= version:
            continue
        fresh.append(snapshot)
        new_step = step_of(snapshot.state, snapshot.awaited)
        took_over = new_step == "with_agent" and snapshot.agent_id != agent
        if (new_step != step or took_over) and new_step != "received":
            entries.append(_entry(snapshot, new_step))
        last[snapshot.key] = (snapshot.version, new_step, snapshot.agent_id)
    return fresh, entries


def _entry(snapshot: Snapshot, step: str) -> Entry:
    return Entry(
        snapshot.tenant_id,
        snapshot.ticket_id,
        step,
        snapshot.changed_at,
        "router",
        snapshot.version,
        author_id=snapshot.agent_id if step in ("with_agent", "being_handled") else "",
    )
