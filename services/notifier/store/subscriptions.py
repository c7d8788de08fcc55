"""Subscriptions, and the copy of them that handlers ask on every batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from fenliu.chassis.clock import Clock
from fenliu.chassis.db import Transaction
from services.notifier.domain import Subscriber
from services.notifier.tables import attempts, deliveries, subscriptions


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as its owner sees it. secret: empty except where it is created or used to sign."""

    subscription_id: str
    tenant_id: str
    url: str
    events: tuple[str, ...]
    description: str
    enabled: bool
    disabled_reason: str
    created_at: datetime
    secret: str = field(default="", repr=False)


class SubscriptionCache:
    """All enabled subscriptions by tenant. A change made by this process is seen by the next batch, one made by another
    replica within `max_age_s` seconds."""

    def __init__(self, clock: Clock, max_age_s: float = 1.0) -> None:
        self._clock = clock
        self._max_age_s = max_age_s
        self._loaded_at: float | None = None
        self._by_tenant: dict[str, list[Subscriber]] = {}

    def invalidate(self) -> None:
        """Read again at the next question."""
        self._loaded_at = None

    async def by_tenant(self, tx: Transaction) -> Mapping[str, Sequence[Subscriber]]:
        """Enabled subscriptions; a tenant without any is missing."""
        now = self._clock.monotonic()
        if self._loaded_at is None or now - self._loaded_at > self._max_age_s:
            statement = select(subscriptions.c.subscription_id, subscriptions.c.tenant_id, subscriptions.c.events)
            found: dict[str, list[Subscriber]] = {}
            for row in await tx.execute(statement.where(subscriptions.c.enabled)):
                found.setdefault(row[1], []).append(Subscriber(row[0], row[1], frozenset(row[2].split())))
            self._by_tenant, self._loaded_at = found, now
        return self._by_tenant


async def insert_subscription(tx: Transaction, subscription: Subscription) -> None:
    """Add one."""
    await tx.execute(
        tx.insert(subscriptions),
        {
            "subscription_id": subscription.subscription_id,
            "tenant_id": subscription.tenant_id,
            "url": subscription.url,
            "events": " ".join(subscription.events),
            "description": subscription.description,
            "secret": subscription.secret,
            "enabled": subscription.enabled,
            "disabled_reason": "",
            "created_at": subscription.created_at,
        },
    )


async def count_subscriptions(tx: Transaction, tenant_id: str) -> int:
    """How many the tenant has."""
    statement = select(func.count()).select_from(subscriptions).where(subscriptions.c.tenant_id == tenant_id)
    return int((await tx.execute(statement)).scalar_one())


async def list_subscriptions(tx: Transaction, tenant_id: str, *, after: str, limit: int) -> list[Subscription]:
    """The tenant's subscriptions with an id above `after`, by id."""
    statement = (
        select(subscriptions)
        .where(subscriptions.c.tenant_id == tenant_id, subscriptions.c.subscription_id > after)
        .order_by(subscriptions.c.subscription_id)
        .limit(limit)
    )
    return [_subscription(row) for row in await tx.execute(statement)]


async def load_subscription(tx: Transaction, tenant_id: str, subscription_id: str) -> Subscription | None:
    """One subscription of the tenant; None where there is none."""
    statement = select(subscriptions).where(
        subscriptions.c.tenant_id == tenant_id, subscriptions.c.subscription_id == subscription_id
    )
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else _subscription(row)


async def delete_subscription(tx: Transaction, tenant_id: str, subscription_id: str) -> bool:
    """Delete it with its delivery log and everything that is still owed to it. False where there is none."""
    statement = (
        delete(subscriptions)
        .where(subscriptions.c.tenant_id == tenant_id, subscriptions.c.subscription_id == subscription_id)
        .returning(subscriptions.c.subscription_id)
    )
    if (await tx.execute(statement)).one_or_none() is None:
        return False
    owned = select(deliveries.c.delivery_id).where(deliveries.c.subscription_id == subscription_id)
    await tx.execute(delete(attempts).where(attempts.c.delivery_id.in_(owned)))
    await tx.execute(delete(deliveries).where(deliveries.c.subscription_id == subscription_id))
    return True


async def rotate_secret(
    tx: Transaction, tenant_id: str, subscription_id: str, secret: str, previous_until: datetime
) -> Subscription | None:
    """Sign with `secret` from now on, and with the one before as well until `previous_until`; one before that is
    forgotten. None where there is no such subscription."""
    statement = (
        update(subscriptions)
        .where(subscriptions.c.tenant_id == tenant_id, subscriptions.c.subscription_id == subscription_id)
        .values(secret=secret, previous_secret=subscriptions.c.secret, previous_until=previous_until)
        .returning(subscriptions)
    )
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else _subscription(row)


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        row.subscription_id,
        row.tenant_id,
        row.url,
        tuple(row.events.split()),
        row.description,
        row.enabled,
        row.disabled_reason,
        row.created_at,
    )
