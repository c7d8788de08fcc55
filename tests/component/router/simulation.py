"""One seed of everything at once against the real store: consumers, two dispatchers, the clock, agents, a supervisor,
crashes at every commit, lost leases, duplicated and reordered events. See schedule.py for how and judge.py for what."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Conflict, Forbidden
from fenliu.chassis.messaging.inbox import insert_new
from fenliu.chassis.messaging.outbox import Outbox
from fenliu.chassis.messaging.tables import inbox
from fenliu.contracts import events
from services.router import api, handlers
from services.router.api.assignments import ActionIn, Asked, wish_of
from services.router.api.parts import change_tickets
from services.router.domain.ticket import Ticket
from services.router.store import agents as agent_store
from services.router.store import board
from services.router.tables import desks, metadata
from services.router.tables import tickets as tickets_table
from services.router.workers.dispatcher import Dispatcher
from services.router.workers.due import DueTimes
from tests.component.router.judge import OWNED, Judge
from tests.component.router.lab import TENANT, World
from tests.component.router.schedule import Crash, Schedule, SimulatedClock, SimulatedDatabase

AGENTS = {"ann": 1, "bob": 2, "cid": 1}
TICKETS = tuple(f"k{number}" for number in range(4))
ACTIONS = ("start", "hold", "resume", "resolve", "decline", "decline", "decline", "accept", "transfer")

HANDLERS: dict[type, Any] = {
    events.TicketReceived: handlers.on_ticket_received,
    events.TicketClassified: handlers.on_ticket_classified,
    events.TicketMessageAdded: handlers.on_message_added,
    events.TicketCancelRequested: handlers.on_cancel_requested,
    events.TicketReopenRequested: handlers.on_reopen_requested,
    events.TicketHelpRequested: handlers.on_help_requested,
    events.TicketConfirmed: handlers.on_confirmed,
}


@dataclass
class Consuming:
    """How a consumer goes about it; the variants are wrong on purpose.

    offset_first   the position is advanced before the effect is committed.
    inbox_apart    what was handled is noted in a transaction of its own, before the effect.
    """

    offset_first: bool = False
    inbox_apart: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run amounted to."""

    steps: int
    crashes: int
    assigned: int


