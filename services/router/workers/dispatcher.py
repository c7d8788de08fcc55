"""Gives waiting tickets to agents. One dispatcher serves a desk at a time, under a lease with a fence.

A step reads what others changed, asks the pure engine, and carries its decisions out in one transaction: lease,
tickets and agents are locked in this order, what does not fit any more is left out, the rest is written set-based.
A decision that lost is simply dropped; whoever won has marked the row dirty, so it is read again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from time import process_time

from fenliu.chassis.clock import Clock
from fenliu.chassis.db import Database, DatabaseUnavailable, Transaction
from fenliu.chassis.observability import get_logger
from fenliu.chassis.worker import Loop
from services.router import metrics
from services.router.domain.due import Timers, timed
from services.router.domain.effort import Estimates
from services.router.domain.engine import Decision
from services.router.domain.outlook import Outlook
from services.router.domain.pool import Seat
from services.router.domain.queues import Queue, QueueRules
from services.router.domain.shift import seen_at
from services.router.domain.ticket import Agent, Ticket
from services.router.domain.transitions import Change, apply
from services.router.store import agents as agent_store
from services.router.store import decisions as decision_store
from services.router.store import dispatch, efforts, queues, tickets
from services.router.store.news import News
from services.router.workers.mirror import Mirror

log = get_logger(__name__)

EXPECT_EVERY = timedelta(seconds=10)
"""How often what is expected of agents' minutes is brought up to date."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the dispatcher goes about it.

    lease_s      length of a desk's lease, seconds; another process takes over after that.
    heartbeat_s  pause between renewals, seconds.
    gap_s        shortest pause between two steps: wake-ups within it are served together.
    batch        most assignments in one transaction.
    read         most changed rows taken in per step.
    """

    lease_s: float = 5.0
    heartbeat_s: float = 1.0
    gap_s: float = 0.02
    batch: int = 200
    read: int = 2000


class DispatcherLoop(Loop):
    """Runs the dispatcher's steps, and gives its leases back at the end, so that the next one need not wait.

    elsewhere  tells the other processes that a desk has news which this one does not serve; main fills it in.
    """

    def __init__(self, dispatcher: Dispatcher, *, every_s: float) -> None:
        super().__init__("dispatcher", dispatcher.step, every_s=every_s)
        self.elsewhere: Callable[[str], object] = lambda desk: None
        self._dispatcher = dispatcher

    def notice(self, desks: Iterable[tuple[str, str]]) -> None:
        """These desks have news: step now, here or where they are served."""
        desks = list(desks)
        self._dispatcher.notice(desks)
        for desk in desks:
            if desk not in self._dispatcher.mirrors:
                self.elsewhere(json.dumps(desk))
        self.wake()

    def heard(self, desk: str) -> None:
        """Another process says that this desk has news."""
        if tuple(json.loads(desk)) in self._dispatcher.mirrors:
            self.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Step until `stop` is set, then give the leases back; a database that is away lets them run out instead."""
        await super().run(stop)
        with suppress(DatabaseUnavailable):
            await self._dispatcher.release()


