"""`fenliu tail` and `fenliu publish`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from fenliu.chassis.messaging.envelope import Record
from fenliu.chassis.messaging.kafka import KafkaOptions, Outbound, Producer
from fenliu.chassis.messaging.kafka.follow import follow
from fenliu.cli import wire


async def tail(bootstrap: str, topic: str, *, as_json: bool, from_start: bool, to_end: bool) -> None:
    """Print records until interrupted, or until the present end."""
    wire.known(topic)
    async for record in follow(KafkaOptions(bootstrap), [topic], from_start=from_start, to_end=to_end):
        print(json.dumps(wire.as_dict(record), ensure_ascii=False) if as_json else sentence(record), flush=True)


def sentence(record: Record) -> str:
    """One record on one line: time, place, type, key, and the event as compact JSON."""
    shown = wire.as_dict(record)
    at = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    what = shown["headers"].get("ce_type", "?")
    body = shown.get("event", shown.get("unreadable"))
    return f"{at} {record.partition}@{record.offset} {what} {shown['key']} {json.dumps(body, ensure_ascii=False)}"


async def publish(bootstrap: str, topic: str, text: str) -> None:
    """Publish the events of `text`, one JSON object a line. Nothing is sent unless every line makes sense."""
    wire.catalogued(topic)
    prepared = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                key, value, headers = wire.from_line(topic, line)
            except wire.Unreadable as error:
                raise wire.Unreadable(f"line {number}: {error}. Nothing was published.") from error
            prepared.append(Outbound(topic, key.encode(), value, headers))
    producer = Producer(KafkaOptions(bootstrap), "fenliu-publish")
    try:
        await producer.send(prepared)
    finally:
        await producer.close()
    print(f"{len(prepared)} records on {topic}, acknowledged by the broker")
