"""Reading: one member of one consumer group on one topic, committed by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from fenliu.chassis.messaging.envelope import Record
from fenliu.chassis.messaging.kafka.inspector import as_record
from fenliu.chassis.messaging.kafka.options import (
    LOST_REQUESTS,
    KafkaOptions,
    KafkaUnavailable,
    bounded,
    closed,
    within,
)


class KafkaConsumer:
    """One member of one group on one topic. Offsets are committed by hand only.

    Eager rebalancing: partitions can go away between any two awaits, so whoever processes records asks `assigned()`
    again before committing.
    """

    def __init__(self, options: KafkaOptions, topic: str, group: str, client_id: str = "fenliu") -> None:
        self.topic = topic
        self.group = group
        self._options = options
        self._client = AIOKafkaConsumer(
            topic,
            group_id=group,
            client_id=client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            request_timeout_ms=int(options.request_timeout_s * 1000),
            rebalance_timeout_ms=int(options.rebalance_timeout_s * 1000),
            session_timeout_ms=int(options.session_timeout_s * 1000),
            heartbeat_interval_ms=int(options.heartbeat_s * 1000),
            # Backing off from a database that is down is not a reason to leave the group; the watchdog guards progress.
            max_poll_interval_ms=24 * 3600 * 1000,
            max_partition_fetch_bytes=4 * 1024 * 1024,
            **options.client(),
        )

    async def start(self) -> None:
        """Connect and subscribe; partitions arrive later. Raises KafkaUnavailable."""
        try:
            await bounded(self._client.start(), self._options.start_timeout_s + self._options.rebalance_timeout_s)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Leave the group."""
        await closed(self._client.stop(), self._options.stop_timeout_s)
        await closed(self._client._client.close(), self._options.stop_timeout_s)

    async def poll(self, max_records: int, wait_s: float) -> list[Record]:
        """Records in order per partition, at most `max_records`; empty after `wait_s`. Raises KafkaUnavailable."""
        polling = self._client.getmany(timeout_ms=int(wait_s * 1000), max_records=max_records)
        fetched = await bounded(polling, wait_s + self._options.request_timeout_s)
        return [as_record(item) for items in fetched.values() for item in items]

    def assigned(self) -> frozenset[int]:
        """Partitions that are this member's now."""
        return frozenset(tp.partition for tp in self._client.assignment())

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Commit the next offset of each partition that is still ours. False where the group went on without us.

        Raises KafkaUnavailable; then the same records may be handed out again, which the inbox absorbs.
        """
        ours = self.assigned()
        wanted = {TopicPartition(self.topic, p): offset for p, offset in offsets.items() if p in ours}
        if not wanted:
            return False
        try:
            await within(self._client.commit(wanted), self._options.send_timeout_s)
        except (CommitFailedError, IllegalStateError):
            return False
        except LOST_REQUESTS as error:
            raise KafkaUnavailable("The offsets could not be committed. The records are handed out again.") from error
        return len(wanted) == len(offsets)

    def seek(self, partition: int, offset: int) -> None:
        """Hand records out again from `offset`; nothing happens where the partition is no longer ours."""
        with contextlib.suppress(IllegalStateError):
            self._client.seek(TopicPartition(self.topic, partition), offset)

    def pause(self, partition: int) -> None:
        """Hand out nothing of this partition until `resume`."""
        with contextlib.suppress(IllegalStateError, AssertionError, KeyError):
            self._client.pause(TopicPartition(self.topic, partition))

    def resume(self, partition: int) -> None:
        """The opposite of pause."""
        with contextlib.suppress(IllegalStateError, AssertionError, KeyError):
            self._client.resume(TopicPartition(self.topic, partition))

    async def lag(self) -> dict[int, int]:
        """Records behind the end of the log, by partition of ours, asked from the broker. Raises KafkaUnavailable.

        Asked, because the high-water mark that the client remembers stands still when its fetcher does.
        """
        partitions = list(self._client.assignment())
        if not partitions:
            return {}
        ends = await bounded(self._client.end_offsets(partitions), self._options.request_timeout_s)
        lags = {}
        for tp, end in ends.items():
            with contextlib.suppress(IllegalStateError, TimeoutError):
                lags[tp.partition] = max(0, end - await within(self._client.position(tp), 1.0))
        return lags

    def known_lag(self) -> int:
        """Records between what was handed out and the high-water marks seen last; 0 where none was seen. No request."""
        total = 0
        subscription: Any = self._client._subscription.subscription
        assignment: Any = None if subscription is None else subscription.assignment
        for tp in self._client.assignment() if assignment is not None else ():
            state = assignment.state_value(tp)
            if state is not None and state.has_valid_position and state.highwater is not None:
                total += max(0, state.highwater - state.position)
        return total