class Simulation(World):
    """One database for any number of seeds, one after another."""

    def __init__(self, path: Path, consuming: Consuming | None = None, *, policy: str = "") -> None:
        """policy: of every queue; "" leaves the shipped one."""
        self.time = SimulatedClock()
        super().__init__(f"sqlite+aiosqlite:///{path}", self.time, quiet_after=timedelta(minutes=5))  # type: ignore[arg-type]
        if policy:
            changed = {name: replace(queue, policy=policy) for name, queue in self.rules.queues.items()}
            self.rules = replace(self.rules, queues=changed)
            self.context = replace(self.context, rules=self.rules)
        self.consuming = consuming or Consuming()
        self.simulated = SimulatedDatabase(
            path, Schedule(random.Random(0), self.time, 0.0), outbox=Outbox("router"), clock=self.time
        )
        self.db = self.simulated
        self.parts = api.Parts(self.db, self.rules, self.levels, self.timers, self.news)

    async def close(self) -> None:
        await self.simulated.close()

    async def run(self, seed: int) -> Outcome:
        """Run this seed from an empty database. Raises AssertionError, or what the code raised, where it is wrong."""
        self.rng = random.Random(seed)
        self.time.passed = timedelta()
        self.schedule = Schedule(self.rng, self.time, self.rng.choice([0.0, 0.02, 0.05]))
        self.simulated.schedule = self.schedule
        self.judge = Judge(AGENTS)
        self.simulated.observers = [lambda tx: self.judge.observe(tx, self.schedule.actor)]
        self.dispatchers: dict[str, Dispatcher] = {}
        self.told: set[str] = set()
        await self._empty()
        for capacity in sorted(set(AGENTS.values())):
            names = [name for name, room in AGENTS.items() if room == capacity]
            await self.hire(*names, capacity=capacity, skills=("order", "payment"))
        self.due = self._new_due()
        await self.schedule.run(
            {
                "inbound": self._consume(self._log(self._customer)),
                "classified": self._consume(self._log(self._classifier)),
                "dispatcher-0": self._dispatch("dispatcher-0"),
                "dispatcher-1": self._dispatch("dispatcher-1"),
                "clock": self._tick(),
                "supervisor": self._supervise(),
                **{name: self._work(name) for name in AGENTS},
            }
        )
        await self._heal()
        await self._check()
        return Outcome(self.schedule.steps, self.schedule.crashes, self.judge.assigned)

    def _new_due(self) -> DueTimes:
        return DueTimes(
            self.db, self.rules, self.levels, self.timers, self.news, presence_timeout=timedelta(minutes=15)
        )

    async def _empty(self) -> None:
        async with self.simulated.outside() as tx:
            for table in metadata.sorted_tables:
                await tx.execute(delete(table))

    # what customers do

    def _log(self, records_of: Callable[[str], list[Any]]) -> list[tuple[str, Any]]:
        """Records of a topic: in order per ticket, in any order between tickets, and some again later."""
        left = {ticket_id: records_of(ticket_id) for ticket_id in TICKETS}
        told: list[tuple[str, Any]] = []
        while left:
            ticket_id = self.rng.choice(sorted(left))
            event = left[ticket_id].pop(0)
            told.append((f"{type(event).__name__}-{ticket_id}-{len(left[ticket_id])}", event))
            if not left[ticket_id]:
                del left[ticket_id]
            self.told.add(told[-1][0])
            if self.rng.random() < 0.25:
                told.append(self.rng.choice(told))
        return told

    def _customer(self, ticket_id: str) -> list[Any]:
        return [self.received(ticket_id), *(self._wish(ticket_id) for _ in range(self.rng.randint(0, 3)))]

    def _classifier(self, ticket_id: str) -> list[Any]:
        category = self.rng.choice(["order", "order", "payment", "unclear"])
        return [self.classified(ticket_id, category=category, tier=self.rng.choice(["urgent", "priority", "standard"]))]

    def _wish(self, ticket_id: str) -> Any:
        kind = self.rng.choice(["message", "message", "reply", "cancel", "reopen", "confirm", "help"])
        if kind == "message":
            return self.fact(
                events.TicketMessageAdded, ticket_id, author_role="customer", author_id="c-1", visibility="public"
            )
        if kind == "reply":
            return self.fact(
                events.TicketMessageAdded, ticket_id, author_role="agent", author_id="ann", visibility="public"
            )
        wishes = {
            "cancel": events.TicketCancelRequested,
            "reopen": events.TicketReopenRequested,
            "confirm": events.TicketConfirmed,
            "help": events.TicketHelpRequested,
        }
        return self.fact(wishes[kind], ticket_id)

    # the actors

    async def _consume(self, log: list[tuple[str, Any]]) -> None:
        position = 0
        while position < len(log):
            batch = log[position : position + self.rng.randint(1, 3)]
            following = position + len(batch)
            try:
                if self.consuming.offset_first:
                    position = following
                await self._handle(batch)
                position = following
            except Crash:
                if not self.consuming.offset_first:
                    position = max(0, position - self.rng.randint(0, 2))  # offsets are committed later than effects

    async def _handle(self, batch: list[tuple[str, Any]]) -> None:
        if self.consuming.inbox_apart:
            async with self.db.begin() as tx:
                fresh = await insert_new(tx, "router", [key for key, _ in batch])
        async with self.db.begin() as tx:
            if not self.consuming.inbox_apart:
                fresh = await insert_new(tx, "router", [key for key, _ in batch])
            for key, event in batch:
                if key in fresh:
                    fresh.discard(key)
                    await HANDLERS[type(event)](tx, [event], context=self.context)

    async def _dispatch(self, actor: str) -> None:
        for generation in range(8):
            if actor not in self.dispatchers:  # a new process with a name of its own
                self.judge.dispatchers[actor] = f"{actor}.{generation}"
                self.dispatchers[actor] = self.new_dispatcher(f"{actor}.{generation}", heartbeat_s=self.heartbeat_s)
            try:
                await self.dispatchers[actor].step()
            except Crash:
                del self.dispatchers[actor]

    async def _tick(self) -> None:
        for _ in range(5):
            self.clock.jump(seconds=self.rng.choice([1, 31, 61, 400, 1300]))
            if self.rng.random() < 0.4:
                async with self.simulated.outside() as tx:
                    await tx.execute(update(desks).values(expires_s=0.0))
            try:
                await self.due.step()
            except Crash:
                self.due = self._new_due()

    async def _work(self, name: str) -> None:
        """Acts on what it holds or once held, sometimes twice, and comes and goes."""
        caller = Principal(TENANT, name, frozenset({"agent"}))
        seen: list[tuple[str, int]] = []
        for _ in range(5):
            try:
                async with self.db.read() as tx:
                    held = await board.list_assignments(tx, TENANT, name)
                seen += [(ticket.ticket_id, ticket.fence) for ticket in held]
                if seen:
                    ticket_id, fence = self.rng.choice(seen[-3:])
                    await self._act(caller, ticket_id, fence, self.rng.choice(ACTIONS))
                if self.rng.random() < 0.3:
                    async with self.db.begin() as tx:
                        presence = self.rng.choice(["online", "online", "away", "offline"])
                        await agent_store.update_presence(tx, TENANT, [name], presence)
            except Crash:
                continue

    async def _act(self, caller: Principal, ticket_id: str, fence: int, action: Any) -> None:
        body: dict[str, Any] = {"fence": fence}
        if action == "hold":
            body["awaited"] = self.rng.choice(["customer", "warehouse", "carrier"])
        if action == "transfer":
            body |= self.rng.choice([{"queue_id": "payment"}, {"agent_id": self.rng.choice(sorted(AGENTS))}])
        try:
            async with self.db.begin() as tx:
                after = await self._asked(tx, Asked(caller, ticket_id, action, ActionIn(**body)))
        except (Conflict, Forbidden):
            return
        self._check_fence(after, fence)

    async def _asked(self, tx: Transaction, asked: Asked) -> Ticket:
        (outcome,) = await change_tickets(tx, self.parts, [wish_of(self.parts, asked)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _check_fence(self, after: Ticket, fence: int) -> None:
        assert after.fence <= fence + 1, f"{after.ticket_id}: an action under {fence} was taken at {after.fence}"

    async def _supervise(self) -> None:
        caller = Principal(TENANT, "sue", frozenset({"supervisor"}))
        fences: dict[str, int] = {}
        for _ in range(7):
            ticket_id, agent_id = self.rng.choice(TICKETS), self.rng.choice(sorted(AGENTS))
            try:
                async with self.db.read() as tx:
                    row = (
                        await tx.execute(
                            select(tickets_table.c.fence).where(tickets_table.c.ticket_id == ticket_id)
                        )
                    ).first()  # fmt: skip
                if row is None:
                    continue
                fence = self.rng.choice([row[0], fences.setdefault(ticket_id, row[0])])
                async with self.db.begin() as tx:
                    body = ActionIn(fence=fence, agent_id=agent_id, reason="by_hand")
                    after = await self._asked(tx, Asked(caller, ticket_id, "transfer", body))
                self._check_fence(after, fence)
            except (Conflict, Forbidden, Crash):
                continue

    heartbeat_s = 30.0
    """Of the simulated clock, which runs half a second a step: a dispatcher learns late that it lost its lease."""

    # the end

    async def _heal(self) -> None:
        """Everybody is back, nothing fails any more; whoever holds the lease keeps it."""
        self.schedule.crash_rate = 0.0
        await self.presence("online", *AGENTS)
        async with self.simulated.outside() as tx:  # leases of the dead run out, by the database's clock
            alive = [dispatcher.holder for dispatcher in self.dispatchers.values()]
            await tx.execute(update(desks).where(desks.c.holder.not_in(alive)).values(expires_s=0.0))
        for _ in range(2):
            self.clock.jump(seconds=61)
            while await self.due.step():
                pass
            for actor in ("dispatcher-0", "dispatcher-1"):
                if actor not in self.dispatchers:
                    self.dispatchers[actor] = self.new_dispatcher(f"{actor}.last", heartbeat_s=self.heartbeat_s)
                while await self.dispatchers[actor].step():
                    pass

    async def _check(self) -> None:
        await self.check()
        async with self.db.read() as tx:
            rows = (await tx.execute(select(tickets_table))).mappings().all()
            handled = {row[0] for row in await tx.execute(select(inbox.c.event_id))}
        assert handled == self.told, f"never handled: {self.told - handled}"
        known = {row["ticket_id"]: row for row in rows}
        assert set(TICKETS) <= known.keys(), f"lost: {set(TICKETS) - known.keys()}"
        loads = {name: sum(row["agent_id"] == name and row["state"] in OWNED for row in rows) for name in AGENTS}
        free = {name for name, load in loads.items() if load < AGENTS[name]}
        for row in rows:
            over = row["state"] in ("closed", "cancelled")
            assert over == (row["next_check_at"] is None), f"{row['ticket_id']} is {row['state']} and forgotten"
            assert row["announced"], f"{row['ticket_id']}: its opening record had no effect"
            assert row["state"] != "received", f"{row['ticket_id']} was never taken up"
            declined = set(json.loads(row["declined_by"] or "[]"))
            asked, full = free - declined, AGENTS.keys() - free - declined
            held = json.loads(row["facts"] or "{}").get("known_agent") in full  # fenliu lets it wait for that agent
            assert row["state"] != "waiting" or not asked or held, f"{row['ticket_id']} waits while {asked} have room"
