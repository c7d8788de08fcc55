"""What no record drives: grouped commits, broken promises, tickets that the router has not taken up, gauges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fenliu.chassis.db import Database, Transaction
from fenliu.chassis.group import GroupCommit
from fenliu.chassis.observability import get_logger
from services.intake import metrics
from services.intake.domain.contact import Contact
from services.intake.domain.fact import FactRule, missed
from services.intake.domain.ticket import ANNOUNCEMENTS, is_passed, next_announcement
from services.intake.store import facts, orders, reading, status
from services.intake.store.receiving import KeyReused, MatterRaced, Receipt, receive

log = get_logger(__name__)

RACES = 5
"""How many times a grouped commit is run again when another process opened a ticket about the same matter."""


LEFT_TO_A_PERSON = datetime(9999, 1, 1, tzinfo=UTC)
"""When a ticket is looked at again that all announcements did not bring to the router."""


Contacts = GroupCommit[Contact, Receipt | KeyReused]


def grouped_contacts(db: Database, **limits: Any) -> Contacts:
    """Takes contacts in, those that arrive together in one transaction. limits: as of GroupCommit."""

    async def commit(contacts: list[Contact]) -> list[Receipt | KeyReused]:
        for _ in range(RACES - 1):
            try:
                return await db.run(lambda tx: receive(tx, contacts))
            except MatterRaced:
                continue
        return await db.run(lambda tx: receive(tx, contacts))

    return GroupCommit("contacts", commit, **limits)


class DuePromises:
    """Looks at promises whose moment (with the grace) has passed, and opens tickets for those that were broken."""

    def __init__(self, db: Database, rules: Mapping[str, FactRule], *, batch: int = 200) -> None:
        self._db = db
        self._rules = rules
        self._batch = batch

    async def step(self) -> int:
        """Look at one batch. Returns how many promises were looked at."""
        async with self._db.begin() as tx:
            claimed = await orders.claim_due(tx, tx.now, self._batch)
            if not claimed:
                return 0
            keys = {(due.tenant_id, due.order_id) for due in claimed if due.order_id}
            known = await orders.load_orders(tx, keys)
            parcels = await orders.load_parcels_of(tx, keys)
            broken = []
            for due in claimed:
                key = (due.tenant_id, due.order_id)
                if fact := missed(due, known.get(key), parcels.get(key, [])):
                    broken.append(fact)
            await facts.open_facts(tx, broken, self._rules)
        return len(claimed)


@dataclass(frozen=True, slots=True)
class Positions:
    """How far both directions have come, as offsets by partition.

    router_read  next of `ticket-inbound` that the router will read.
    said         end of `ticket-status`: what the router has said.
    heard        next of `ticket-status` that intake will read.
    """

    router_read: Mapping[int, int]
    said: Mapping[int, int]
    heard: Mapping[int, int]


class Unheard:
    """Announces tickets again that the router has read past without a word (design D10).

    positions  asks the broker; raises Transient.
    A router that is merely behind or down is left alone: its records are still there for it. So is everything while
    intake itself has yet to read what the router said: after an hour's absence all tickets of that hour look unheard.
    """

    def __init__(self, db: Database, positions: Callable[[], Awaitable[Positions]], *, batch: int = 200) -> None:
        self._db = db
        self._positions = positions
        self._batch = batch
        self._said_before: Mapping[int, int] | None = None

    async def step(self) -> int:
        """Look at one batch. Returns how many tickets were announced again or given up."""
        async with self._db.read() as tx:
            unheard = await status.load_unheard(tx, self._batch)
        if not unheard:
            return 0
        now = await self._positions()
        passed = [key for key, published in unheard.items() if is_passed(published, now.router_read)]
        if not self._listens(now) or not passed:
            return 0
        async with self._db.begin() as tx:
            rows = await status.lock_unheard(tx, passed)
            for row in rows:
                await self._look_at(tx, row)
        return len(rows)

    def _listens(self, now: Positions) -> bool:
        """True where intake has read what the router had said by now, or, under load, by the last look."""
        ends = [now.said] if self._said_before is None else [now.said, self._said_before]
        self._said_before = now.said
        return any(all(now.heard.get(partition, 0) >= end for partition, end in said.items()) for said in ends)

    async def _look_at(self, tx: Transaction, row: Any) -> None:
        again = row.announcements < ANNOUNCEMENTS
        if again:
            await status.announce_again(tx, row, row.announcements + 1)
            tx.after_commit(metrics.announced_again_total.inc)
        else:
            tx.after_commit(metrics.abandoned_tickets_total.inc)
            tx.after_commit(lambda: log.error("ticket_not_taken_up", ticket_id=row.ticket_id))
        # Where sweeps came late, the next look is still a while off: the router needs time to answer.
        soonest = tx.now + timedelta(minutes=1)
        planned = next_announcement(row.announcements + 1, row.received_at) or tx.now + timedelta(minutes=8)
        at = max(soonest, planned) if again else LEFT_TO_A_PERSON
        await status.update_announcement(tx, row, row.announcements + again, at)


class Gauges:
    """Keeps the gauges of what waits and how old the oldest is."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def step(self) -> int:
        """Read them once. Returns 0: there is never more to do at once."""
        async with self._db.read() as tx:
            unheard, since = await status.count_unheard(tx)
            due, due_since = await reading.count_dues(tx, tx.now)
        metrics.unheard_tickets.set(unheard)
        metrics.unheard_oldest_seconds.set((tx.now - since).total_seconds() if since else 0.0)
        metrics.due_promises.set(due)
        metrics.due_oldest_seconds.set((tx.now - due_since).total_seconds() if due_since else 0.0)
        return 0
