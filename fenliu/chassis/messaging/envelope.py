"""What travels beside an event: its id, type, tenant, time and trace, as record headers.

Names are those of CloudEvents 1.0 in binary mode for Kafka, plus `traceparent` and `tenant`. The consumer can drop a
repeat, trace it or dead-letter it without decoding the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message

PROTOBUF = "application/protobuf"
JSON = "application/json"


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
