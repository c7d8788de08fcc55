"""`fenliu up` as a newcomer meets it: a first assignment in seconds, lines that work, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from fenliu.cli.home import PORT_OFFSETS

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(240)


@dataclass
class Up:
    """A running `fenliu up` and what it has printed."""

    process: subprocess.Popen[bytes]
    output: Path
    home: Path
    base: int
    began: float

    @property
    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, within_s: float) -> re.Match[str]:
        """The first match in the output; fails when it does not come in time or the program ends before."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = re.search(pattern, self.text)
            if found:
                return found
            assert self.process.poll() is None, f"it ended before {pattern}:\n{self.text}"
            time.sleep(0.05)
        raise AssertionError(f"{pattern} did not come within {within_s} s:\n{self.text}\n{self.logs()}")

    def logs(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in (self.home / "logs").glob("*.log"))

    def children(self) -> dict[int, str]:
        """Process id → command line of everything that was started for this home, the supervisor excepted."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) not in (os.getpid(), self.process.pid):
                try:
                    if str(self.home).encode() in (folder / "environ").read_bytes():
                        found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found

    def ends(self, within_s: float = 45) -> int:
        """The exit code; nothing of it runs any more."""
        code = self.process.wait(timeout=within_s)
        eventually(lambda: not self.children(), 20, lambda: f"left over: {self.children()}")
        return code


def eventually(condition: Callable[[], bool], within_s: float, what: Callable[[], str]) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


BASES = iter(range(21000 + 200 * (os.getpid() % 40), 32000, 200))
"""Below the ports that the system gives out, and each used once: a stack of an earlier test may still be ending."""


def free_base() -> int:
    """A port base of which every offset is free."""
    for base in BASES:
        probes = []
        try:
            for offset in PORT_OFFSETS.values():
                probes.append(socket.socket())
                probes[-1].bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
    raise AssertionError("no free ports")


class Starter:
    """Starts `fenliu up` in one home and on one port base."""

    def __init__(self, folder: Path) -> None:
        self.base = free_base()
        self.started: list[Up] = []
        self._folder = folder

    def __call__(self, *arguments: str) -> Up:
        output = self._folder / f"output-{len(self.started)}.txt"
        home = self._folder / "home"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FENLIU_")}
        command = [sys.executable, "-m", "fenliu.cli.main", "up", "--port-base", str(self.base), *arguments]
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment | {"FENLIU_HOME": str(home), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(Up(process, output, home, self.base, time.monotonic()))
        return self.started[-1]

    def close(self) -> None:
        """Kill whatever a failed test left."""
        for up in self.started:
            if up.process.poll() is None:
                up.process.kill()
                up.process.wait()
            for pid in up.children():
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    starter.close()


def test_up_newcomer_sees_tickets_through_and_finds_them_again_after_a_restart(start: Starter) -> None:
    up = start("--every", "0.5", "--no-prometheus")
    first = float(up.wait_for(r"First assignment ([\d.]+) s after ready", 90)[1])
    assert first <= 10, up.text
    assert time.monotonic() - up.began <= 60, up.text
    for stage in ("received", "labelled", "assigned", "answered", "resolved"):
        up.wait_for(rf"(?m)^{stage} ", 60)
    page = up.wait_for(r"status page[^:]*: (http://\S+)", 10)[1]
    assert httpx2.get(page).status_code == 200
    token = up.wait_for(r"export STOREFRONT=(\S+)", 1)[1]
    intake = f"http://127.0.0.1:{up.base + 1}"
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx2.post(f"{intake}/v1/tickets", json={"customer_id": "c-1", "text": "快递三天没动了"}, headers=headers)
    assert answer.status_code == 202, answer.text

    up.process.send_signal(signal.SIGINT)
    assert up.ends() == 0, up.text
    assert "Everything accepted is kept" in up.text
    for key in ("token.key", "status.key"):
        assert (up.home / key).stat().st_mode & 0o777 == 0o600

    again = start("--no-sample", "--no-prometheus")
    again.wait_for("Ready after", 60)
    found = httpx2.get(f"{intake}/v1/tickets/{answer.json()['ticket_id']}", headers=headers)
    assert found.status_code == 200, found.text
    assert "A shopper's status page" not in again.text
    again.process.kill()  # nobody is left to stop the others: they notice by themselves
    again.process.wait()
    eventually(lambda: not again.children(), 30, lambda: f"left over: {again.children()}")


def test_up_service_that_dies_is_started_again_and_a_broker_that_dies_ends_it_with_its_last_lines(
    start: Starter,
) -> None:
    up = start("--no-sample", "--no-prometheus")
    up.wait_for("Ready after", 90)

    def pid_of(part: str) -> int | None:
        return next((pid for pid, command in up.children().items() if part in command), None)

    first = pid_of(" run router")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    up.wait_for("router ended by signal SIGKILL; it is started again", 10)
    ready = f"http://127.0.0.1:{up.base + PORT_OFFSETS['router']}/readyz"

    def answers() -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(ready).status_code == 200
        return False

    eventually(answers, 30, up.logs)
    assert pid_of(" run router") != first
    broker = pid_of("messaging.embedded")
    assert broker is not None
    os.kill(broker, signal.SIGKILL)
    assert up.ends() == 1, up.text
    assert "broker ended by signal SIGKILL. Its last lines" in up.text


def test_up_port_in_use_is_named_and_nothing_starts(start: Starter) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", start.base + PORT_OFFSETS["router"]))
        taken.listen()
        up = start()
        assert up.ends() == 1
    assert f"{up.base + PORT_OFFSETS['router']} (router)" in up.text
    assert "PORT_BASE=" in up.text
    assert not (up.home / "logs").exists()
