"""The one table of a ticket's states: every legal change, who may make it, and what it does to owner and capacity.

A change that is not in TABLE does not exist. `apply` makes the next value of a ticket; it decides nothing and writes
nothing. Version grows by one with every change; the fence grows wherever the owner changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from services.router.domain.ticket import TERMINAL, Ticket

STATES = (
    "received",
    "self_service",
    "waiting",
    "offered",
    "assigned",
    "in_progress",
    "on_hold",
    "resolved",
    "closed",
    "cancelled",
)

Who = Literal["dispatcher", "owner", "agent", "supervisor", "customer", "clock", "classifier", "party"]
"""agent is one who need not own the ticket; party is who is awaited while it is on hold."""
Owner = Literal["keep", "take", "drop", "swap"]


class IllegalTransition(ValueError):
    """The ticket's state does not allow this change."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table.

    owner  keep: as before; take: an agent gets it (fence + 1, one place of capacity is taken);
           drop: the agent loses it (fence + 1, the place is freed); swap: from one agent to another (fence + 1).
    After "drop" into `resolved` the agent's name stays on the ticket and the fence is kept, so that a repeated
    "resolve" gets the same answer.
    """

    action: str
    source: str
    target: str
    who: frozenset[Who]
    owner: Owner = "keep"


def _rows(action: str, sources: str, target: str, who: str, owner: Owner = "keep") -> list[Transition]:
    may: frozenset[Who] = frozenset(who.split())  # type: ignore[arg-type]
    return [Transition(action, source, target, may, owner) for source in sources.split()]


_OWNED = "offered assigned in_progress on_hold"

_LIST = [
    *_rows("queue", "received self_service", "waiting", "classifier customer clock supervisor"),
    *_rows("self_serve", "received", "self_service", "classifier"),
    *_rows("relabel", "waiting", "waiting", "classifier supervisor"),
    *_rows("correct", "received", "waiting", "agent supervisor"),
    *[
        row
        for state in ("self_service", "waiting", *_OWNED.split(), "resolved")
        for row in _rows("correct", state, state, "agent supervisor")
    ],
    *_rows("explain", "waiting", "waiting", "clock"),
    *_rows("move", "waiting", "waiting", "supervisor clock"),
    *_rows("offer", "waiting", "offered", "dispatcher", "take"),
    *_rows("assign", "waiting", "assigned", "dispatcher supervisor", "take"),
    *_rows("accept", "offered", "assigned", "owner supervisor"),
    *_rows("decline", "offered assigned", "waiting", "owner supervisor", "drop"),
    *_rows("lapse", "offered", "waiting", "clock", "drop"),
    *_rows("requeue", _OWNED, "waiting", "clock", "drop"),
    *_rows("start", "offered assigned", "in_progress", "owner supervisor"),
    *_rows("hold", "assigned in_progress on_hold", "on_hold", "owner supervisor"),
    *_rows("resume", "on_hold", "in_progress", "owner supervisor customer clock party"),
    *_rows("park", "on_hold", "on_hold", "clock", "drop"),
    *_rows("wake", "on_hold", "waiting", "owner supervisor customer clock party", "drop"),
    *_rows("remind", "on_hold", "on_hold", "clock"),
    *[
        row
        for state in STATES
        if state not in TERMINAL
        for row in _rows("note", state, state, "owner supervisor customer classifier clock")
    ],
    *[
        row
        for state in ("waiting", *_OWNED.split())
        for action, who in (("breach", "clock"), ("warn", "clock"), ("notify", "clock"), ("acknowledge", "supervisor"))
        for row in _rows(action, state, state, who)
    ],
    *[row for action in ("widen", "second_line", "overflow") for row in _rows(action, "waiting", "waiting", "clock")],
    *_rows("resolve", "assigned in_progress on_hold", "resolved", "owner supervisor", "drop"),
    *_rows("confirm", "received self_service waiting", "resolved", "customer"),
    *_rows("confirm", _OWNED, "resolved", "customer", "drop"),
    *_rows("close", "resolved", "closed", "customer clock supervisor"),
    *_rows("close", "self_service", "closed", "clock"),
    *_rows("reopen", "resolved", "waiting", "customer supervisor"),
    *_rows("cancel", "received self_service waiting", "cancelled", "customer supervisor"),
    *_rows("cancel", _OWNED, "cancelled", "customer supervisor", "drop"),
    *_rows("give", _OWNED, "assigned", "owner supervisor", "swap"),
    *_rows("return", _OWNED, "waiting", "owner supervisor", "drop"),
]

TABLE: Mapping[tuple[str, str], Transition] = {(row.action, row.source): row for row in _LIST}
"""Every legal change by action and state."""

ACTIONS = tuple(dict.fromkeys(row.action for row in _LIST))


@dataclass(frozen=True, slots=True)
class Change:
    """A transition that was decided: the ticket before and after, and who takes or frees a place."""

    before: Ticket
    after: Ticket
    action: str

    def load_deltas(self) -> dict[str, int]:
        """By agent: +1 for a place taken, -1 for one freed; agents without a net change are left out."""
        deltas: dict[str, int] = {}
        if self.before.owned:
            deltas[self.before.agent_id] = -1
        if self.after.owned:
            deltas[self.after.agent_id] = deltas.get(self.after.agent_id, 0) + 1
        return {agent: delta for agent, delta in deltas.items() if delta}

    def minute_deltas(self) -> dict[str, float]:
        """By agent: predicted minutes that came to what they own, or went (negative)."""
        deltas: dict[str, float] = {}
        if self.before.owned:
            deltas[self.before.agent_id] = -self.before.predicted_min
        if self.after.owned:
            deltas[self.after.agent_id] = deltas.get(self.after.agent_id, 0.0) + self.after.predicted_min
        return deltas


def allowed(action: str, ticket: Ticket) -> bool:
    """True where the table has this change for the ticket's state."""
    return (action, ticket.state) in TABLE


