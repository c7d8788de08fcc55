"""The whole platform as real processes, for tests and benchmarks: four services on given databases and brokers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from fenliu.chassis.auth import Tokens
from fenliu.chassis.clock import SystemClock

SERVICES = ("intake", "classifier", "router", "notifier")
TOKEN_KEY = "test-token-key-0123456789abcdef0123456789abcdef"
STATUS_KEY = "test-status-key-0123456789abcdef0123456789abcdef"
ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A TCP port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def token(tenant: str, *roles: str, subject: str = "tester", ttl_s: int = 7200) -> str:
    """An API token that every service of a Stack accepts."""
    return Tokens(TOKEN_KEY).issue(tenant, list(roles), subject, ttl_s, SystemClock().now())


@dataclass
class Stack:
    """Four services as processes.

    home           folder for logs.
    kafka          bootstrap address.
    database_urls  service → URL; the classifier has none.
    extra_env      service (or "" for all) → variables on top.
    """

    home: Path
    kafka: str
    database_urls: Mapping[str, str]
    extra_env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in SERVICES})
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def env(self, service: str) -> dict[str, str]:
        prefix = f"FENLIU_{service.upper()}_"
        env = {name: value for name, value in os.environ.items() if not name.startswith("FENLIU_")}
        env |= {
            f"{prefix}HTTP_PORT": str(self.ports[service]),
            f"{prefix}KAFKA_BOOTSTRAP": self.kafka,
            f"{prefix}TOKEN_KEY": TOKEN_KEY,
            f"{prefix}STATUS_KEY": STATUS_KEY,
            "PYTHONUNBUFFERED": "1",
        }
        if service in self.database_urls:
            env[f"{prefix}DATABASE_URL"] = self.database_urls[service]
        if service == "intake":
            env[f"{prefix}PUBLIC_NOTIFIER_URL"] = self.url("notifier")
        if service == "notifier":
            env[f"{prefix}PUBLIC_INTAKE_URL"] = self.url("intake")
        return env | dict(self.extra_env.get("", {})) | dict(self.extra_env.get(service, {}))

    def migrate(self) -> None:
        """Bring every database to the newest schema."""
        for service in self.database_urls:
            self._fenliu(service, "db", "upgrade", service)

    def _fenliu(self, service: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "fenliu.cli.main", *arguments]
        done = subprocess.run(command, env=self.env(service), cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"fenliu {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}"

    def start(self, *services: str, env: Mapping[str, str] | None = None) -> None:
        """Start the named services, or all."""
        self.home.mkdir(parents=True, exist_ok=True)
        for service in services or SERVICES:
            with (self.home / f"{service}.log").open("ab") as log:
                self.processes[service] = subprocess.Popen(
                    [sys.executable, "-m", "fenliu.cli.main", "run", service],
                    env=self.env(service) | dict(env or {}),
                    cwd=ROOT,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    async def ready(self, *services: str, within_s: float = 60) -> None:
        """Wait until /readyz of the named services, or all, answers 200."""
        async with httpx2.AsyncClient(timeout=2) as client:
            for service in services or SERVICES:
                await eventually(
                    lambda s=service: self._is_ready(client, s),
                    within_s,
                    f"{service} is ready",
                    lambda s=service: self.log(s),
                )

    async def _is_ready(self, client: httpx2.AsyncClient, service: str) -> bool:
        process = self.processes.get(service)
        assert process is None or process.poll() is None, f"{service} died:\n{self.log(service)}"
        with contextlib.suppress(httpx2.HTTPError):
            return (await client.get(f"{self.url(service)}/readyz")).status_code == 200
        return False

    def kill(self, *services: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the named services, or all; with SIGKILL and SIGTERM, wait until they are gone."""
        for service in services or tuple(self.processes):
            if service in self.processes:
                self.processes[service].send_signal(sig)
        if sig in (signal.SIGKILL, signal.SIGTERM):
            for service in services or tuple(self.processes):
                self.processes.pop(service).wait(timeout=40)

    def log(self, service: str, lines: int = 40) -> str:
        """The last lines that a service wrote."""
        path = self.home / f"{service}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"

    def close(self) -> None:
        """Kill whatever still runs."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(timeout=20)
        self.processes.clear()

    async def query(self, service: str, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Read a service's database as an outside observer."""
        engine = create_async_engine(self.database_urls[service])
        try:
            async with engine.connect() as connection:
                return [tuple(row) for row in await connection.execute(text(sql), parameters)]
        finally:
            await engine.dispose()

    async def scalar(self, service: str, sql: str, **parameters: Any) -> Any:
        return (await self.query(service, sql, **parameters))[0][0]


async def eventually(condition: Any, within_s: float, what: str, detail: Any = None) -> Any:
    """Poll `condition` (sync or async) until it returns something true; fail with `what` after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}" + (f"\n{detail()}" if detail else ""))
        await asyncio.sleep(0.05)


async def staff(stack: Stack, tenant: str, agents: int, capacity: int, skills: Iterable[str]) -> list[str]:
    """Hire `agents` people with all of `skills` and put them online. Returns their ids."""
    ids = [f"agent-{n:05d}" for n in range(agents)]
    headers = {"Authorization": f"Bearer {token(tenant, 'admin')}"}
    async with httpx2.AsyncClient(base_url=stack.url("router"), headers=headers, timeout=30) as client:
        for start in range(0, agents, 500):
            chunk = ids[start : start + 500]
            rows = [
                {
                    "agent_id": i,
                    "name": f"Agent {i}",
                    "skills": dict.fromkeys(skills, 1.0),
                    "capacity": capacity,
                    "seniority": 1.0,
                }
                for i in chunk
            ]
            answer = await client.put("/v1/agents", json={"agents": rows})
            assert answer.status_code == 200, answer.text
            answer = await client.put("/v1/agents/presence", json={"agent_ids": chunk, "presence": "online"})
            assert answer.status_code == 200, answer.text
    return ids
