"""Deliveries: what is owed, who is sending it just now, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, literal, or_, select, tuple_, update

from fenliu.chassis.db import Transaction, UtcDateTime
from fenliu.chassis.messaging.tables import database_seconds
from services.notifier.domain import Delivery, GivenUp, RetryAt, Step
from services.notifier.tables import attempts, deliveries, subscriptions

CANDIDATES = 500
"""Due rows that one claim looks at. An endpoint with more than that is at its limit after one claim, is then left out,
and the next claim sees the others."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process may send until its lease ends. attempt: number of this attempt, 1 is the first."""

    delivery: Delivery
    lease_id: str
    attempt: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """Where a subscription's deliveries go. secrets: every one that signs now, the newest first."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)
    enabled: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. status None: there was no answer. error "": it was delivered."""

    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as its owner sees it. next_attempt_at None: nothing is due any more."""

    delivery_id: str
    subscription_id: str
    ticket_id: str
    event_type: str
    payload: str
    state: str
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str
    last_attempt_at: datetime | None
    finished_at: datetime | None


async def insert_deliveries(tx: Transaction, owed: Sequence[Delivery], due_at: datetime) -> None:
    """Owe them from `due_at` on. One that exists already is left as it is."""
    rows = [
        {
            "delivery_id": d.delivery_id,
            "tenant_id": d.tenant_id,
            "subscription_id": d.subscription_id,
            "ticket_id": d.ticket_id,
            "event_type": d.event_type,
            "payload": d.payload,
            "state": "pending",
            "created_at": due_at,
            "next_attempt_at": due_at,
        }
        for d in owed
    ]
    await tx.insert_rows(deliveries, rows, new_only=True)


async def claim_due(
    tx: Transaction, *, lease_id: str, lease_s: float, limit: int, per_endpoint: int, leave_out: Collection[str]
) -> list[Claimed]:
    """Lease at most `limit` due deliveries, at most `per_endpoint` of one subscription, none of `leave_out`.

    What another process claims at the same moment is skipped. A lease that ran out makes its delivery due again: its
    holder died, or is too late to record anything.
    """
    free = or_(deliveries.c.lease_expires_s.is_(None), deliveries.c.lease_expires_s < database_seconds())
    due = (
        select(deliveries.c.delivery_id, deliveries.c.subscription_id, deliveries.c.next_attempt_at)
        .where(
            deliveries.c.state == "pending",
            deliveries.c.next_attempt_at <= tx.now,
            free,
            deliveries.c.subscription_id.not_in(list(leave_out)),
        )
        .order_by(deliveries.c.next_attempt_at)
        .limit(CANDIDATES)
        .subquery()
    )
    rank = func.row_number().over(partition_by=due.c.subscription_id, order_by=due.c.next_attempt_at)
    ranked = select(due.c.delivery_id, due.c.next_attempt_at, rank.label("rank")).subquery()
    first = (
        select(ranked.c.delivery_id)
        .where(ranked.c.rank <= per_endpoint)
        .order_by(ranked.c.next_attempt_at)
        .limit(limit)
    )
    chosen = (
        select(deliveries.c.delivery_id)
        .where(deliveries.c.delivery_id.in_(first), deliveries.c.state == "pending", free)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(deliveries)
        .where(deliveries.c.delivery_id.in_(chosen))
        .values(
            lease_id=lease_id,
            lease_expires_s=database_seconds() + lease_s,
            attempts=deliveries.c.attempts + 1,
            last_attempt_at=tx.now,
        )
        .returning(deliveries)
    )
    return [
        Claimed(
            Delivery(row.delivery_id, row.tenant_id, row.subscription_id, row.ticket_id, row.event_type, row.payload),
            lease_id,
            row.attempts,
            row.next_attempt_at,
        )
        for row in await tx.execute(statement)
    ]


async def load_targets(tx: Transaction, subscription_ids: Collection[str]) -> dict[str, Target]:
    """Where to send, by subscription; one that was deleted is missing."""
    statement = select(subscriptions).where(subscriptions.c.subscription_id.in_(list(subscription_ids)))
    return {row.subscription_id: _target(row, tx.now) for row in await tx.execute(statement)}


def _target(row: Row[Any], now: datetime) -> Target:
    rotated = row.previous_until is not None and now < row.previous_until
    return Target(row.url, (row.secret, row.previous_secret) if rotated else (row.secret,), row.enabled)


async def record_attempt(tx: Transaction, claimed: Claimed, attempt: Attempt, step: Step) -> bool:
    """Write down what came of an attempt. False where the lease was lost meanwhile; then nothing is written."""
    changes: dict[str, Any] = {
        "lease_id": "",
        "lease_expires_s": None,
        "last_status": attempt.status,
        "last_error": attempt.error,
    }
    if isinstance(step, RetryAt):
        changes |= {"next_attempt_at": step.at}
    else:
        state = "failed" if isinstance(step, GivenUp) else "sent"
        changes |= {"state": state, "next_attempt_at": None, "finished_at": tx.now}
    delivery = claimed.delivery
    held = (
        update(deliveries)
        .where(deliveries.c.delivery_id == delivery.delivery_id, deliveries.c.lease_id == claimed.lease_id)
        .values(**changes)
    )
    if (await tx.execute(held)).rowcount == 0:
        return False
    row = {
        "delivery_id": delivery.delivery_id,
        "number": attempt.number,
        "at": attempt.at,
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error,
    }
    await tx.execute(tx.insert(attempts).on_conflict_do_nothing(), row)
    if isinstance(step, GivenUp) and step.disable:
        await _disable(tx, delivery.subscription_id, attempt.error)
    return True


async def _disable(tx: Transaction, subscription_id: str, reason: str) -> None:
    await tx.execute(
        update(subscriptions)
        .where(subscriptions.c.subscription_id == subscription_id)
        .values(enabled=False, disabled_reason=reason)
    )
    await tx.execute(
        update(deliveries)
        .where(deliveries.c.subscription_id == subscription_id, deliveries.c.state == "pending")
        .values(state="failed", next_attempt_at=None, finished_at=tx.now, last_error=reason)
    )


async def list_deliveries(
    tx: Transaction,
    tenant_id: str,
    *,
    before: tuple[datetime, str] | None,
    limit: int,
    subscription_id: str | None = None,
    ticket_id: str | None = None,
    state: str | None = None,
) -> list[DeliveryRecord]:
    """The tenant's deliveries, newest first, older than `before` (created_at and delivery_id)."""
    statement = _records().where(deliveries.c.tenant_id == tenant_id)
    if subscription_id is not None:
        statement = statement.where(deliveries.c.subscription_id == subscription_id)
    if ticket_id is not None:
        statement = statement.where(deliveries.c.ticket_id == ticket_id)
    if state is not None:
        statement = statement.where(deliveries.c.state == state)
    if before is not None:
        edge = tuple_(literal(before[0], UtcDateTime()), literal(before[1]))
        statement = statement.where(tuple_(deliveries.c.created_at, deliveries.c.delivery_id) < edge)
    order = (deliveries.c.created_at.desc(), deliveries.c.delivery_id.desc())
    return [DeliveryRecord(*row) for row in await tx.execute(statement.order_by(*order).limit(limit))]


