"""From a record to an event: size first, then headers, then the payload, then whose it is.

Systems outside may write plain records. What they leave out is filled in:
* no ce_type on a topic that carries one type: that type. No content-type: JSON where the topic takes it and the value
  starts with a brace, else protobuf. No tenant header: the tenant in the payload, or else the one that the
  deployment binds such records to; none of these: Malformed.
* no ce_id: an id made from tenant, topic, key and value, so that the same bytes again change nothing. (A source
  that repeats itself on purpose says so with another ce_id, version or occurred_at.) A ce_id is unique per source only,
  so ids from outside are made unique with tenant and source.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError, Message

from fenliu.chassis.errors import Malformed
from fenliu.chassis.messaging.envelope import EVENTS_NAMESPACE, JSON, OUTSIDE, PROTOBUF, Envelope, Received, Record
from fenliu.contracts.events import EVENT_TYPES
from fenliu.contracts.topics import Topic

if api_implementation.Type() != "upb":
    raise RuntimeError("protobuf runs without its compiled backend, whose limits on hostile input are needed")

MAX_VALUE_BYTES = 1_048_576
MAX_JSON_DEPTH = 16
MAX_HEADER_CHARS = 255
PROTOBUF_NAMES = frozenset({PROTOBUF, "application/x-protobuf", "application/vnd.google.protobuf"})


class Undecodable(Malformed):
    """The record is not an event of its topic. It was set aside with its bytes; repair the producer, then replay it."""

    slug = "undecodable-record"


class Decoder:
    """Decodes the records of one topic.

    wanted           event types that somebody handles; records of other types are skipped without decoding.
    default_tenant   tenant of records from outside that name none; empty: they are dead letters.
    """

    def __init__(self, topic: Topic, wanted: Iterable[str], *, default_tenant: str = "") -> None:
        self._topic = topic
        self._wanted: Collection[str] = frozenset(wanted)
        self._default_tenant = default_tenant
        self._from_outside = OUTSIDE in topic.producers

    def decode(self, record: Record) -> Received | None:
        """The event; None where nobody here wants its type. Raises Undecodable."""
        if not record.value:
            raise Undecodable("The record has no value.")
        if len(record.value) > MAX_VALUE_BYTES:
            raise Undecodable(f"The value has {len(record.value)} bytes; the limit is {MAX_VALUE_BYTES}.")
        try:
            headers = {name: value.decode() for name, value in record.headers}
            key = (record.key or b"").decode()
        except UnicodeDecodeError as error:
            raise Undecodable("The key or a header is not UTF-8.") from error
        event_type = self._event_type(headers)
        if event_type not in self._wanted:
            return None
        content_type = self._content_type(headers, record.value)
        event = _parse(EVENT_TYPES[event_type](), record.value, content_type)
        if self._from_outside and any("\0" in text for text in _texts(event)):
            raise Undecodable("A text contains U+0000, which cannot be stored.")
        tenant = self._tenant(headers, event)
        return Received(event, self._envelope(record, headers, event_type, tenant, key, content_type))

    def _event_type(self, headers: dict[str, str]) -> str:
        named = headers.get("ce_type", "")
        if not named and len(self._topic.events) == 1 and self._from_outside:
            return self._topic.events[0]
        if not named:
            raise Undecodable("The record has no ce_type header.")
        return named

    def _content_type(self, headers: dict[str, str], value: bytes) -> str:
        named = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not named and self._from_outside and "json" in self._topic.formats and value.lstrip()[:1] == b"{":
            return JSON
        if not named or named in PROTOBUF_NAMES:
            return PROTOBUF
        if named == JSON and "json" in self._topic.formats:
            return JSON
        raise Undecodable(f"This topic does not take content of type {named[:60]!r}.")

    def _tenant(self, headers: dict[str, str], event: Message) -> str:
        in_header = headers.get("tenant", "")
        in_payload: str = getattr(event, "tenant_id", "")
        if in_header and in_payload and in_header != in_payload:
            raise Undecodable("The tenant header and the payload's tenant_id differ.")
        if not self._from_outside and not (in_header and in_payload):
            raise Undecodable("The record names no tenant in its header and its payload.")
        tenant = in_header or in_payload or self._default_tenant
        if not tenant or len(tenant) > MAX_HEADER_CHARS or not tenant.isprintable():
            raise Undecodable("The record names no valid tenant.")
        if not in_payload:
            event.tenant_id = tenant  # type: ignore[attr-defined] # every event has the field
        return tenant

    def _envelope(
        self, record: Record, headers: dict[str, str], event_type: str, tenant: str, key: str, content_type: str
    ) -> Envelope:
        source = headers.get("ce_source", "") or (OUTSIDE if self._from_outside else "")
        given = headers.get("ce_id", "")
        if self._from_outside:
            scope = ("id", tenant, source, given) if given else ("content", tenant, record.topic, key)
            content = b"" if given else record.value or b""
            event_id = str(uuid.uuid5(EVENTS_NAMESPACE, "\x1f".join(scope).encode().hex() + content.hex()))
        elif 0 < len(given) <= 64:
            event_id = given
        else:
            raise Undecodable("The record has no ce_id header of at most 64 characters.")
        if len(source) > MAX_HEADER_CHARS:
            raise Undecodable("The ce_source header is too long.")
        return Envelope(
            event_id=event_id,
            event_type=event_type,
            source=source,
            tenant_id=tenant,
            key=key,
            occurred_at=_occurred_at(headers.get("ce_time", ""), record.timestamp_ms),
            causation_id=headers.get("ce_causationid", "")[:64],
            traceparent=headers.get("traceparent", "")[:64],
            content_type=content_type,
        )


def _parse(event: Message, value: bytes, content_type: str) -> Message:
    """Fields that this reader does not know are kept (protobuf) or ignored (JSON)."""
    try:
        if content_type == PROTOBUF:
            event.ParseFromString(value)
            return event
        document = orjson.loads(value)
        if not isinstance(document, dict):
            raise Undecodable("The JSON value is not an object.")
        json_format.ParseDict(document, event, ignore_unknown_fields=True, max_recursion_depth=MAX_JSON_DEPTH)
        return event
    except (DecodeError, orjson.JSONDecodeError, json_format.ParseError, RecursionError, UnicodeError) as error:
        raise Undecodable(f"The value is not a valid {event.DESCRIPTOR.name} ({type(error).__name__}).") from error


def _texts(event: Message) -> Iterable[str]:
    for field, value in event.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from (value,) if isinstance(value, str) else value
        elif field.type == FieldDescriptor.TYPE_MESSAGE and isinstance(value, Message):
            yield from _texts(value)


def _occurred_at(named: str, timestamp_ms: int) -> datetime:
    """ce_time; where it is absent or unreadable, the record's own time."""
    try:
        moment = datetime.fromisoformat(named)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(max(0, timestamp_ms) / 1000, UTC)
