"""What travels beside an event: its id, type, tenant, time and trace, as record headers.

Names are those of CloudEvents 1.0 in binary mode for Kafka, plus `traceparent` and `tenant`. The consumer can drop a
repeat, trace it or dead-letter it without decoding the value.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from google.protobuf.message import Message

PROTOBUF = "application/protobuf"
JSON = "application/json"
OUTSIDE = "outside"

EVENTS_NAMESPACE = uuid.UUID("5e0c3a7e-3c8b-5d0e-9d6f-0f0b8a6c1f11")

current_traceparent: ContextVar[str] = ContextVar("current_traceparent", default="")
"""W3C trace context of the work under way; empty outside a trace. What is emitted meanwhile carries it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the broker handed it over; nothing is decoded yet."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """The headers of one event.

    event_id       unique per event, deterministic where a retry can happen; the inbox's key.
    event_type     name in proto/topics.yaml, such as TicketReceived.
    source         service that published it, such as intake; "outside" for systems of the shop.
    tenant_id      never empty.
    key            record key.
    occurred_at    aware UTC.
    causation_id   event that led to this one; empty when a request or a clock did.
    traceparent    W3C trace context; empty when there is none.
    content_type   application/protobuf, or application/json from outside.
    """

    event_id: str
    event_type: str
    source: str
    tenant_id: str
    key: str
    occurred_at: datetime
    causation_id: str = ""
    traceparent: str = ""
    content_type: str = PROTOBUF


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded event with its envelope."""

    event: Message
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to be published by a service that has no database (the classifier).

    event_id must be derived from the source event's id, so that handling that event again repeats it exactly.
    """

    event: Message
    key: str
    event_id: str
    causation_id: str = ""


def event_id_of(service: str, event_type: str, key: str, sequence: int) -> str:
    """Id of a fact: the same service, type, key and sequence always give the same id (design D3)."""
    return str(uuid.uuid5(EVENTS_NAMESPACE, f"{service}\x1f{event_type}\x1f{key}\x1f{sequence}"))


def to_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The headers that carry an envelope."""
    headers = [
        *_constant_headers(envelope.event_type, envelope.source, envelope.content_type),
        ("ce_id", envelope.event_id.encode()),
        ("ce_time", envelope.occurred_at.isoformat().replace("+00:00", "Z").encode()),
        ("tenant", envelope.tenant_id.encode()),
    ]
    if envelope.causation_id:
        headers.append(("ce_causationid", envelope.causation_id.encode()))
    if envelope.traceparent:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


@lru_cache(maxsize=256)
def _constant_headers(event_type: str, source: str, content_type: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("content-type", content_type.encode()),
    )


def pack_headers(headers: Sequence[tuple[str, bytes]]) -> bytes:
    """Headers as one compact value for a column.

    One byte with their number n <= 255, 2n lengths of 4 bytes (name, value, name, value, …; little-endian), then all
    names and values in that order. The relay reads it for every event, so lengths stand together for one unpack.
    """
    parts = [part for name, value in headers for part in (name.encode(), value)]
    return b"".join([_lengths(len(headers)).pack(len(headers), *map(len, parts)), *parts])


def unpack_headers(packed: bytes) -> list[tuple[str, bytes]]:
    """The opposite of pack_headers."""
    form = _lengths(packed[0])
    at = form.size
    parts = []
    for length in form.unpack_from(packed)[1:]:
        parts.append(packed[at : at + length])
        at += length
    return list(zip(map(_name, parts[::2]), parts[1::2], strict=True))


@lru_cache(maxsize=256)
def _lengths(count: int) -> struct.Struct:
    return struct.Struct(f"<B{2 * count}I")


@lru_cache(maxsize=256)
def _name(encoded: bytes) -> str:
    return encoded.decode()
