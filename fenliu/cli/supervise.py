"""Child processes of `fenliu up`: started in order, watched, and stopped in the reverse order with nobody left over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

STOP_AFTER_S = 15.0
"""Seconds that a child gets between SIGTERM and SIGKILL: above the services' own graceful stop."""

RESTARTS = 3
"""How many times within a minute a child is started again before its end is taken for good."""

LOG_LIMIT_BYTES = 20_000_000
"""A log above this size is set aside as .1 at the next start, so that a home does not grow without end."""


class ChildDied(Exception):
    """A part of the stack ended by itself."""

    def __init__(self, name: str, code: int, log: Path, log_from: int = 0) -> None:
        """code: below 0 or above 128 for a signal (see guard.py). log_from: byte at which this run's lines begin."""
        self.name = name
        self.how = how_ended(code)
        super().__init__(f"{name} ended {self.how}. Its last lines, from {log}:\n{last_lines(log, log_from)}")


class NotReady(Exception):
    """A part of the stack did not become ready in time."""


class PortTaken(Exception):
    """A port that is needed belongs to somebody else."""


@dataclass
class Child:
    """One running process, how it was started, and the file that takes what it writes.

    log_from  byte of the file at which the lines of this run begin.
    restarts  when it was started again, monotonic seconds, the last RESTARTS times.
    """

    name: str
    process: asyncio.subprocess.Process
    log: Path
    log_from: int
    command: Sequence[str]
    env: Mapping[str, str]
    restarts: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS))

    def may_restart(self) -> bool:
        """False for the broker, whose records are gone with it, and for what ended too often within a minute."""
        often = len(self.restarts) == RESTARTS and time.monotonic() - self.restarts[0] < 60
        return self.name != "broker" and not often


@dataclass
class Supervisor:
    """Starts children; each in a session of its own, so that Ctrl-C reaches only the supervisor, which stops them in
    order. Their standard input is a pipe that closes with the supervisor (see guard.py)."""

    logs: Path
    children: list[Child] = field(default_factory=list)

    async def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start one child; what it writes goes to <logs>/<name>.log."""
        self.children.append(Child(name, *await self._run(name, command, env), command, env))

    async def _run(
        self, name: str, command: Sequence[str], env: Mapping[str, str]
    ) -> tuple[asyncio.subprocess.Process, Path, int]:
        log = self.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            log_from = output.tell()
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(env),
                start_new_session=True,
            )
        return process, log, log_from

    async def watch(self, tell: Callable[[str], object]) -> None:
        """Start again what ends by itself, and tell so. Raises ChildDied where that does not help or cannot."""
        while True:
            died = await self._first_to_end()
            kill_session(died)
            end = ChildDied(died.name, died.process.returncode or 0, died.log, died.log_from)
            if not died.may_restart():
                raise end
            tell(f"{died.name} ended {end.how}; it is started again. 已重新启动 {died.name}。")
            died.restarts.append(time.monotonic())
            died.process, died.log, died.log_from = await self._run(died.name, died.command, died.env)

    async def _first_to_end(self) -> Child:
        waits = {asyncio.create_task(child.process.wait()): child for child in self.children}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[done.pop()]
        finally:
            for wait in waits:
                wait.cancel()

    async def until_listening(self, port: int, within_s: float) -> None:
        """Wait until somebody accepts connections on loopback's `port`. Raises NotReady or ChildDied."""
        async with _deadline(within_s, lambda: f"nothing listens on port {port}"):
            while not listens(port):
                self._check()
                await asyncio.sleep(0.02)

    async def until_ready(self, name: str, url: str, within_s: float) -> None:
        """Wait until `url`/readyz answers 200. Raises NotReady, which tells its last answer, or ChildDied."""
        said = "did not answer yet"

        def late() -> str:
            return f"{name} is not ready: {url}/readyz {said}. Its log: {self.logs / name}.log"

        async with httpx2.AsyncClient(timeout=2) as client, _deadline(within_s, late):
            while True:
                with contextlib.suppress(httpx2.HTTPError):
                    answer = await client.get(f"{url}/readyz")
                    if answer.status_code == 200:
                        return
                    said = f"answers {answer.status_code}: {answer.text[:300]}"
                self._check()
                await asyncio.sleep(0.1)

    def _check(self) -> None:
        for child in self.children:
            if child.process.returncode is not None:
                raise ChildDied(child.name, child.process.returncode, child.log, child.log_from)

    async def stop(self) -> None:
        """Stop every child, last started first, the services among them together; kill whoever does not stop."""
        services = [child for child in self.children if child.name != "broker"]
        brokers = [child for child in self.children if child.name == "broker"]
        for group in (services, brokers):
            await asyncio.gather(*(stop_child(child) for child in reversed(group)))
        self.children.clear()


async def stop_child(child: Child) -> None:
    """SIGTERM, then SIGKILL for the whole session after STOP_AFTER_S seconds."""
    process = child.process
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_AFTER_S)
    except TimeoutError:
        kill_session(child)
        await process.wait()


def kill_session(child: Child) -> None:
    """End the child and whatever it started: a guard that was killed leaves what it guarded."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)


def claim_ports(ports: Mapping[str, int]) -> None:
    """Raise PortTaken, in words that say what to do, where one of `ports` (name → port) is in use."""
    taken = {name: port for name, port in ports.items() if listens(port)}
    if taken:
        which = ", ".join(f"{port} ({name})" for name, port in taken.items())
        raise PortTaken(
            f"In use on this machine: port {which}. Perhaps Fenliu already runs here. "
            "Stop what holds the port, or move all ports: PORT_BASE=18000 make up (or fenliu up --port-base 18000)."
        )


def listens(port: int) -> bool:
    """True where something accepts connections on loopback's `port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def how_ended(code: int) -> str:
    """How a process with this return code ended: by which signal (below 0; above 128 from guard.py), or with what."""
    number = -code if code < 0 else code - 128
    known = {each.value: each.name for each in signal.Signals}
    return f"by signal {known[number]}" if number in known else f"with exit code {code}"


def last_lines(log: Path, log_from: int = 0, count: int = 15) -> str:
    """The last lines of a log from byte `log_from` on; a sentence where there are none."""
    written = log.read_bytes()[log_from:] if log.exists() else b""
    lines = written.decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-count:]) or "  (it wrote nothing)"


def fenliu(*arguments: str) -> list[str]:
    """The command line of this very program with other arguments."""
    return [sys.executable, "-m", "fenliu.cli.main", *arguments]


@contextlib.asynccontextmanager
async def _deadline(within_s: float, message: Callable[[], str]) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError as error:
        raise NotReady(f"After {within_s:.0f} s: {message()}") from error
