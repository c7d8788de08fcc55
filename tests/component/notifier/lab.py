"""A notifier without a broker: its handlers, workers and routes over a real database, and endpoints that misbehave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from fenliu.chassis.auth import StatusTokens, Tokens
from fenliu.chassis.http_server import listen, server
from fenliu.contracts.events import TicketMessageAdded, TicketReceived, TicketStatusChanged
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from tests.component.travel import TravelClock

KEY = "component-test-key-0123456789abcdef0123456789"
START = datetime.now(UTC).replace(microsecond=0)


def stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def received(ticket: str = "k", *, tenant: str = "acme", **changes: Any) -> TicketReceived:
    facts = {"sequence": 1, "customer_id": "c-1", "received_at": stamp(START)} | changes
    return TicketReceived(tenant_id=tenant, ticket_id=ticket, **facts)


def message(sequence: int, text: str, ticket: str = "k", *, tenant: str = "acme", **changes: Any) -> TicketMessageAdded:
    facts = {
        "message_id": f"m{sequence}",
        "author_role": "agent",
        "author_id": "a-1",
        "visibility": "public",
        "added_at": stamp(START + timedelta(seconds=sequence)),
    } | changes
    return TicketMessageAdded(tenant_id=tenant, ticket_id=ticket, sequence=sequence, text=text, **facts)


def status(version: int, state: str, ticket: str = "k", *, tenant: str = "acme", **changes: Any) -> TicketStatusChanged:
    facts = {"changed_at": stamp(START + timedelta(seconds=version)), "received_at": stamp(START)} | changes
    return TicketStatusChanged(tenant_id=tenant, ticket_id=ticket, version=version, state=state, **facts)


class World:
    """One replica of the notifier."""

    def __init__(self, database_url: str, clock: TravelClock, **settings: Any) -> None:
        chosen: dict[str, Any] = {
            "webhook_allow_loopback": True,
            "stream_poll_s": 0.1,
            **settings,
        }
        self.clock = clock
        self.settings = NotifierSettings(database_url=database_url, token_key=KEY, status_key=KEY, **chosen)
        self.service = build(self.settings, clock)
        assert self.service.db is not None
        self.db = self.service.db
        self.deliveries, self.streams, self.housekeeping = self.service.workers
        self._handlers = {kind: call for s in self.service.subscriptions for kind, call in s.handlers.items()}

    async def handle(self, *events: Message) -> None:
        """Each event in a transaction of its own."""
        for event in events:
            await self.handle_batch([event])

    async def handle_batch(self, events: Sequence[Message]) -> None:
        """Events of one type in one transaction."""
        async with self.db.begin() as tx:
            await self._handlers[type(events[0])](tx, events)

    async def deliver(self) -> None:
        """Send whatever is due, and wait until it is recorded."""
        while await self.deliveries.dispatch_once():
            await self.deliveries.idle()

    def client(self, *roles: str, tenant: str = "acme", subject: str = "someone") -> httpx2.AsyncClient:
        """A caller of the routes, in memory. Without roles: nobody."""
        headers = {}
        if roles:
            token = Tokens(KEY).issue(tenant, roles, subject, 3600, self.clock.now())
            headers["Authorization"] = f"Bearer {token}"
        transport = httpx2.ASGITransport(app=self.service.app())
        return httpx2.AsyncClient(transport=transport, base_url="http://notifier", headers=headers)

    async def subscribe(self, url: str, *events: str, tenant: str = "acme") -> dict[str, Any]:
        body = {"url": url} | ({"events": list(events)} if events else {})
        async with self.client("integration", tenant=tenant) as client:
            answer = await client.post("/v1/subscriptions", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def link(self, ticket: str = "k", *, tenant: str = "acme", lives: timedelta = timedelta(days=1)) -> str:
        return StatusTokens(KEY).issue(tenant, ticket, START, self.clock.now() + lives)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a real port, with the loop that feeds streams."""
        app = self.service.app()
        sock = listen("127.0.0.1", 0)
        http = server(app, header_deadline_s=10, idle_deadline_s=30, grace_s=2)
        stop = asyncio.Event()
        feeding = asyncio.create_task(self.streams.run(stop))
        serving = asyncio.create_task(http.serve(sockets=[sock]))
        try:
            host, port = sock.getsockname()
            yield f"http://{host}:{port}"
        finally:
            stop.set()
            await feeding
            app.state.guard.end_streams()
            http.should_exit = True
            await serving
            sock.close()


@dataclass
class Request:
    """What an endpoint received."""

    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(code: int, headers: str = "") -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {code} X\r\n{headers}Content-Length: 2\r\n\r\nok".encode())
        await writer.drain()

    return behave


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def close(writer: asyncio.StreamWriter) -> None:
    return


async def trickle(writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


@dataclass
class Endpoint:
    """A webhook receiver. It behaves as told, the last behaviour for ever; `urls` are by loopback address."""

    port: int
    behaviours: list[Behaviour]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    written: int = 0
    open: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append(Request(head[0].split()[1], headers, body))
            behave = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
            await behave(writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.open.discard(task)


@asynccontextmanager
async def endpoint(*behaviours: Behaviour, host: str = "127.0.0.1", tls: Any = None) -> AsyncIterator[Endpoint]:
    made = Endpoint(0, list(behaviours) or [answer(200)])
    listening = await asyncio.start_server(made, host, 0, ssl=tls)
    made.port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listening.close()
        for task in list(made.open):
            task.cancel()
        await asyncio.gather(*made.open, return_exceptions=True)


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Poll until `condition` holds; AssertionError where it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
