"""The loop: decode a poll, handle it in one transaction, commit, then commit the offsets.

Four outcomes, and no others: the handler returns (offset is staged); raises Malformed (dead letter); raises Transient
(the partition is paused, same records again after a backoff); raises anything else (a bug: a few tries, then a dead
letter and an alert). When a list fails, the loop halves it until the culprit stands alone.

Health is progress. aiokafka reports nothing while it is cut off, so a consumer that has records to read and does not
get on is replaced, and after a while `problem()` says so, for /livez.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.db import Database, Transaction
from fenliu.chassis.messaging import inbox, metrics
from fenliu.chassis.messaging.batch import Outcome, Processor, TooManyDeadLetters, grouped
from fenliu.chassis.messaging.crash import crash_point
from fenliu.chassis.messaging.deadletter import Failure, dead_letter_of
from fenliu.chassis.messaging.decode import Decoder
from fenliu.chassis.messaging.envelope import Envelope, Outgoing, Received, Record, to_headers
from fenliu.chassis.messaging.kafka import (
    Inspector,
    KafkaConsumer,
    KafkaOptions,
    KafkaUnavailable,
    Outbound,
    Producer,
    ensure_topics,
)
from fenliu.chassis.messaging.outbox import tenant_of
from fenliu.chassis.observability import get_logger
from fenliu.contracts.events import TOPIC_OF
from fenliu.contracts.topics import Topic

log = get_logger(__name__)

Handler = Callable[[Transaction, Sequence[Any]], Awaitable[None]]
"""`async def on_<event>(tx, events)`: new events only, in order per key, 1 to max_records of them, all of one type."""

Answerer = Callable[[Sequence[Received]], Awaitable[Sequence[Outgoing]]]
"""`async def on_<event>(received) -> outgoing` of a service without a database: everything returned is published and
acknowledged by the broker before the offsets are committed."""

COPY_GAP_S = 0.2
"""Pause of a copy under load: fewer and larger batches leave the CPU to those on whom a ticket waits, and who looks at
a page does not notice. The first record after a silence is taken at once."""


@dataclass(frozen=True)
class Subscription:
    """One topic that a service consumes, in the group `<service>.<topic>`.

    handlers     by event type; types of the topic that are not named are skipped. Events of one key reach their
                 handlers in order, also across types.
    answer       instead of handlers, for a service without a database.
    answers      event types that `answer` takes; others are skipped.
    inbox        False where every handler's writes are idempotent by construction (snapshot under `version <`).
    max_records  most records in one poll, and so in one transaction.
    gap_s        least time from one batch to the next, seconds; COPY_GAP_S for a copy that people only look at.
    default_tenant  tenant of records from outside that name none; empty: they are dead letters.
    """

    topic: Topic
    handlers: Mapping[type[Message], Handler] = field(default_factory=dict)
    answer: Answerer | None = None
    answers: tuple[type[Message], ...] = ()
    inbox: bool = True
    max_records: int = 500
    gap_s: float = 0.0
    default_tenant: str = ""

    def wanted(self) -> frozenset[str]:
        """Names of the event types that this subscription handles."""
        return frozenset(kind.DESCRIPTOR.name for kind in (*self.handlers, *self.answers))

    def decoder(self) -> Decoder:
        """What reads this subscription's records."""
        return Decoder(self.topic, self.wanted(), default_tenant=self.default_tenant)


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """How patient a consumer is; all times in seconds.

    bug_attempts     tries for a record whose handler raises something unexpected.
    max_dead_in_row  dead letters in a row after which the consumer stops.
    poll_s           longest wait of one poll.
    rest_s           longest rest after records were settled.
    backoff_s        first pause after a Transient; doubles up to max_backoff_s, with jitter.
    watch_s          time between two looks at the lag.
    stall_s          with lag and without progress for so long, the consumer is replaced.
    dead_after_s     with lag and without progress for so long, `problem()` says so.
    """

    bug_attempts: int = 3
    max_dead_in_row: int = 1000
    poll_s: float = 0.5
    rest_s: float = 0.1
    backoff_s: float = 0.2
    max_backoff_s: float = 10.0
    watch_s: float = 5.0
    stall_s: float = 30.0
    dead_after_s: float = 120.0


