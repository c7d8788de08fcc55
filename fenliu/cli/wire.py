"""Topics as seen from the command line: follow them, print records, publish files."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from fenliu.chassis.messaging.envelope import EVENTS_NAMESPACE, JSON, OUTSIDE, PROTOBUF, Envelope, Record, to_headers
from fenliu.contracts.events import EVENT_TYPES
from fenliu.contracts.topics import CATALOGUE, Topic


class UnknownTopic(Exception):
    """The catalogue (proto/topics.yaml) has no such topic."""


class Unreadable(Exception):
    """A record whose value is not the event that its headers announce."""


def known(topic: str) -> str:
    """`topic` where it is a catalogue topic or one of their dead-letter topics, else raises UnknownTopic."""
    names = [name for entry in CATALOGUE.values() for name in (entry.name, entry.dead_letter)]
    if topic not in names:
        raise UnknownTopic(f"There is no topic {topic}. Known: {', '.join(names)}.")
    return topic


def catalogued(topic: str) -> Topic:
    """The catalogue's entry of `topic`. Raises UnknownTopic."""
    if topic not in CATALOGUE:
        raise UnknownTopic(f"There is no topic {topic}. Known: {', '.join(CATALOGUE)}.")
    return CATALOGUE[topic]


def header(record: Record, name: str) -> str:
    """The header's text, empty where it is missing."""
    return next((value.decode("utf-8", "replace") for key, value in record.headers if key == name), "")


def type_of(record: Record) -> type[Message]:
    """The event type that the headers name, or the topic's only one. Raises Unreadable."""
    topic = CATALOGUE.get(record.topic.removesuffix("-dlq"))
    name = header(record, "ce_type") or (topic.events[0] if topic and len(topic.events) == 1 else "")
    if name not in EVENT_TYPES:
        raise Unreadable(f"the header ce_type says {name or 'nothing'}, which is no event of the catalogue")
    return EVENT_TYPES[name]


def decode(record: Record) -> Message:
    """The record's event, from protobuf or JSON. Raises Unreadable."""
    event = type_of(record)()
    try:
        if header(record, "content-type").startswith(JSON):
            json_format.Parse(record.value or b"", event, ignore_unknown_fields=True)
        else:
            event.ParseFromString(record.value or b"")
    except (DecodeError, json_format.ParseError) as error:
        raise Unreadable(f"the value is no {type_of(record).DESCRIPTOR.name}: {error}") from error
    return event


def as_dict(record: Record) -> dict[str, Any]:
    """Everything about a record as JSON-ready values; an unreadable value as `raw` hex (first 200 bytes)."""
    shown: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key.decode("utf-8", "replace") if record.key is not None else None,
        "headers": {name: value.decode("utf-8", "replace") for name, value in record.headers},
    }
    try:
        shown["event"] = json_format.MessageToDict(decode(record), preserving_proto_field_name=True)
    except Unreadable as error:
        shown |= {"unreadable": str(error), "raw": (record.value or b"")[:200].hex()}
    return shown


async def events(records: AsyncIterator[Record]) -> AsyncIterator[Message]:
    """The readable events among `records`."""
    async for record in records:
        try:
            yield decode(record)
        except Unreadable:
            continue


def from_line(topic: str, line: str) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of one line of a `fenliu publish` file.

    A line is the event's JSON form, or {"type": …, "event": {…}} where the topic carries several types. Topics that
    take JSON from outside get the line as it is, so that the service's own parsing is exercised; the others protobuf.
    Raises Unreadable.
    """
    entry = CATALOGUE[topic]
    try:
        given = json.loads(line)
        body = given.get("event", given)
        name = given.get("type") or entry.events[0]
        event: Any = json_format.ParseDict(body, EVENT_TYPES[name]())
    except (json.JSONDecodeError, json_format.ParseError, AttributeError, KeyError) as error:
        raise Unreadable(f"not an event of {topic}: {error}") from error
    key = str(getattr(event, entry.key))
    if not key or not event.tenant_id:
        raise Unreadable(f"an event of {topic} needs {entry.key} and tenant_id")
    outside = "json" in entry.formats
    content_type = JSON if outside else PROTOBUF
    value = json.dumps(body, ensure_ascii=False).encode() if outside else event.SerializeToString(deterministic=True)
    event_id = str(uuid.uuid5(EVENTS_NAMESPACE, f"{name}\x1f{key}\x1f{hashlib.sha256(value).hexdigest()}"))
    envelope = Envelope(event_id, name, OUTSIDE, event.tenant_id, key, datetime.now(UTC), content_type=content_type)
    return key, value, to_headers(envelope)
