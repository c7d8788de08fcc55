"""An integrator's endpoint: signed, verified with the reference library, the same delivery again after an outage."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fenliu.contracts.vocabulary import skills
from tests.stack import Stack, eventually, free_port, staff, token

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@dataclass
class Sink:
    """An HTTP server that remembers every request and answers with `status`."""

    port: int
    status: int = 204
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    server: asyncio.Server | None = None

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._take, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = (line.partition(":") for line in head.split("\r\n")[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in lines}
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append((headers, body))
            writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    def of(self, kind: str) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for headers, body in self.received if json.loads(body)["type"] == kind]


class Shop:
    """A tenant of its own with an agent and a subscription to `ticket.assigned`."""

    def __init__(self, stack: Stack, port: int) -> None:
        self.stack = stack
        self.tenant = f"hook-{uuid4().hex[:8]}"
        self.url = f"http://127.0.0.1:{port}/fenliu"
        self.secret = ""

    async def subscribe(self) -> None:
        await staff(self.stack, self.tenant, 1, 5, skills())
        made = await self.call("notifier", "POST", "/v1/subscriptions", {"url": self.url, "events": ["assigned"]})
        self.secret = made["secret"]

    async def open_ticket(self) -> str:
        made = await self.call("intake", "POST", "/v1/tickets", {"text": "我的包裹在哪里", "customer_id": "c"})
        return str(made["ticket_id"])

    async def delivery(self) -> Any:
        items = (await self.call("notifier", "GET", "/v1/deliveries"))["items"]
        return items[0] if items else None

    async def call(self, service: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token(self.tenant, 'admin')}"}
        async with httpx2.AsyncClient(base_url=self.stack.url(service), headers=headers, timeout=20) as client:
            answer = await client.request(method, path, json=body)
            assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
            return answer.json()


async def test_assignment_arrives_signed_and_verifies_with_the_reference_library(stack: Stack) -> None:
    sink = Sink(free_port())
    await sink.open()
    try:
        shop = Shop(stack, sink.port)
        await shop.subscribe()
        ticket_id = await shop.open_ticket()
        await eventually(lambda: sink.of("ticket.assigned"), 40, "the assignment arrives")
        await eventually(lambda: _sent(shop), 20, "the delivery is noted as sent")
    finally:
        await sink.close()
    assert len(sink.received) == 1, "exactly once where nothing fails, and no state that nobody asked for"
    headers, body = sink.received[0]
    told = Webhook(shop.secret).verify(body, headers)
    assert told["type"] == "ticket.assigned"
    assert told["data"]["ticket_id"] == ticket_id
    with pytest.raises(WebhookVerificationError):
        Webhook(shop.secret).verify(body.replace(b"assigned", b"resolved"), headers)


async def _sent(shop: Shop) -> bool:
    delivery = await shop.delivery()
    return delivery is not None and delivery["state"] == "sent"


async def test_delivery_after_an_outage_carries_the_same_webhook_id(stack: Stack) -> None:
    sink = Sink(free_port(), status=503)
    shop = Shop(stack, sink.port)
    await sink.open()
    try:
        await shop.subscribe()
        await shop.open_ticket()
        await eventually(lambda: sink.of("ticket.assigned"), 40, "the first attempt arrives")
        await sink.close()  # now nobody listens at all

        async def attempts() -> int:
            delivery = await shop.delivery()
            return int(delivery["attempts"]) if delivery else 0

        await eventually(attempts, 30, "the attempt is in the log")
        seen = len(sink.received)
        sink.status = 204
        await sink.open()
        delivery = await shop.delivery()
        await shop.call("notifier", "POST", f"/v1/deliveries/{delivery['delivery_id']}/retry")
        await eventually(lambda: len(sink.received) > seen, 40, "the delivery is made again")
        await eventually(lambda: _sent(shop), 20, "the delivery is noted as sent")
        log = (await shop.call("notifier", "GET", f"/v1/deliveries/{delivery['delivery_id']}"))["log"]
    finally:
        await sink.close()
    ids = {headers["webhook-id"] for headers, _ in sink.received}
    assert ids == {delivery["delivery_id"]}
    assert {body for _, body in sink.received} == {sink.received[0][1]}, "the body changed between attempts"
    for headers, body in sink.received:
        Webhook(shop.secret).verify(body, headers)
    assert log[0]["status"] == 503
    assert log[-1]["status"] == 204