def apply(ticket: Ticket, action: str, who: Who, now: datetime, *, reason: str = "", **fields: Any) -> Change:
    """The change `action` of `ticket`, made by `who` at `now`.

    reason  a slug; "" takes the action's own name.
    fields  other fields of the ticket that change with it; for "take" and "swap", agent_id must be among them.

    A ticket that was parked has no owner to go on with it: resuming it wakes it, which puts it in line again.

    Raises IllegalTransition where the table has no such change, or not for `who`.
    """
    if action == "resume" and ticket.parked:
        action = "wake"
    row = TABLE.get((action, ticket.state))
    if row is None:
        raise IllegalTransition(f"a ticket that is {ticket.state} cannot be changed by {action}")
    if who not in row.who:
        raise IllegalTransition(f"{who} may not {action} a ticket that is {ticket.state}")
    return Change(ticket, replace(ticket, **_effects(ticket, row, now, reason or action, fields)), action)


def _effects(ticket: Ticket, row: Transition, now: datetime, reason: str, fields: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {
        "state": row.target,
        "version": ticket.version + 1,
        "reason": reason,
        "awaited": "",
        "changed_at": now,
        "next_check_at": ticket.next_check_at,
    }
    if row.owner in ("take", "swap"):
        if not fields.get("agent_id"):
            raise ValueError(f"{row.action} needs the agent who gets the ticket")
        changed |= {"fence": ticket.fence + 1, "owned_since": now, "pinned": False, "worked_s": 0.0}
    elif row.owner == "drop":
        changed |= {"owned_since": None, "pinned": False}
        if row.target != "resolved":
            changed |= {"fence": ticket.fence + 1, "agent_id": "", "agent_name": ""}
    if ticket.working_since is not None and row.target != "in_progress":
        worked = 0.0 if row.owner == "swap" else ticket.worked_s + (now - ticket.working_since).total_seconds()
        changed |= {"working_since": None, "worked_s": worked}
    elif row.target == "in_progress" and ticket.state != "in_progress":
        changed["working_since"] = now
    if row.action == "park":
        changed["facts"] = replace(ticket.facts, known_agent=ticket.agent_id, wish=max(ticket.facts.wish, 1.0))
    if row.action == "reopen":
        changed |= {
            "fence": ticket.fence + 1,
            "agent_id": "",
            "agent_name": "",
            "reopen_count": ticket.reopen_count + 1,
        }
    if row.target == "waiting" and ticket.state != "waiting":
        changed["waiting_since"] = now if row.action in ("queue", "reopen", "wake") else ticket.waiting_since or now
    if row.source == row.target:
        changed["awaited"] = ticket.awaited
    if row.target not in ("on_hold", "resolved"):
        changed |= {"awaited_since": None, "reminded": False}
    elif row.action in ("hold", "resolve", "confirm"):
        changed |= {"awaited_since": now, "reminded": False}
    if row.target in TERMINAL:
        changed["next_check_at"] = None
    return changed | fields
