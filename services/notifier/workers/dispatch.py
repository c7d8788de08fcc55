"""Sends the deliveries that are due: leased, sent with no transaction open, recorded.

A process that dies between sending and recording leaves a lease that runs out, and then the delivery is made once more
with the same webhook-id.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from fenliu.chassis.db import Database, Transaction
from fenliu.chassis.errors import Transient
from fenliu.chassis.observability import get_logger
from fenliu.chassis.worker import Loop
from services.notifier import domain, metrics, store
from services.notifier.domain import GivenUp, Outcome, Rejected, RetryAt, Sent, Step
from services.notifier.store import Attempt, Claimed, Target

log = get_logger(__name__)

AT_ONCE = 4
"""Most deliveries of one endpoint in one claim."""


class Send(Protocol):
    """A transport's attempt: never raises for what the far side does."""

    async def __call__(
        self, url: str, secrets: Sequence[str], delivery_id: str, payload: str, now: datetime
    ) -> Outcome: ...


class Deliveries(Loop):
    """The dispatcher.

    lease_s        how long a claim holds, seconds; longer than the transport's longest attempt.
    max_in_flight  attempts under way at once, over all endpoints.
    per_endpoint   attempts under way at once to one endpoint; to one whose last attempt failed, AT_ONCE. So an endpoint
                   that hangs holds a few places and the others do not notice.
    """

    def __init__(
        self,
        db: Database,
        send: Send,
        *,
        lease_s: float = 60.0,
        max_in_flight: int = 1000,
        per_endpoint: int = 8,
        every_s: float = 1.0,
        chance: random.Random | None = None,
    ) -> None:
        super().__init__("deliveries", self.dispatch_once, every_s=every_s)
        self._db = db
        self._send = send
        self._lease_s = lease_s
        self._max_in_flight = max_in_flight
        self._per_endpoint = per_endpoint
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._ill: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then give what is under way a moment; the rest is repeated by its lease's end."""
        await super().run(stop)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        for task in self._tasks:
            task.cancel()

    async def dispatch_once(self) -> int:
        """Start the deliveries that are due and for which there is room. Returns how many."""
        room = self._max_in_flight - len(self._tasks)
        if room <= 0:
            return 0
        async with self._db.begin() as tx:
            claimed = await store.claim_due(
                tx,
                lease_id=str(uuid.uuid4()),
                lease_s=self._lease_s,
                limit=min(room, 100),
                per_endpoint=AT_ONCE,
                leave_out=self._full(),
            )
            targets = await store.load_targets(tx, {c.delivery.subscription_id for c in claimed}) if claimed else {}
            now = tx.now
        for item in claimed:
            metrics.delivery_delay.observe(max((now - item.due_at).total_seconds(), 0.0))
            self._start(item, targets.get(item.delivery.subscription_id))
        return len(claimed)

    async def idle(self) -> None:
        """Wait until nothing is under way; for tests and for a quiet stop."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _full(self) -> list[str]:
        """Endpoints that may not be given another AT_ONCE just now."""
        return [
            endpoint
            for endpoint, busy in self._busy.items()
            if endpoint in self._ill or busy + AT_ONCE > self._per_endpoint
        ]

    def _start(self, claimed: Claimed, target: Target | None) -> None:
        self._busy[claimed.delivery.subscription_id] += 1
        metrics.in_flight.inc()
        task = asyncio.create_task(self._deliver(claimed, target))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finished(done, claimed.delivery.subscription_id))

    def _finished(self, task: asyncio.Task[None], endpoint: str) -> None:
        self._tasks.discard(task)
        metrics.in_flight.dec()
        self._busy[endpoint] -= 1
        if not self._busy[endpoint]:
            del self._busy[endpoint]  # a Counter keeps zeros
        if not task.cancelled() and (error := task.exception()) is not None:
            level = log.warning if isinstance(error, Transient) else log.error
            level("delivery_not_recorded", endpoint=endpoint, error=type(error).__name__)
        self.wake()

    async def _deliver(self, claimed: Claimed, target: Target | None) -> None:
        started_at, started = self._db.clock.now(), self._db.clock.monotonic()
        delivery = claimed.delivery
        outcome: Outcome
        if target is None or not target.enabled:
            outcome = Rejected("The subscription was deleted or switched off.")
        else:
            outcome = await self._send(target.url, target.secrets, delivery.delivery_id, delivery.payload, started_at)
        took_s = max(self._db.clock.monotonic() - started, 0.0)
        error = getattr(outcome, "error", "")
        attempt = Attempt(claimed.attempt, started_at, int(took_s * 1000), outcome.status, error)

        async def record(tx: Transaction) -> tuple[bool, Step]:
            step = domain.next_step(claimed.attempt, outcome, tx.now, self._chance.uniform(-1, 1))
            return await store.record_attempt(tx, claimed, attempt, step), step

        recorded, step = await self._db.run(record)
        self._note(delivery.subscription_id, recorded, step)
        metrics.attempt_seconds.observe(took_s)

    def _note(self, endpoint: str, recorded: bool, step: Step) -> None:
        if isinstance(step, Sent):
            self._ill.discard(endpoint)
        else:
            self._ill.add(endpoint)
        names = {Sent: "sent", RetryAt: "retry", GivenUp: "failed"}
        metrics.attempts.inc(outcome=names[type(step)] if recorded else "lost_lease")
        if recorded and isinstance(step, GivenUp) and step.disable:
            metrics.subscriptions_disabled.inc()


class Housekeeping(Loop):
    """Measures what is owed and forgets deliveries that finished long ago. keep: how long the log is kept."""

    def __init__(self, db: Database, *, keep: timedelta, every_s: float = 10.0, batch: int = 500) -> None:
        super().__init__("housekeeping", self.keep_house_once, every_s=every_s)
        self._db = db
        self._keep = keep
        self._batch = batch

    async def keep_house_once(self) -> int:
        """Set the gauges; delete one batch. Returns how many deliveries were deleted."""
        async with self._db.read() as tx:
            pending, oldest = await store.load_backlog(tx)
            now = tx.now
        metrics.deliveries_pending.set(pending)
        metrics.oldest_due.set(0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0))
        async with self._db.begin() as tx:
            return await store.delete_finished(tx, now - self._keep, self._batch)