class Dispatcher:
    """Assigns the waiting tickets of every desk whose lease it holds; `step` is run by a Loop with a 250 ms poll."""

    def __init__(
        self, db: Database, clock: Clock, rules: QueueRules, timers: Timers, news: News, *, holder: str,
        pace: Pace | None = None,
    ) -> None:  # fmt: skip
        """holder: name of this process, unique among all dispatchers."""
        self.db = db
        self.holder = holder
        self.mirrors: dict[tuple[str, str], Mirror] = {}
        self._clock = clock
        self._rules = rules
        self._timers = timers
        self._news = news
        self._pace = pace or Pace()
        self._claimed_at = float("-inf")
        self._ended_at = self._computed_s = 0.0
        self._behind = False
        self._unclaimed: set[tuple[str, str]] = set()
        self._asked: set[tuple[str, str]] = set()
        self._estimates: dict[str, Estimates] = {}
        self._outlooks: dict[str, Outlook] = {}
        self._expected_at = clock.now()

    def notice(self, desks: Iterable[tuple[str, str]]) -> None:
        """These desks have news. One that nobody may serve yet is claimed in the next step, once per heartbeat."""
        self._unclaimed.update(desk for desk in desks if desk not in self.mirrors and desk not in self._asked)

    async def step(self) -> int:
        """Take in what changed and assign what can be assigned. Returns how many tickets were."""
        await self._gather()
        began = process_time()
        try:
            return await self._step()
        finally:
            self._computed_s = process_time() - began
            self._ended_at = self._clock.monotonic()

    async def _step(self) -> int:
        await self._keep_leases()
        if not self.mirrors:
            return 0
        seen = await self._take_in()
        done, self._behind = 0, False
        for mirror in list(self.mirrors.values()):
            if mirror.stale or mirror.turns(self._clock.now()):
                done += await self._serve(mirror)
        await self._clear(*seen)
        return done

    async def release(self) -> None:
        """Give the leases back when the process stops."""
        self.mirrors.clear()
        async with self.db.begin() as tx:
            await dispatch.release_desks(tx, self.holder)

    async def _gather(self) -> None:
        """Let wake-ups come together: at least gap_s between two steps, and as long as this process computed during the
        last one, so that a busy process serves more at once and one that mostly waited for the database goes on soon.
        After a full batch there is nothing to gather."""
        rest = min(max(self._pace.gap_s, self._computed_s), 5 * self._pace.gap_s)
        pause = self._ended_at + rest - self._clock.monotonic()
        if pause > 0 and not self._behind:
            await asyncio.sleep(pause)

    async def _keep_leases(self) -> None:
        beats = self._clock.monotonic() >= self._claimed_at + self._pace.heartbeat_s
        if not self._unclaimed and not beats:
            return
        self._asked = self._unclaimed if beats else self._asked | self._unclaimed
        self._unclaimed = set()
        self._claimed_at = self._clock.monotonic()
        async with self.db.begin() as tx:
            held = await dispatch.claim_desks(tx, self.holder, self._pace.lease_s)
            overrides = await queues.load_all_overrides(tx)
        await self._expect({desk[0] for desk in held})
        for desk in [desk for desk, mirror in self.mirrors.items() if held.get(desk) != mirror.fence]:
            del self.mirrors[desk]
        for desk, fence in held.items():
            if desk not in self.mirrors:
                self.mirrors[desk] = await self._build(desk, fence, overrides)
            else:
                self.mirrors[desk].use_overrides(overrides.get(desk[0], {}))
            self.mirrors[desk].outlook = self._outlooks[desk[0]]
        metrics.held_desks.set(len(self.mirrors))

    async def _expect(self, tenants: set[str]) -> None:
        """Bring what is expected of agents up to date: cells changed since the last look, of a new tenant all."""
        now = self._clock.now()
        fresh = tenants - self._estimates.keys()
        if not fresh and now < self._expected_at + EXPECT_EVERY:
            return
        async with self.db.read() as tx:
            found = await efforts.load_changed(tx, fresh, None) if fresh else {}
            if tenants - fresh:  # a little further back, for what was committed late
                found |= await efforts.load_changed(tx, tenants - fresh, self._expected_at - EXPECT_EVERY)
        for tenant_id in tenants:
            known = self._estimates.setdefault(tenant_id, Estimates(self._rules.minutes_of))
            if known.take(found.get(tenant_id, ())) or tenant_id not in self._outlooks:
                self._outlooks[tenant_id] = known.outlook()
        self._expected_at = now

    async def _build(self, desk: tuple[str, str], fence: int, overrides: dict[str, dict[str, Queue]]) -> Mirror:
        mirror = Mirror(desk, fence, self._rules, overrides.get(desk[0], {}))
        async with self.db.read() as tx:
            for agent in await agent_store.load_desk_agents(tx, *desk):
                mirror.put_agent(agent)
            after = ""
            while found := await dispatch.load_waiting(tx, desk, after=after, limit=2000):
                for ticket in found:
                    mirror.put_ticket(ticket)
                after = found[-1].ticket_id
                await asyncio.sleep(0)  # a hundred thousand rows must not hold up heartbeats and requests
        metrics.takeovers.inc()
        log.info(
            "desk_taken", tenant_id=desk[0], desk_id=desk[1], waiting=len(mirror.tickets), agents=len(mirror.agents)
        )
        return mirror

    async def _take_in(self) -> tuple[list[Ticket], list[Agent]]:
        held = list(self.mirrors)
        async with self.db.read() as tx:
            changed = await dispatch.load_dirty_tickets(tx, held, self._pace.read)
            staff = await dispatch.load_dirty_agents(tx, held, self._pace.read)
        for ticket in changed:
            self.mirrors[ticket.desk].put_ticket(ticket)
        for agent in staff:
            self.mirrors[(agent.tenant_id, agent.desk_id)].put_agent(agent)
        return changed, staff

    async def _clear(self, changed: Sequence[Ticket], staff: Sequence[Agent]) -> None:
        """Unmark what was read and not assigned; assigning has unmarked the rest.

        Only under the lease: marks that a stopped and resumed dispatcher took away would be lost to its successor.
        """
        left = [ticket for ticket in changed if ticket.state != "waiting" or self._waits(ticket)]
        idle = [agent for agent in staff if self._unchanged(agent)]
        touched = {ticket.desk for ticket in left} | {(agent.tenant_id, agent.desk_id) for agent in idle}
        if not touched:
            return
        async with self.db.begin() as tx:
            held = {desk for desk in sorted(touched) if await self._holds(tx, desk)}
            await dispatch.clear_dirty(
                tx,
                [ticket for ticket in left if ticket.desk in held],
                [agent for agent in idle if (agent.tenant_id, agent.desk_id) in held],
            )

    async def _holds(self, tx: Transaction, desk: tuple[str, str]) -> bool:
        """Keep the desk until `tx` ends; forget it where somebody else has taken it over."""
        mirror = self.mirrors.get(desk)
        if mirror is None:
            return False
        if await dispatch.hold_desk(tx, desk, self.holder, mirror.fence, self._pace.lease_s):
            return True
        del self.mirrors[desk]
        log.warning("desk_lost", tenant_id=desk[0], desk_id=desk[1])
        return False

    def _waits(self, ticket: Ticket) -> bool:
        mirror = self.mirrors.get(ticket.desk)
        return mirror is not None and ticket.ticket_id in mirror.tickets

    def _unchanged(self, agent: Agent) -> bool:
        mirror = self.mirrors.get((agent.tenant_id, agent.desk_id))
        known = mirror.agents.get(agent.agent_id) if mirror else None
        return known is not None and known.revision == agent.revision

    async def _serve(self, mirror: Mirror) -> int:
        """One batch; what is left over comes in the next step, after leases and changes were looked at."""
        decisions: list[Decision] = []
        started = process_time()
        for step in mirror.decide(self._clock.now(), self._pace.batch):
            metrics.plan_seconds.observe(process_time() - started)
            decisions += step
            await asyncio.sleep(0)  # heartbeats and requests come in between
            started = process_time()
        given = len(await self._carry_out(mirror, decisions)) if decisions else 0
        full = len(decisions) == self._pace.batch
        self._behind |= full
        # Where a decision lost, another ticket may have stood back for it; what waits for its known agent is weighed
        # again by the poll.
        mirror.stale = full or given < len(decisions) or bool(mirror.held)
        return given

    async def _carry_out(self, mirror: Mirror, decisions: Sequence[Decision]) -> list[Change]:
        started = self._clock.monotonic()
        async with self.db.begin() as tx:
            if not await self._holds(tx, mirror.desk):
                return []
            won = await dispatch.lock_waiting(tx, {decision.ticket_id: decision.version for decision in decisions})
            wanted = {decision.agent_id for decision in decisions if decision.ticket_id in won}
            staff = await dispatch.lock_agents(tx, mirror.desk[0], wanted)
            changes = self._fit(tx, mirror, [item for item in decisions if item.ticket_id in won], staff)
            await tickets.record(tx, changes, by_dispatcher=True)
            done = {change.after.ticket_id: change.after.version for change in changes}
            await decision_store.insert_decisions(tx, decisions, done, mirror.scene)
            self._news.after(tx, changes, by_dispatcher=True)
        self._learn(mirror, decisions, won, staff, changes)
        self._measure(tx, decisions, changes, self._clock.monotonic() - started)
        return changes

    def _fit(
        self, tx: Transaction, mirror: Mirror, decisions: Sequence[Decision], staff: dict[str, Agent]
    ) -> list[Change]:
        """The changes that still fit the locked rows: same settings as planned with, present, and with room."""
        seats = {
            agent_id: Seat(seen_at(agent, tx.now))
            for agent_id, agent in staff.items()
            if self._same_settings(mirror, agent)
        }
        changes = []
        for decision in decisions:
            seat = seats.get(decision.agent_id)
            if seat is not None and seat.free:
                seat.load += 1
                seat.load_min += decision.expected_min
                changes.append(self._change(tx, mirror, decision, seat.agent))
        return changes

    def _same_settings(self, mirror: Mirror, agent: Agent) -> bool:
        known = mirror.agents.get(agent.agent_id)
        return known is not None and known.version == agent.version and agent.desk_id == mirror.desk[1]

    def _change(self, tx: Transaction, mirror: Mirror, decision: Decision, agent: Agent) -> Change:
        ticket = mirror.tickets[decision.ticket_id]
        change = apply(
            ticket, decision.mode, "dispatcher", tx.now, reason=decision.reason, queue_id=decision.queue_id,
            agent_id=agent.agent_id, agent_name=agent.name, predicted_min=decision.expected_min,
            wrap_up_s=mirror.wrap_up_s(ticket),
        )  # fmt: skip
        if decision.mode == "offer":
            return tickets.with_check(change, tx.now + timedelta(seconds=decision.offer_timeout_s))
        return timed(change, tx.now, self._timers)

    def _learn(
        self, mirror: Mirror, decisions: Sequence[Decision], won: set[str], staff: dict[str, Agent],
        changes: Sequence[Change],
    ) -> None:  # fmt: skip
        """Correct the mirror by what the locked rows said and by what was written."""
        for decision in decisions:
            if decision.ticket_id not in won:
                mirror.forget(decision.ticket_id)
        taken: dict[str, list[float]] = {}
        for change in changes:
            mirror.forget(change.after.ticket_id)
            taken.setdefault(change.after.agent_id, []).append(change.after.predicted_min)
        for agent_id, agent in staff.items():
            if given := taken.get(agent_id):
                agent = replace(
                    agent, load=agent.load + len(given), load_min=agent.load_min + sum(given),
                    last_assigned_at=changes[0].after.changed_at, revision=agent.revision + 1,
                )  # fmt: skip
            mirror.put_agent(agent)

    def _measure(self, tx: Transaction, decisions: Sequence[Decision], changes: Sequence[Change], span: float) -> None:
        metrics.commit_seconds.observe(span)
        metrics.lost_races.inc(len(decisions) - len(changes))
        for change in changes:
            metrics.assigned.inc(mode="offer" if change.after.state == "offered" else "assign")
            if change.after.fence == 1:
                tier = change.after.labels.tier if change.after.labels else "unlabelled"
                metrics.time_to_assign.observe((tx.now - change.after.received_at).total_seconds(), tier=tier)
