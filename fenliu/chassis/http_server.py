"""The HTTP server: uvicorn with patience limits that it does not have by itself.

uvicorn 0.54 waits for ever for a header that never ends and takes headers of any size. `PatientProtocol` notes when a
header began and how large it is; one sweep per second closes the connections whose header is late.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fenliu.chassis.errors import FenliuError
from fenliu.chassis.http_problems import DETAILS, PROBLEM_JSON, TYPE_PREFIX

MAX_HEADER_BYTES = 32_768
MAX_HEADERS = 100
SWEEP_S = 1.0
BACKLOG = 4096
"""Connections that the kernel holds while the loop is busy: thousands of shoppers may arrive at once."""


class AddressInUse(FenliuError):
    """Another program listens on this port already. Stop it, or choose another port."""

    slug = "address-in-use"


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on the time and the size of a request's header."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.header_since: float | None = time.monotonic()
        """When the header under way began; None where none is awaited."""
        self._header_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self.header_since is None and (self.cycle is None or self.cycle.response_complete):
            self.header_since = time.monotonic()  # the first bytes after a pause, however few
        super().data_received(data)
        if self.header_since is not None and self.headers is not None:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0

    def on_headers_complete(self) -> None:
        size = sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
        if size > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse(431)
            raise ValueError("the header is too large")
        self.header_since = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._header_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Broken HTTP, such as a length and chunks at once: problem details here too."""
        if not self.transport.is_closing():
            self._refuse(400)

    def is_late(self, now: float, patience_s: float) -> bool:
        """True where a header has been under way for too long."""
        return self.header_since is not None and now - self.header_since > patience_s

    def _refuse(self, status: int) -> None:
        slug, detail = DETAILS[status]
        body = orjson.dumps(
            {"type": TYPE_PREFIX + slug, "title": slug, "status": status, "detail": detail, "request_id": "-"}
        )
        head = (
            f"HTTP/1.1 {status} {slug}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers; the service decides when to stop."""

    def __init__(self, config: uvicorn.Config, header_deadline_s: float) -> None:
        super().__init__(config)
        self._header_deadline_s = header_deadline_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def sweep(self) -> None:
        """Close connections whose header is late, for ever; cancel it to stop."""
        while True:
            await asyncio.sleep(SWEEP_S)
            if late := self._late(self.server_state.connections):
                # Some may have written while this process was busy with others: look at the sockets before judging.
                # asyncio reads after the next turn of the loop has begun, hence two.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                for connection in self._late(late):
                    connection.transport.close()

    def _late(self, connections: Iterable[object]) -> list[PatientProtocol]:
        now = time.monotonic()
        return [
            connection
            for connection in connections
            if isinstance(connection, PatientProtocol) and connection.is_late(now, self._header_deadline_s)
        ]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises AddressInUse with the address in its message."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise AddressInUse(
            f"{host}:{port}: {error.strerror}. Stop what listens there, or choose another port."
        ) from error
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def server(app: ASGIApp, *, header_deadline_s: float, idle_deadline_s: float, grace_s: float) -> Server:
    """A server for `app`; run it with `serve(sockets=[listen(…)])`, stop it with `should_exit = True`. Seconds."""
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=int(idle_deadline_s),
        timeout_graceful_shutdown=int(grace_s) or 1,
    )
    return Server(config, header_deadline_s)
