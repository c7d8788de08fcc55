"""The clock: acts on tickets whose time has come and takes work back from agents who left.

Times stand in rows with an index, so nothing is swept and nothing is forgotten by a restart. Several processes may run
it side by side: rows that another one has locked are skipped.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from fenliu.chassis.db import Database, Transaction
from services.router import metrics
from services.router.domain.due import Timers, look, release, release_check, timed
from services.router.domain.queues import QueueRules
from services.router.domain.shift import seen_at
from services.router.domain.sla import STEPS, ServiceLevels
from services.router.domain.ticket import Agent, Ticket
from services.router.domain.transitions import Change
from services.router.domain.waiting import Known, waiting_reasons
from services.router.store import agents as agent_store
from services.router.store import board, queues, shifts, tickets
from services.router.store.news import News

STAFF_KEPT = timedelta(seconds=5)
"""How old the list of a desk's agents may be when a reason for waiting is told: a hint for people needs no more, and
under overload reading ten thousand agents for every batch of overdue tickets would make the overload worse."""


class DueTimes:
    """Run by a Loop; `step` returns how many rows it acted on."""

    def __init__(
        self, db: Database, rules: QueueRules, levels: ServiceLevels, timers: Timers, news: News, *,
        presence_timeout: timedelta, batch: int = 200,
    ) -> None:  # fmt: skip
        """presence_timeout: an online agent of whom nothing was heard for so long is offline; 0 switches that off."""
        self._db = db
        self._rules = rules
        self._levels = levels
        self._timers = timers
        self._news = news
        self._presence_timeout = presence_timeout
        self._batch = batch
        self._staff: dict[tuple[str, str], tuple[datetime, list[Agent], Known]] = {}

    async def step(self) -> int:
        """One round: lost agents, ends of shifts, work of agents who left, due tickets."""
        return await self._lose_agents() + await self._turn_shifts() + await self._release() + await self._due()

    async def _lose_agents(self) -> int:
        if not self._presence_timeout:
            return 0
        async with self._db.begin() as tx:
            return len(await agent_store.update_lost(tx, tx.now - self._presence_timeout))

    async def _turn_shifts(self) -> int:
        async with self._db.begin() as tx:
            turned = await shifts.turn_shifts(tx, self._levels.calendars)
            if turned:
                tx.after_commit(self._news.wake_desks, {(agent.tenant_id, agent.desk_id) for agent in turned})
        return len(turned)

    async def _release(self) -> int:
        async with self._db.read() as tx:
            gone = await agent_store.load_releases(tx, 20)
        for agent in gone:
            await self._db.run(lambda tx, agent=agent: self._release_one(tx, agent))  # type: ignore[misc]
        return len(gone)

    async def _release_one(self, tx: Transaction, agent: Agent) -> None:
        """Queue again what the agent has not started; look again at the rest when their grace is over."""
        held = await tickets.lock_tickets(tx, await board.load_open_of(tx, agent.tenant_id, agent.agent_id))
        now_is = await agent_store.load_agent(tx, agent.tenant_id, agent.agent_id, lock=True)
        if now_is is None:
            return
        changes: list[Change] = []
        checks: dict[str, datetime | None] = {}
        for ticket in held.values():
            if ticket.agent_id != agent.agent_id:
                continue
            change = release(ticket, now_is, tx.now, self._timers)
            if change is not None:
                changes.append(timed(change, tx.now, self._timers))
            elif at := release_check(ticket, now_is, tx.now, self._timers):
                checks[ticket.ticket_id] = at
        await self._record(tx, changes)
        await tickets.update_checks(tx, checks)
        await agent_store.clear_releases(tx, [now_is])

    async def _due(self) -> int:
        async with self._db.read() as tx:
            ids = await board.load_due(tx, self._batch)
        if not ids:
            return 0
        return await self._db.run(lambda tx: self._look_at(tx, ids))

    async def _look_at(self, tx: Transaction, ids: Collection[str]) -> int:
        locked = await tickets.lock_tickets(tx, ids, skip=True)
        due = [ticket for ticket in locked.values() if ticket.next_check_at and ticket.next_check_at <= tx.now]
        owners = await agent_store.load_agents(tx, {(t.tenant_id, t.agent_id) for t in due if t.owned})
        reasons = await self._reasons(tx, [ticket for ticket in due if ticket.state == "waiting"])
        changes: list[Change] = []
        checks: dict[str, datetime | None] = {}
        for ticket in due:
            if ticket.next_check_at is not None:
                metrics.due_late.observe((tx.now - ticket.next_check_at).total_seconds())
            owner = owners.get((ticket.tenant_id, ticket.agent_id))
            seen = look(ticket, owner, reasons.get(ticket.ticket_id, ""), tx.now, self._timers, self._levels)
            if seen.change is None:
                checks[ticket.ticket_id] = seen.next_check_at
            else:
                changes.append(tickets.with_check(seen.change, seen.next_check_at))
        await self._record(tx, changes)
        await tickets.update_checks(tx, checks)
        return len(due)

    async def _reasons(self, tx: Transaction, waiting: Collection[Ticket]) -> dict[str, str]:
        """Why each of these tickets waits."""
        reasons: dict[str, str] = {}
        for desk in sorted({ticket.desk for ticket in waiting}):
            staff, known = await self._staff_of(tx, desk)
            overrides = await queues.load_overrides(tx, desk[0])
            there = [ticket for ticket in waiting if ticket.desk == desk]
            reasons |= waiting_reasons(there, staff, self._rules, overrides, known)
        return reasons

    async def _staff_of(self, tx: Transaction, desk: tuple[str, str]) -> tuple[list[Agent], Known]:
        self._staff = {there: kept for there, kept in self._staff.items() if tx.now - kept[0] < STAFF_KEPT}
        if desk not in self._staff:
            staff = await agent_store.load_desk_agents(tx, *desk)
            self._staff[desk] = (tx.now, [seen_at(agent, tx.now) for agent in staff], {})
        return self._staff[desk][1:]

    async def _record(self, tx: Transaction, changes: list[Change]) -> None:
        await tickets.record(tx, changes)
        self._news.after(tx, changes)
        if changes:
            tx.after_commit(_count, changes)


def _count(changes: list[Change]) -> None:
    for change in changes:
        if change.action == "lapse":
            metrics.offers_lapsed.inc()
        elif change.action == "queue":
            metrics.triaged.inc(reason="not_labelled")
        elif change.action == "requeue":
            metrics.requeued.inc()
        elif change.action == "breach":
            tier = change.after.labels.tier if change.after.labels else "unlabelled"
            metrics.breaches.inc(tier=tier, clock=change.after.missed[-1])
        elif change.action in STEPS:
            metrics.escalations.inc(step=change.action)
        elif change.action == "remind":
            metrics.reminders.inc(party=change.after.awaited)