async def load_delivery(tx: Transaction, tenant_id: str, delivery_id: str) -> DeliveryRecord | None:
    """One delivery of the tenant; None where there is none."""
    statement = _records().where(deliveries.c.tenant_id == tenant_id, deliveries.c.delivery_id == delivery_id)
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else DeliveryRecord(*row)


async def list_attempts(tx: Transaction, delivery_id: str) -> list[Attempt]:
    """All recorded attempts, oldest first."""
    statement = (
        select(attempts.c.number, attempts.c.at, attempts.c.duration_ms, attempts.c.status, attempts.c.error)
        .where(attempts.c.delivery_id == delivery_id)
        .order_by(attempts.c.number)
    )
    return [Attempt(*row) for row in await tx.execute(statement)]


async def update_delivery_due(tx: Transaction, tenant_id: str, delivery_id: str) -> bool:
    """Make a delivery due now, whatever became of it; one that is being sent goes on undisturbed. False: unknown."""
    idle = or_(deliveries.c.lease_expires_s.is_(None), deliveries.c.lease_expires_s < database_seconds())
    statement = (
        update(deliveries)
        .where(deliveries.c.tenant_id == tenant_id, deliveries.c.delivery_id == delivery_id, idle)
        .values(state="pending", next_attempt_at=tx.now, finished_at=None)
    )
    if (await tx.execute(statement)).rowcount:
        return True
    return await load_delivery(tx, tenant_id, delivery_id) is not None


async def load_backlog(tx: Transaction) -> tuple[int, datetime | None]:
    """How many deliveries are pending, and when the one that waits longest was due (None: none waits)."""
    statement = select(func.count(), func.min(deliveries.c.next_attempt_at)).where(deliveries.c.state == "pending")
    count, oldest = (await tx.execute(statement)).one()
    return int(count), oldest


async def delete_finished(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete at most `limit` deliveries that finished before `before`, with their attempts. Returns how many."""
    old = select(deliveries.c.delivery_id).where(deliveries.c.finished_at < before).limit(limit)
    ids = list((await tx.execute(old)).scalars())
    if ids:
        await tx.execute(delete(attempts).where(attempts.c.delivery_id.in_(ids)))
        await tx.execute(delete(deliveries).where(deliveries.c.delivery_id.in_(ids)))
    return len(ids)


def _records() -> Any:
    return select(*(deliveries.c[name] for name in DeliveryRecord.__dataclass_fields__))
