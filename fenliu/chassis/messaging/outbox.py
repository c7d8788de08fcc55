"""The outbox's writer: what a transaction emits becomes rows that commit with it. relay.py publishes them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from datetime import timedelta

from google.protobuf.message import Message
from sqlalchemy import delete, func, select

from fenliu.chassis.db import Emitted, Transaction
from fenliu.chassis.messaging import tables
from fenliu.chassis.messaging.envelope import Envelope, current_traceparent, event_id_of, pack_headers, to_headers
from fenliu.chassis.messaging.kafka import RecordTooLarge
from fenliu.contracts.events import TOPIC_OF

MAX_EVENT_BYTES = 950_000
"""Largest payload; with headers it stays below what a broker takes. Refused here, so that it never blocks the relay."""


class Outbox:
    """Writes what `tx.emit` collected; give it to `Database(outbox=…)`.

    service   name of the service; ce_source of its events and part of their ids.
    shards    number of relays that can work side by side; all replicas of a service must agree. Order is kept per key
              whatever it is.
    on_commit called after every commit that emitted something; the relay puts its wake-up here.
    """

    def __init__(self, service: str, *, shards: int = 1) -> None:
        self.service = service
        self.shards = shards
        self.on_commit: Callable[[], object] | None = None

    async def write(self, tx: Transaction, events: Sequence[Emitted]) -> None:
        """Insert one row per event with one statement. Raises RecordTooLarge; then nothing of `tx` is committed."""
        traceparent = current_traceparent.get()
        rows = [self._row(tx, emitted, traceparent) for emitted in events]
        await tx.insert_rows(tables.outbox, rows)
        if self.on_commit is not None:
            tx.after_commit(self.on_commit)

    def _row(self, tx: Transaction, emitted: Emitted, traceparent: str) -> dict[str, object]:
        event_type = emitted.event.DESCRIPTOR.name
        event_id = emitted.event_id or event_id_of(self.service, event_type, emitted.key, emitted.sequence)
        value = emitted.event.SerializeToString()
        if len(value) > MAX_EVENT_BYTES:
            raise RecordTooLarge()
        envelope = Envelope(
            event_id=event_id,
            event_type=event_type,
            source=self.service,
            tenant_id=tenant_of(emitted.event),
            key=emitted.key,
            occurred_at=tx.now,
            causation_id=emitted.causation_id or "",
            traceparent=traceparent,
        )
        return {
            "shard": shard_of(emitted.key, self.shards),
            "event_id": event_id,
            "topic": TOPIC_OF[event_type].name,
            "record_key": emitted.key,
            "headers": pack_headers(to_headers(envelope)),
            "value": value,
            "created_at": tx.now,
        }


def tenant_of(event: Message) -> str:
    """Tenant in an event's payload. Raises ValueError where it is empty: an event without a tenant is a bug."""
    tenant = getattr(event, "tenant_id", "")
    if not tenant:
        raise ValueError(f"{event.DESCRIPTOR.name} was emitted without tenant_id")
    return str(tenant)


def shard_of(key: str, shards: int) -> int:
    """Shard of a key; stable over processes and restarts."""
    return zlib.crc32(key.encode()) % shards


async def purge_outbox(tx: Transaction, *, keep: timedelta = timedelta(days=7), limit: int = 2000) -> int:
    """Delete published rows older than `keep`, the oldest first. Returns how many; fewer than `limit`: done for now."""
    oldest = select(tables.outbox.c.id, tables.outbox.c.created_at, tables.outbox.c.published_at)
    window = oldest.order_by(tables.outbox.c.id).limit(limit).subquery()
    doomed = select(window.c.id).where(window.c.created_at < tx.now - keep, window.c.published_at.is_not(None))
    result = await tx.execute(delete(tables.outbox).where(tables.outbox.c.id.in_(doomed)))
    return int(result.rowcount)


async def pending(tx: Transaction) -> tuple[int, float]:
    """Rows that wait to be published, and the age of the oldest in seconds (0 where none waits)."""
    waiting = tables.outbox.c.published_at.is_(None)
    statement = select(func.count(tables.outbox.c.id), func.min(tables.outbox.c.created_at)).where(waiting)
    row = (await tx.execute(statement)).one()
    oldest = row[1]
    return int(row[0]), 0.0 if oldest is None else max(0.0, (tx.now - oldest).total_seconds())
