"""Replays the bundled sample at a visible pace: shoppers over REST, order system and carrier over Kafka."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx2

from fenliu.chassis.clock import Clock
from fenliu.chassis.messaging.kafka import KafkaUnavailable, Outbound, Producer
from fenliu.cli.team import SAMPLE


@dataclass
class Feed:
    """What sends the sample.

    storefront  headers with the shop front end's token.
    run         makes ids of this run differ from those of earlier runs in the same home.
    every_s     seconds between two messages; events come at the same pace, half a step later.
    """

    client: httpx2.AsyncClient
    intake_url: str
    storefront: Mapping[str, str]
    producer: Producer
    tenant: str
    run: str
    clock: Clock
    every_s: float = 1.0
    on_first: Callable[[str], object] = lambda _link: None
    """Called once, with the status link of the first ticket that was accepted."""
    _first: bool = True

    async def run_messages(self) -> None:
        """Post the sample's messages again and again until cancelled. An intake that is away is waited for."""
        for number, row in enumerate(endless("messages.jsonl")):
            body = {"text": row["text"], "customer_id": f"c-{2000 + number % 700}", "locale": row["locale"]}
            if row["group"] == "logistics":
                body["order_id"] = f"S{self.run}-{number:05d}"
            await self._post(body, f"sample-{self.run}-{number}")
            await asyncio.sleep(self.every_s)

    async def run_events(self) -> None:
        """Publish the sample's order and logistics events as JSON, as an outside system would, until cancelled."""
        await asyncio.sleep(self.every_s / 2)
        for number, row in enumerate(endless("events.jsonl")):
            order = f"O{self.run}-{row['round']:03d}{row['order']:02d}"
            if row["topic"] == "message":
                body = {"text": row["text"], "customer_id": row["customer_id"], "locale": row["locale"]}
                body |= {"order_id": order} | ({"parcel_id": parcel_of(order)} if row.get("parcel") else {})
                await self._post(body, f"event-{self.run}-{number}")
            else:
                event = outside_event(row, order, self.tenant, self.clock.now(), version=number + 1)
                key = str(event.get("parcelId") or event["orderId"])
                await self._publish(row["topic"], key, event)
            await asyncio.sleep(self.every_s)

    async def _post(self, body: Mapping[str, str], key: str) -> None:
        """POST until it is accepted; the same key makes a repeat harmless."""
        while True:
            try:
                headers = {**self.storefront, "Idempotency-Key": key}
                answer = await self.client.post(f"{self.intake_url}/v1/tickets", json=body, headers=headers)
                if answer.status_code not in (429, 503):
                    answer.raise_for_status()
                    self._linked(answer.json()["status_url"])
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(1)

    async def _publish(self, topic: str, key: str, event: Mapping[str, Any]) -> None:
        headers = [("content-type", b"application/json"), ("tenant", self.tenant.encode())]
        value = json.dumps(event, ensure_ascii=False).encode()
        while True:
            try:
                await self.producer.send([Outbound(topic, key.encode(), value, headers)])
                return
            except KafkaUnavailable:
                await asyncio.sleep(1)

    def _linked(self, link: str) -> None:
        if self._first:
            self._first = False
            self.on_first(link)


def endless(name: str) -> Iterator[dict[str, Any]]:
    """The rows of a sample file, from the start again after the last; `round` counts the repetitions from 0."""
    rows = [json.loads(line) for line in SAMPLE.joinpath(name).read_text("utf-8").splitlines()]
    for number in count():
        yield from ({**row, "round": number} for row in rows)


def parcel_of(order: str) -> str:
    return f"SF{order}"


def outside_event(row: Mapping[str, Any], order: str, tenant: str, now: datetime, version: int) -> dict[str, Any]:
    """The row as the JSON form of OrderEvent or LogisticsEvent: names in camelCase, times RFC 3339, int64 as text."""
    event: dict[str, Any] = {"tenantId": tenant, "orderId": order, "kind": row["kind"], "version": str(version)}
    event["occurredAt"] = _at(now, row["occurred_in_s"])
    if "promised_in_s" in row:
        event["promisedAt"] = _at(now, row["promised_in_s"])
    if row["topic"] == "logistics-events":
        event["parcelId"] = parcel_of(order)
    elif row.get("parcel"):
        event["parcelIds"] = [parcel_of(order)]
    if "charge" in row:
        event["chargeId"] = f"ch-{order}-{row['charge']}"
    for name in ("total_minor", "amount_minor", "yearly_spend_minor"):
        if name in row:
            event[_camel(name)] = str(row[name])
    for name in ("customer_id", "currency", "customer_class", "carrier", "location", "note"):
        if name in row:
            event[_camel(name)] = row[name]
    return event


def _at(now: datetime, in_s: float) -> str:
    return (now + timedelta(seconds=in_s)).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
