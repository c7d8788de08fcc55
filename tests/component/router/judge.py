"""The judge of a simulated run: sees what is committed and published, in order, and knows none of the code's reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select

from fenliu.chassis.db import Transaction
from fenliu.contracts import events
from services.router.tables import desks

OWNED = ("offered", "assigned", "in_progress", "on_hold")
NEW_ROUND = ("all_declined", "transferred", "second_line", "overflow", "reopen_requested", "help_requested", "by_hand")
"""Reasons with which everybody may be asked again."""


@dataclass
class Known:
    """The last published state of a ticket."""

    version: int = 1
    fence: int = 0
    state: str = "received"
    agent: str = ""
    pinned: bool = False
    declined: set[str] = field(default_factory=set)


class Judge:
    """capacity: by agent. Every method raises AssertionError with what is wrong."""

    def __init__(self, capacity: dict[str, int]) -> None:
        self.capacity = capacity
        self.tickets: dict[str, Known] = {}
        self.online: set[str] = set()
        self.assigned = 0
        self.dispatchers: dict[str, str] = {}
        """Actor to the name under which it holds leases."""

    async def observe(self, tx: Transaction, actor: str) -> None:
        """Look at what this transaction is about to publish."""
        told = [emitted.event for emitted in tx._emitted]
        if told and actor in self.dispatchers:
            holders = {row[0] for row in await tx.execute(select(desks.c.holder))}
            assert holders == {self.dispatchers[actor]}, f"{actor} writes, yet the lease is held by {holders}"
        for event in told:
            if isinstance(event, events.AgentChanged):
                (self.online.add if event.presence == "online" else self.online.discard)(event.agent_id)
            elif isinstance(event, events.TicketStatusChanged) and not event.repeated:
                self._ticket(event, by_dispatcher=actor in self.dispatchers)

    def _ticket(self, event: events.TicketStatusChanged, *, by_dispatcher: bool) -> None:
        name, was = event.ticket_id, self.tickets.setdefault(event.ticket_id, Known())
        assert was.state not in ("closed", "cancelled"), f"{name} was over and became {event.state}"
        assert event.version == was.version + 1, f"{name}: version {event.version} after {was.version}"
        assert event.fence >= was.fence, f"{name}: the fence fell"
        owner = event.agent_id if event.state in OWNED else ""
        if owner and owner != was.agent:
            self._taken(event, was, by_dispatcher)
        if was.agent and not owner and was.pinned:
            taken_by_clock = event.reason in ("agent_away", "agent_offline", "agent_silent")
            assert not taken_by_clock, f"{name} was given by hand, and a clock took it away"
        if event.reason == "declined":
            was.declined.add(was.agent)
        elif event.reason in NEW_ROUND:
            was.declined.clear()
        was.pinned = bool(owner) and (event.reason == "by_hand" or (was.pinned and owner == was.agent))
        was.version, was.fence, was.state, was.agent = event.version, event.fence, event.state, owner
        held = sum(known.agent == owner for known in self.tickets.values()) if owner else 0
        assert held <= self.capacity.get(owner, 0) or not owner, f"{owner} holds {held}, above capacity"

    def _taken(self, event: events.TicketStatusChanged, was: Known, by_dispatcher: bool) -> None:
        self.assigned += 1
        assert event.fence > was.fence, f"{event.ticket_id}: a new owner without a new fence"
        if by_dispatcher:
            assert not was.agent, f"{event.ticket_id}: given away while {was.agent} owned it"
            assert event.agent_id in self.online, f"{event.ticket_id}: given to {event.agent_id}, who is not online"
            assert event.agent_id not in was.declined, f"{event.ticket_id}: given again to {event.agent_id}"
