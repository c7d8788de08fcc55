"""Counts what is counted in the database rather than in the process: what waits, how old, who is there, and drift."""

from __future__ import annotations

from fenliu.chassis.db import Database
from fenliu.contracts.vocabulary import STATES, TIERS
from services.router import metrics
from services.router.domain.queues import GENERAL, TRIAGE
from services.router.store import board

_PRESENCES = ("online", "away", "offline")


class Gauges:
    """Refreshes the gauges; run by a Loop every few seconds. Derived from rows, so they are right after a restart."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def step(self) -> int:
        """One refresh. Returns 0."""
        async with self._db.read() as tx:
            waiters = await board.count_waiting(tx)
            states = await board.count_states(tx)
            people = await board.count_agents(tx)
            drift = await board.count_drift(tx)
        self._waiting(waiters, tx.now.timestamp())
        for state in STATES:
            metrics.open_tickets.set(states.get(state, 0), state=state)
        for presence in _PRESENCES:
            count, capacity, load = people.get(presence, (0, 0, 0))
            metrics.agents_count.set(count, presence=presence)
            metrics.agents_capacity.set(capacity, presence=presence)
            metrics.agents_load.set(load, presence=presence)
        metrics.load_drift.set(drift)
        return 0

    def _waiting(self, waiters: list[board.Waiters], now: float) -> None:
        tiers = (*TIERS, "unlabelled")
        counts = {(kind, tier): 0 for kind in ("general", "triage", "skill") for tier in tiers}
        ages = dict.fromkeys(tiers, 0.0)
        for row in waiters:
            kind = row.queue_id if row.queue_id in (GENERAL, TRIAGE) else "skill"
            tier = row.tier if row.tier in TIERS else "unlabelled"
            counts[(kind, tier)] += row.count
            if row.oldest is not None:
                ages[tier] = max(ages[tier], now - row.oldest.timestamp())
        for (kind, tier), count in counts.items():
            metrics.waiting.set(count, queue=kind, tier=tier)
        for tier, age in ages.items():
            metrics.oldest_waiting.set(age, tier=tier)
