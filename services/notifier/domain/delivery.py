"""Whom to tell about a change, in which words, and what follows from an attempt."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.notifier.domain.timeline import Snapshot

RETRY_DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Wait after the 1st, 2nd, … failed attempt; ten attempts within about three days. Source: Standard Webhooks 1.0,
"deliverability and reliability"."""

JITTER = 0.1
"""Waits are moved by at most this part of themselves, so that an endpoint that comes back is not met by all at once."""

LONGEST_WAIT = timedelta(hours=24)
"""An endpoint that asks for more patience than this is asked again after this."""

_NAMESPACE = uuid.UUID("5b0c1f0e-5f39-5a52-9a52-6f6a6e6c6975")


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint answered 2xx."""

    status: int


@dataclass(frozen=True, slots=True)
class Deferred:
    """It may succeed later: no answer, or any answer but 2xx and 410. retry_after_s: the endpoint's own wish."""

    error: str
    status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """It will never succeed. gone: the endpoint said 410, so it wants nothing any more."""

    error: str
    status: int | None = None
    gone: bool = False


Outcome = Delivered | Deferred | Rejected


@dataclass(frozen=True, slots=True)
class Sent:
    """Done."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at this moment (aware, UTC)."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Never tried again by itself; a person can. disable: the subscription is switched off as well."""

    disable: bool = False


Step = Sent | RetryAt | GivenUp


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscription as far as matching needs it. events: state names, or "*" for all."""

    subscription_id: str
    tenant_id: str
    events: frozenset[str]

    def wants(self, state: str) -> bool:
        """True where a change to `state` is to be delivered."""
        return "*" in self.events or state in self.events


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that is owed. delivery_id is sent as webhook-id and stays the same over all attempts."""

    delivery_id: str
    tenant_id: str
    subscription_id: str
    ticket_id: str
    event_type: str
    payload: str


def next_step(attempts: int, outcome: Outcome, now: datetime, jitter: float) -> Step:
    """What follows from the attempt that was just made.

    attempts  made so far, this one included; 1 or more.
    jitter    -1 to 1, uniformly random, drawn by the caller.

    Every answer that is neither 2xx nor 410 is tried again, 4xx as well: Standard Webhooks counts every other answer
    as a failed attempt, and a receiver in the middle of a deployment answers 401 or 404. Retry-After is honoured on 429
    and 503, never undercut, and at most LONGEST_WAIT.
    """
    if isinstance(outcome, Delivered):
        return Sent()
    if isinstance(outcome, Rejected):
        return GivenUp(disable=outcome.gone)
    if attempts > len(RETRY_DELAYS):
        return GivenUp()
    if outcome.retry_after_s is not None and outcome.status in (429, 503):
        wished = min(timedelta(seconds=max(outcome.retry_after_s, 1.0)), LONGEST_WAIT)
        return RetryAt(now + wished * (1 + JITTER * abs(jitter)))
    return RetryAt(now + RETRY_DELAYS[attempts - 1] * (1 + JITTER * jitter))


def delivery_id_of(subscription_id: str, fact: str) -> str:
    """Stable id of one fact for one subscription: handling the same event again owes nothing twice."""
    return str(uuid.uuid5(_NAMESPACE, f"{subscription_id}/{fact}"))


def deliveries_for(snapshots: Iterable[Snapshot], subscribers: Mapping[str, Sequence[Subscriber]]) -> list[Delivery]:
    """One delivery for each snapshot and each subscription of its tenant that wants it."""
    owed: list[Delivery] = []
    for snapshot in snapshots:
        wanting = [s for s in subscribers.get(snapshot.tenant_id, ()) if s.wants(snapshot.state)]
        if not wanting:
            continue
        kind, payload = f"ticket.{snapshot.state}", _payload(snapshot)
        fact = f"{snapshot.tenant_id}/{snapshot.ticket_id}/{snapshot.version}"
        owed.extend(
            Delivery(
                delivery_id_of(s.subscription_id, fact),
                snapshot.tenant_id,
                s.subscription_id,
                snapshot.ticket_id,
                kind,
                payload,
            )
            for s in wanting
        )
    return owed


def trial_payload(subscription_id: str, now: datetime) -> str:
    """Body of a test delivery."""
    body = {"type": "subscription.test", "timestamp": _text(now), "data": {"subscription_id": subscription_id}}
    return json.dumps(body, separators=(",", ":"))


def _payload(snapshot: Snapshot) -> str:
    """The documented body; never a word that a customer or an agent wrote."""
    data = {
        "ticket_id": snapshot.ticket_id,
        "state": snapshot.state,
        "version": snapshot.version,
        "reason": snapshot.reason or None,
        "awaited": snapshot.awaited or None,
        "customer_id": snapshot.customer_id or None,
        "queue_id": snapshot.queue_id or None,
        "agent_id": snapshot.agent_id or None,
        "agent_name": snapshot.agent_name or None,
        "category": snapshot.category or None,
        "tier": snapshot.tier or None,
        "complexity": snapshot.complexity or None,
        "sentiment": snapshot.sentiment or None,
        "reopen_count": snapshot.reopen_count,
        "received_at": _text(snapshot.received_at),
        "changed_at": _text(snapshot.changed_at),
        "first_response_due_at": _text(snapshot.first_response_due_at),
        "resolution_due_at": _text(snapshot.resolution_due_at),
        "first_responded_at": _text(snapshot.first_responded_at),
    }
    body = {"type": f"ticket.{snapshot.state}", "timestamp": _text(snapshot.changed_at), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
