"""Metrics of messaging, the same in every service."""

from __future__ import annotations

from fenliu.chassis.observability import FAST_BUCKETS, counter, gauge, histogram

SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

lag_records = gauge(
    "fenliu_consumer_lag_records",
    "Records that a consumer has not handled yet.",
    reaction="Grows: the service is too slow (add replicas, look at its database) or stuck (runbook no-progress).",
    labels={"topic": None},
)
lag_seconds = gauge(
    "fenliu_consumer_lag_seconds",
    "Age of the newest record that a consumer has handled, while more are waiting; 0 where none waits.",
    reaction="Above 10: tickets wait; treat it as growing lag in records.",
    labels={"topic": None},
)
records_total = counter(
    "fenliu_consumer_records_total",
    "Records that left the consumer, by outcome: handled, repeated (dropped by the inbox), skipped (type not "
    "consumed), dead (set aside).",
    reaction="dead grows: read `fenliu dlq list`. repeated keeps growing: somebody replays, or commits fail.",
    labels={"topic": None, "outcome": ("handled", "repeated", "skipped", "dead")},
)
batch_records = histogram(
    "fenliu_consumer_batch_records",
    "Records handled in one transaction.",
    reaction="Stays at 1 under load: lists are being halved; look for `batch_failed` in the log.",
    labels={"topic": None},
    buckets=SIZES,
)
batch_seconds = histogram(
    "fenliu_consumer_batch_seconds",
    "Time from a poll's records to their committed offsets.",
    reaction="Rises: the database is slow, or waits for locks.",
    labels={"topic": None},
    buckets=FAST_BUCKETS,
)
pauses_total = counter(
    "fenliu_consumer_pauses_total",
    "Times that a partition waited because something needed did not answer.",
    reaction="Grows: look at the database and at Kafka; the records are tried again by themselves.",
    labels={"topic": None},
)
rebuilds_total = counter(
    "fenliu_consumer_rebuilds_total",
    "Times that a consumer was replaced because it made no progress or lost Kafka.",
    reaction="Grows steadily: Kafka is unreachable or its group keeps rebalancing.",
    labels={"topic": None},
)
stopped = gauge(
    "fenliu_consumer_stopped_consumers",
    "1 where a consumer gave up because too many records in a row were dead letters, 0 where it did not.",
    reaction="Repair the cause (`fenliu dlq list`), then restart the service; it goes on where it stopped.",
    labels={"topic": None},
)
outbox_pending = gauge(
    "fenliu_outbox_pending_events",
    "Events that are committed but not yet published.",
    reaction="Grows: Kafka does not take them, or the relay does not run. Nothing is lost; look at relay failures.",
)
outbox_oldest = gauge(
    "fenliu_outbox_oldest_seconds",
    "Age of the oldest event that is not yet published; 0 where none waits.",
    reaction="Above 5: other services do not hear of what happened here; see fenliu_outbox_pending_events.",
)
published_total = counter(
    "fenliu_outbox_published_total",
    "Events that the broker acknowledged.",
    reaction="Stands still while events are pending: look at relay failures.",
)
republished_total = counter(
    "fenliu_outbox_republished_total",
    "Events published again because the broker's log had been replaced.",
    reaction="Grows: Kafka lost data. The system repairs itself; find out why Kafka lost it.",
)
losses_total = counter(
    "fenliu_outbox_broker_losses_total",
    "Times that the relay found the broker's log replaced.",
    reaction="Not 0: Kafka lost data or a topic was deleted; what was acknowledged is being published again.",
)
relay_failures_total = counter(
    "fenliu_outbox_failures_total",
    "Batches that the broker did not acknowledge completely.",
    reaction="Grows: Kafka is unreachable or overloaded; the relay tries again by itself.",
)
