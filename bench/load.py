"""A load generator that costs little: keep-alive connections, requests built beforehand, open loop.

Open loop means that a request is due at its planned moment whether or not earlier ones were answered, and its latency
counts from that moment; a slow server cannot slow the clock that judges it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Answer:
    """One request. planned, sent and ended are seconds of time.time(); status 0 is a broken connection."""

    planned: float
    sent: float
    ended: float
    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One HTTP/1.1 keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiter: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : (head.find(b"\r", at) if head.find(b"\r", at) > 0 else end)]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        body = self.buffer[end + 4 : end + 4 + length]
        status = int(self.buffer[9:12])
        self.buffer = b""
        self._finish((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish((0, repr(exc).encode()))
        self.transport = None

    def _finish(self, answer: tuple[int, bytes]) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(answer)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one request and return (status, body)."""
        if self.transport is None:
            return 0, b"not connected"
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiter


@dataclass
class Pool:
    """Connections to one server, at most `size`; a request waits for a free one."""

    host: str
    port: int
    size: int = 64
    free: deque[Connection] = field(default_factory=deque)
    made: int = 0
    waiters: deque[asyncio.Future[Connection]] = field(default_factory=deque)

    async def ask(self, request: bytes, planned: float | None = None) -> Answer:
        connection = await self._take()
        sent = time.time()
        status, body = await connection.ask(request)
        ended = time.time()
        self._give(connection)
        return Answer(planned if planned is not None else sent, sent, ended, status, body)

    async def _take(self) -> Connection:
        while self.free:
            connection = self.free.popleft()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
            self.made -= 1
        if self.made < self.size:
            self.made += 1
            try:
                _, made = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
            except OSError:
                made = Connection()
            return made
        waiter: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        return await waiter

    def _give(self, connection: Connection) -> None:
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.free.append(connection)

    def close(self) -> None:
        for connection in self.free:
            if connection.transport is not None:
                connection.transport.close()


def post(path: str, body: bytes, token: str, headers: str = "") -> bytes:
    """The bytes of a POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


async def open_loop(
    pool: Pool, requests: Callable[[int], bytes], *, rate: float, seconds: float, start: int = 0
) -> list[Answer]:
    """Send `rate` requests a second for `seconds`; returns all answers, in no order."""
    answers: list[Answer] = []
    tasks: set[asyncio.Task[None]] = set()
    began = time.time()

    async def one(number: int, planned: float) -> None:
        answers.append(await pool.ask(requests(number), planned))

    for index in range(int(rate * seconds)):
        planned = began + index / rate
        if (wait := planned - time.time()) > 0.002:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(start + index, planned))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:
        await asyncio.wait(tasks)
    return answers


async def closed_loop(pool: Pool, requests: Callable[[int], bytes], *, total: int, workers: int) -> list[Answer]:
    """Send `total` requests as fast as `workers` callers get answers."""
    answers: list[Answer] = []
    numbers = iter(range(total))

    async def worker() -> None:
        for number in numbers:
            answers.append(await pool.ask(requests(number)))

    await asyncio.gather(*(worker() for _ in range(workers)))
    return answers


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; NaN for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