class Consumer:
    """Runs one subscription.

    progressed  set whenever records were settled and their offsets committed; tests clear it and wait for it.
    """

    def __init__(
        self,
        service: str,
        subscription: Subscription,
        *,
        kafka: KafkaOptions,
        db: Database | None = None,
        clock: Clock | None = None,
        options: ConsumerOptions | None = None,
    ) -> None:
        if (subscription.answer is None) == (not subscription.handlers):
            raise ValueError(f"the subscription to {subscription.topic.name} needs handlers or an answer, not both")
        if subscription.handlers and db is None:
            raise ValueError(f"the handlers of {subscription.topic.name} need a database")
        self.topic = subscription.topic.name
        self.group = f"{service}.{self.topic}"
        self.progressed = asyncio.Event()
        self.assigned = asyncio.Event()
        self._service = service
        self._subscription = subscription
        self._kafka = kafka
        self._db = db
        self._options = options or ConsumerOptions()
        self._producer = Producer(kafka, f"{self.group}.producer")
        self._inspector = Inspector(kafka, f"{self.group}.inspector")
        self._clock = clock or SystemClock()
        self._processor = Processor(
            subscription.decoder(),
            self._answer if subscription.answer is not None else self._handle,
            self._write_dead,
            self._clock,
            bug_attempts=self._options.bug_attempts,
            max_dead_in_row=self._options.max_dead_in_row,
        )
        self._backoffs: dict[int, int] = {}
        self._paused: dict[int, float] = {}
        self._ticked_at = self._progress_at = time.monotonic()
        self._committed_seen: dict[int, int] = {}
        self._stopped_because = ""
        metrics.stopped.set(0, topic=self.topic)

    def problem(self) -> str | None:
        """Why this consumer cannot be trusted to get on by itself, for /livez; None while it can."""
        if self._stopped_because:
            return f"{self.group}: {self._stopped_because}"
        now = time.monotonic()
        if now - self._ticked_at > self._options.dead_after_s:
            return f"{self.group}: the loop has hung for {now - self._ticked_at:.0f} s"
        if now - self._progress_at > self._options.dead_after_s:
            return f"{self.group}: no progress for {now - self._progress_at:.0f} s although records are waiting"
        return None

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; records under way are settled first. Returns early only when it gave up."""
        failures = 0
        self._progress_at = time.monotonic()
        try:
            while not stop.is_set() and not self._stopped_because:
                self._ticked_at = time.monotonic()
                consumer = KafkaConsumer(self._kafka, self.topic, self.group, client_id=self.group)
                try:
                    await ensure_topics(self._kafka, [self._subscription.topic])
                    await consumer.start()
                    failures = 0
                    await self._consume(consumer, stop)
                except KafkaUnavailable as error:
                    failures += 1
                    log.warning("consumer_lost_kafka", group=self.group, reason=error.detail)
                except TooManyDeadLetters as error:
                    self._stopped_because = f"stopped, because {error}; see `fenliu dlq list {self.topic}`"
                    metrics.stopped.set(1, topic=self.topic)
                    log.error("consumer_stopped", group=self.group, reason=str(error))
                finally:
                    await consumer.stop()
                if not stop.is_set() and not self._stopped_because:
                    metrics.rebuilds_total.inc(topic=self.topic)
                    await _wait(stop, self._backoff(failures))
        finally:
            await self._producer.close()
            await self._inspector.close()

    async def _consume(self, consumer: KafkaConsumer, stop: asyncio.Event) -> None:
        """Poll and settle until stopped; returns as well when the consumer should be replaced."""
        self._paused.clear()
        watched_at = started_at = time.monotonic()
        while not stop.is_set():
            self._ticked_at = now = time.monotonic()
            records = await consumer.poll(self._subscription.max_records, self._resume_due(consumer, now))
            if consumer.assigned():
                self.assigned.set()
            if records:
                polled_at = time.monotonic()
                await self._settle(consumer, records)
                # As long as that took: this leaves the process half of its time, and the next poll finds more at once.
                took = time.monotonic() - polled_at
                await asyncio.sleep(max(min(self._options.rest_s, took), self._subscription.gap_s - took))
            now = time.monotonic()
            if now - watched_at >= self._options.watch_s:
                watched_at = now
                await self._watch(consumer, now - started_at)
                if time.monotonic() - max(self._progress_at, started_at) > self._options.stall_s:
                    log.warning("consumer_stalled", group=self.group)
                    return

    async def _settle(self, consumer: KafkaConsumer, records: Sequence[Record]) -> None:
        started = time.monotonic()
        crash_point("consumer_polled")
        ours = consumer.assigned()
        outcome = await self._processor.process([record for record in records if record.partition in ours])
        if outcome.done and not await consumer.commit(outcome.done):
            log.info("offsets_not_committed", group=self.group, reason="the group was rebalanced")
        crash_point("consumer_offsets_committed")
        self._progress_at = time.monotonic()
        self._back_off(consumer, outcome)
        if outcome.done:
            self.progressed.set()
        metrics.batch_seconds.observe(time.monotonic() - started, topic=self.topic)
        metrics.records_total.inc(outcome.skipped, topic=self.topic, outcome="skipped")
        metrics.records_total.inc(outcome.dead, topic=self.topic, outcome="dead")
        behind = consumer.known_lag()
        metrics.lag_records.set(behind, topic=self.topic)
        age = self._clock.now().timestamp() - max(record.timestamp_ms for record in records) / 1000
        metrics.lag_seconds.set(max(0.0, age) if behind else 0.0, topic=self.topic)

    def _back_off(self, consumer: KafkaConsumer, outcome: Outcome) -> None:
        for partition in outcome.done.keys() - outcome.blocked.keys():
            self._backoffs.pop(partition, None)
        for partition, (offset, error) in outcome.blocked.items():
            consumer.seek(partition, offset)
            consumer.pause(partition)
            tries = 0 if partition in outcome.done else self._backoffs.get(partition, 0)
            self._backoffs[partition] = tries + 1
            pause_s = error.retry_after_s if error.retry_after_s is not None else self._backoff(tries)
            self._paused[partition] = time.monotonic() + pause_s
            metrics.pauses_total.inc(topic=self.topic)
            log.warning("partition_paused", group=self.group, partition=partition, pause_s=round(pause_s, 2))

    def _resume_due(self, consumer: KafkaConsumer, now: float) -> float:
        """Resume partitions whose pause is over; returns how long the next poll may take, seconds."""
        for partition in [partition for partition, due in self._paused.items() if due <= now]:
            del self._paused[partition]
            consumer.resume(partition)
        return min([self._options.poll_s, *(due - now for due in self._paused.values())])

    def _backoff(self, tries: int) -> float:
        longest = min(self._options.max_backoff_s, self._options.backoff_s * 2.0 ** min(tries, 10))
        return random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter, not a secret

    async def _watch(self, consumer: KafkaConsumer, age_s: float) -> None:
        """Note progress where nothing waits to be read, or where somebody else reads it."""
        try:
            if consumer.assigned():
                behind = sum((await consumer.lag()).values())
                metrics.lag_records.set(behind, topic=self.topic)
                if not behind:
                    metrics.lag_seconds.set(0, topic=self.topic)
                    self._progress_at = time.monotonic()
            elif age_s > self._kafka.rebalance_timeout_s and await self._others_progress():
                self._progress_at = time.monotonic()
        except KafkaUnavailable:
            # While Kafka is away a new consumer would not bring it back; but where others reach it, this one is stuck.
            if not await self._reachable():
                self._progress_at = time.monotonic()

    async def _reachable(self) -> bool:
        try:
            await self._inspector.end_offsets([self.topic])
        except KafkaUnavailable:
            return False
        return True

    async def _others_progress(self) -> bool:
        ends = await self._inspector.end_offsets([self.topic])
        committed = await self._inspector.committed(self.group, self.topic)
        behind = sum(max(0, end - committed.get(partition, 0)) for (_, partition), end in ends.items())
        moved, self._committed_seen = committed != self._committed_seen, committed
        return behind == 0 or moved

    async def _handle(self, received: Sequence[Received]) -> None:
        db = self._db
        assert db is not None
        counts = await db.run(lambda tx: self._handle_in(tx, received))
        crash_point("consumer_committed")
        metrics.batch_records.observe(len(received), topic=self.topic)
        metrics.records_total.inc(counts, topic=self.topic, outcome="handled")
        metrics.records_total.inc(len(received) - counts, topic=self.topic, outcome="repeated")

    async def _handle_in(self, tx: Transaction, received: Sequence[Received]) -> int:
        fresh = list(received)
        if self._subscription.inbox:
            new = await inbox.insert_new(tx, self.group, [item.envelope.event_id for item in received])
            fresh = []
            for item in received:
                if item.envelope.event_id in new:
                    new.discard(item.envelope.event_id)
                    fresh.append(item)
        for kind, items in grouped(fresh):
            await self._subscription.handlers[kind](tx, [item.event for item in items])
        crash_point("consumer_mid_transaction")
        return len(fresh)

    async def _answer(self, received: Sequence[Received]) -> None:
        answer = self._subscription.answer
        assert answer is not None
        outgoing = await answer(received)
        await self._producer.send([self._outbound(item) for item in outgoing])
        crash_point("consumer_committed")
        metrics.batch_records.observe(len(received), topic=self.topic)
        metrics.records_total.inc(len(received), topic=self.topic, outcome="handled")

    def _outbound(self, item: Outgoing) -> Outbound:
        event_type = item.event.DESCRIPTOR.name
        now = self._clock.now()
        tenant = tenant_of(item.event)
        envelope = Envelope(item.event_id, event_type, self._service, tenant, item.key, now, item.causation_id)
        value = item.event.SerializeToString()
        return Outbound(TOPIC_OF[event_type].name, item.key.encode(), value, to_headers(envelope))

    async def _write_dead(self, failures: Sequence[Failure]) -> None:
        topic = self._subscription.topic.dead_letter
        await self._producer.send([dead_letter_of(failure, topic, self.group) for failure in failures])


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
