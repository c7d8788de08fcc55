"""The platform under measurement: the stack of tests/stack.py on embedded or production backends, with its costs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

from bench.machine import cpu_seconds
from tests.backends import ApacheKafka, Postgres
from tests.stack import ROOT, Stack, eventually, free_port

DATABASES = ("intake", "router", "notifier")
ENV = {"router": {"FENLIU_ROUTER_PRESENCE_TIMEOUT_S": "86400"}}


class Platform:
    """A running stack and the processes that it costs, by name."""

    def __init__(self, name: str, stack: Stack, others: dict[str, int]) -> None:
        self.name = name
        self.stack = stack
        self.others = others

    def cpu(self) -> dict[str, float]:
        """CPU seconds used so far by every process, services and backends."""
        used = {service: cpu_seconds(process.pid) for service, process in self.stack.processes.items()}
        return used | {name: cpu_seconds(pid, children=True) for name, pid in self.others.items()}


def cpu_per_ticket_ms(before: dict[str, float], after: dict[str, float], tickets: int) -> dict[str, float]:
    """Milliseconds of one core per ticket, by process, and their sum."""
    costs = {name: round(1000 * (after[name] - before.get(name, 0.0)) / tickets, 3) for name in after}
    return costs | {"all": round(sum(costs.values()), 3)}


@asynccontextmanager
async def platform(kind: str, *, start: bool = True) -> AsyncIterator[Platform]:
    """`embedded` (SQLite, embedded broker) or `production` (PostgreSQL, Apache Kafka), everything on this machine."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as cleanup:
        home = Path(folder)
        if kind == "embedded":
            port, broker = cleanup.enter_context(embedded_broker())
            urls = {service: f"sqlite+aiosqlite:///{home}/{service}.db" for service in DATABASES}
            stack, others = Stack(home, f"127.0.0.1:{port}", urls, ENV), {"broker": broker.pid}
        else:
            kafka = cleanup.enter_context(ApacheKafka())
            postgres = cleanup.enter_context(Postgres())
            run = uuid4().hex[:8]
            for service in DATABASES:
                postgres.create_database(f"{service}_{run}")
            urls = {service: postgres.url(f"{service}_{run}") for service in DATABASES}
            stack = Stack(home, kafka.bootstrap, urls, ENV)
            others = {"kafka": kafka.pid, "postgres": postgres.pid}
        cleanup.callback(stack.close)
        stack.migrate()
        if start:
            stack.start()
            await stack.ready()
        yield Platform(kind, stack, others)


@contextmanager
def embedded_broker() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The embedded broker as a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "fenliu.chassis.messaging.embedded", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=10)


__all__ = ["Platform", "cpu_per_ticket_ms", "embedded_broker", "eventually", "platform"]
