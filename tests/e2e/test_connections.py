"""Promise 5: thousands of shoppers at the door at once. None who was told yes is lost, the rest are told to come back."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from fenliu.chassis.service import MOST_FILES
from tests.stack import ROOT, Stack, token

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]

CONNECTIONS = 4_500
REFUSALS = {429, 503}
PATIENCE_S = 150.0
BREATH_S = 30.0
"""Longest answer of /livez meanwhile. On an idle machine it is a few seconds; the suite shares two cores with others."""


Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Crowd:
    """acknowledged: ids of tickets answered with 202. refused: how often with which status; 0 is a broken connection."""

    acknowledged: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    bare: int = 0
    """Refusals without Retry-After."""
    open_at_once: int = 0


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for so many sockets in this process; the service under test makes room for itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 500
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"the hard limit of open files is {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_4500_connections_at_once_lose_no_acknowledged_ticket(stack: Stack, many_files: None) -> None:
    tenant = f"crowd-{uuid4().hex[:8]}"
    process = stack.processes["intake"]
    crowd, gate = Crowd(), asyncio.Event()
    port = stack.ports["intake"]
    lines = await asyncio.gather(*(connect(port) for _ in range(CONNECTIONS)))
    crowd.open_at_once = sockets_of(process.pid)
    credential = token(tenant, "storefront")
    shoppers = [asyncio.create_task(shop(crowd, gate, line, port, n, credential)) for n, line in enumerate(lines)]
    done = threading.Event()
    breaths = asyncio.create_task(asyncio.to_thread(breathe, port, done))
    gate.set()
    try:
        await asyncio.wait_for(asyncio.gather(*shoppers), PATIENCE_S)
    finally:
        done.set()
    took = await breaths
    slowest = max(took)

    assert process.poll() is None, stack.log("intake")
    assert crowd.open_at_once >= CONNECTIONS, f"only {crowd.open_at_once} sockets were open in intake"
    assert set(crowd.refused) <= REFUSALS, f"refused with {dict(crowd.refused)}"
    assert crowd.bare == 0, "a refusal did not say when to come back"
    assert len(crowd.acknowledged) == CONNECTIONS, "somebody who came back as told was never served"
    assert slowest <= BREATH_S, f"/livez took {slowest:.1f} s"
    kept = await stack.query("intake", "SELECT ticket_id FROM tickets WHERE tenant_id = :tenant", tenant=tenant)
    assert len(set(crowd.acknowledged)) == len(crowd.acknowledged)
    assert {row[0] for row in kept} == set(crowd.acknowledged), "what was acknowledged is not what is kept"
    print(
        f"{len(crowd.acknowledged)} acknowledged, refused {dict(crowd.refused)}, {len(took)} /livez, slowest {slowest:.2f} s"
    )


def test_service_at_its_start_takes_the_open_files_that_it_may_have() -> None:
    program = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard));"
        "from fenliu.chassis.service import raise_file_limit; raise_file_limit();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert int(said.stdout) == (MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)) > 256


async def connect(port: int) -> Line:
    return await asyncio.open_connection("127.0.0.1", port)


def sockets_of(pid: int) -> int:
    """Sockets that a process holds open."""
    count = 0
    for link in (Path("/proc") / str(pid) / "fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(link.readlink()).startswith("socket:")
    return count


async def shop(crowd: Crowd, gate: asyncio.Event, line: Line, port: int, number: int, credential: str) -> None:
    """Post one ticket under one key; where refused, come back when told to, until it is acknowledged."""
    body = orjson.dumps({"text": f"订单 {number} 到哪里了", "customer_id": f"c-{number}"})
    request = (
        f"POST /v1/tickets HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {credential}\r\n"
        f"Idempotency-Key: crowd-{number}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = ""
    await gate.wait()
    while True:
        # at the end also where it was silent for longer than the service waits for a header
        if "\r\nconnection: close" in head or line[0].at_eof():
            line[1].close()
            line = await connect(port)
        status, head, answer = await ask(line, request)
        if status == 202:
            crowd.acknowledged.append(orjson.loads(answer)["ticket_id"])
            line[1].close()
            return
        crowd.refused[status] += 1
        wait = re.search(r"\r\nretry-after: (\d+)\r\n", head)
        if wait is None:
            crowd.bare += 1
            return
        await asyncio.sleep(int(wait[1]))


async def ask(line: Line, request: bytes) -> tuple[int, str, bytes]:
    """Status, head in small letters, body; status 0 for a connection that broke."""
    reader, writer = line
    try:
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        return int(head.split(" ", 2)[1]), head, await reader.readexactly(length)
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0, "", b""


def breathe(port: int, done: threading.Event) -> list[float]:
    """Ask /livez over and over until `done`; seconds that each answer took. In a thread: the crowd fills the loop."""
    took = []
    while not done.is_set():
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
        connection.close()
        took.append(time.monotonic() - began)
        done.wait(0.1)
    return took
