"""Every metric of the notifier."""

from __future__ import annotations

from fenliu.chassis.observability import FAST_BUCKETS, counter, gauge, histogram

OUTCOMES = ("sent", "retry", "failed", "lost_lease")

snapshots_applied = counter(
    "fenliu_notifier_snapshots_applied_total",
    "Snapshots of tickets that were newer than the copy held.",
    reaction="Stands still while the router assigns: the consumer of ticket-status hangs; see its lag.",
)
entries_written = counter(
    "fenliu_notifier_timeline_entries_total",
    "Timeline lines written, repeats included.",
    reaction="Far above the number of events: something is being replayed.",
)
deliveries_owed = counter(
    "fenliu_notifier_deliveries_owed_total",
    "Webhooks that became due because a ticket changed.",
    reaction="Zero while tickets change: no subscription matches; see GET /v1/subscriptions.",
)
attempts = counter(
    "fenliu_notifier_delivery_attempts_total",
    "Attempts to deliver a webhook, by what came of them.",
    reaction="retry or failed grow: an endpoint is ill; GET /v1/deliveries?state=failed names it. lost_lease grows: "
    "attempts outlive their lease, so the database is too slow to record them.",
    labels={"outcome": OUTCOMES},
)
attempt_seconds = histogram(
    "fenliu_notifier_delivery_attempt_seconds",
    "Length of one attempt, from connecting to the answer's status.",
    reaction="Near the 15 s limit: endpoints hang; each holds only its own places.",
    buckets=FAST_BUCKETS,
)
delivery_delay = histogram(
    "fenliu_notifier_delivery_delay_seconds",
    "From the moment when an attempt was due to its start.",
    reaction="Rises: too few places (max_in_flight) or too many endpoints that hang.",
)
deliveries_pending = gauge(
    "fenliu_notifier_pending_deliveries",
    "Deliveries that are waiting for an attempt, those in backoff included.",
    reaction="Grows without end: an endpoint is down; look at the failed ones or switch its subscription off.",
)
oldest_due = gauge(
    "fenliu_notifier_oldest_due_delivery_seconds",
    "How long the delivery that waits longest has been due; 0 when none is.",
    reaction="Above a minute: the delivery loop stands still, or one endpoint has more than it can take.",
)
in_flight = gauge(
    "fenliu_notifier_in_flight_deliveries",
    "Attempts under way.",
    reaction="At max_in_flight for long: endpoints hang; see the attempts' length.",
)
subscriptions_disabled = counter(
    "fenliu_notifier_subscriptions_disabled_total",
    "Subscriptions switched off because their endpoint answered 410.",
    reaction="Tell the integrator: nothing is delivered until a new subscription is made.",
)
streams_open = gauge(
    "fenliu_notifier_open_streams",
    "Event streams that are open.",
    reaction="Near the limit: new ones get 503; add replicas.",
)
streams_closed = counter(
    "fenliu_notifier_streams_closed_total",
    "Event streams that ended, by reason.",
    reaction="slow grows: readers do not keep up and resume by themselves with Last-Event-ID.",
    labels={"reason": ("client", "expired", "slow", "shutdown", "renew")},
)
push_delay = histogram(
    "fenliu_notifier_push_delay_seconds",
    "From what happened to the moment at which it was handed to open streams.",
    reaction="Above 1 s: ticket-status lags, or the database answers slowly.",
)
pages_served = counter(
    "fenliu_notifier_status_pages_total",
    "Status pages served, by outcome.",
    reaction="invalid grows: someone guesses links; expired grows: links live too short.",
    labels={"outcome": ("shown", "early", "expired", "invalid")},
)
