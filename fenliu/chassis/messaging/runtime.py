"""All of a service's messaging as one thing to run, ask and stop: consumers, relay, housekeeping."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fenliu.chassis.clock import Clock
from fenliu.chassis.db import Database
from fenliu.chassis.messaging.consumer import Consumer, ConsumerOptions, Subscription
from fenliu.chassis.messaging.kafka import KafkaOptions, KafkaUnavailable, ensure_topics
from fenliu.chassis.messaging.outbox import Outbox
from fenliu.chassis.messaging.relay import Housekeeping, OutboxRelay
from fenliu.chassis.observability import get_logger

log = get_logger(__name__)


class Messaging:
    """What a service does with Kafka. Kafka may be away at start and at any later time; nothing here gives up for it.

    db       None for a service without a database. A relay runs where its `outbox` is an Outbox.
    options  of every consumer.
    """

    def __init__(
        self,
        service: str,
        subscriptions: Sequence[Subscription],
        *,
        kafka: KafkaOptions,
        db: Database | None = None,
        clock: Clock | None = None,
        options: ConsumerOptions | None = None,
    ) -> None:
        self.consumers = [
            Consumer(service, subscription, kafka=kafka, db=db, clock=clock, options=options)
            for subscription in subscriptions
        ]
        self.relay = OutboxRelay(db, kafka) if db is not None and isinstance(db.outbox, Outbox) else None
        self.housekeeping = Housekeeping(db) if db is not None else None
        self._kafka = kafka

    def problems(self) -> list[str]:
        """Sentences for /livez: what does not get on by itself any more. Empty: all is well, or Kafka is just away."""
        return [problem for consumer in self.consumers if (problem := consumer.problem()) is not None]

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set: first the consumers settle what they read, then the relay stops."""
        relay_stop = asyncio.Event()
        try:
            await ensure_topics(self._kafka)
        except KafkaUnavailable as error:
            log.warning("topics_not_checked", reason=error.detail)
        loops = [loop for loop in (self.relay, self.housekeeping) if loop is not None]
        async with asyncio.TaskGroup() as tasks:
            for loop in loops:
                tasks.create_task(loop.run(relay_stop), name=loop.name)
            consuming = [tasks.create_task(c.run(stop), name=c.group) for c in self.consumers]
            await stop.wait()
            await asyncio.gather(*consuming)
            relay_stop.set()
