"""docker-compose.yml without containers: each service from that file's own command, environment and ports, on native
Kafka, PostgreSQL and Prometheus; and the dashboards' queries against what Prometheus then has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import yaml

from fenliu.chassis.auth import Tokens
from fenliu.chassis.clock import SystemClock
from fenliu.cli.home import PORT_OFFSETS, SERVICES
from fenliu.cli.supervise import listens
from tests.backends import ApacheKafka, Postgres, free_port
from tools.dashboards import DASHBOARDS, RATE

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(420)


class Compose:
    """The file's services as native processes."""

    def __init__(self, folder: Path, kafka: str, postgres: Postgres) -> None:
        text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
        host = urlsplit(postgres.address).netloc.rpartition("@")[2]
        self.services: dict[str, Any] = yaml.safe_load(text)["services"]
        self._folder = folder
        self._native = {"kafka:9092": kafka, "postgres:5432": host, "0.0.0.0": "127.0.0.1"}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """The service's variables: defaults of ${NAME:-default} filled in, addresses of containers made native."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("FENLIU_")}
        own = {}
        for key, value in self.services[name]["environment"].items():
            filled = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
            for container, native in self._native.items():
                filled = filled.replace(container, native)
            own[key] = filled
        return inherited | own

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start one service with the image's entry point and the file's command."""
        with self.log(name).open("wb") as log:
            command = [sys.executable, "-m", "fenliu.cli.main", *self.services[name]["command"]]
            self._processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=self.environment(name), stdout=log, stderr=subprocess.STDOUT
            )
        return self._processes[name]

    def prometheus(self, port: int) -> None:
        """Prometheus with the shipped configuration and rules; targets made native, and a quicker pace."""
        shutil.copytree(ROOT / "deploy/prometheus/rules", self._folder / "rules")
        text = (ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8")
        text = re.sub(r'"\w+:(\d+)"', r'"127.0.0.1:\1"', text).replace("interval: 10s", "interval: 1s")
        (self._folder / "prometheus.yml").write_text(text, encoding="utf-8")
        command = ["prometheus", f"--config.file={self._folder}/prometheus.yml"]
        command += [f"--storage.tsdb.path={self._folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"]
        with self.log("prometheus").open("wb") as log:
            self._processes["prometheus"] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def compose(tmp_path: Path, own_kafka: ApacheKafka) -> Iterator[Compose]:
    if any(listens(8000 + PORT_OFFSETS[name]) for name in SERVICES):
        pytest.fail("the compose file's ports 8001 to 8004 are in use; stop what holds them (make up?)", pytrace=False)
    with Postgres() as postgres:
        script = (ROOT / "deploy/postgres/init.sql").read_text(encoding="utf-8")
        for statement in re.sub(r"^--.*$", "", script, flags=re.M).split(";"):
            if statement.strip():
                postgres.execute(statement)
        stack = Compose(tmp_path, own_kafka.bootstrap, postgres)
        yield stack
        stack.close()


def eventually(condition: Callable[[], Any], within_s: float, what: Callable[[], str]) -> Any:
    """The first true value of `condition`, asked again and again."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            value = condition()
        except httpx2.TransportError:
            value = None
        if value:
            return value
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def test_compose_services_carry_tickets_and_fill_every_dashboard(compose: Compose) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    assert compose.start("migrate").wait(timeout=90) == 0, compose.log("migrate").read_text()
    for name in SERVICES:
        compose.start(name)
    for name in SERVICES:
        url = f"http://127.0.0.1:{8000 + PORT_OFFSETS[name]}/readyz"
        eventually(
            lambda u=url: httpx2.get(u).status_code == 200, 120, lambda n=name: f"{n}: {compose.log(n).read_text()}"
        )
    port = free_port()
    compose.prometheus(port)

    key = compose.environment("intake")["FENLIU_TOKEN_KEY"]
    token = Tokens(key).issue("shop", ["admin"], "test", 3600, SystemClock().now())
    with httpx2.Client(headers={"Authorization": f"Bearer {token}"}, timeout=10) as client:
        router = f"http://127.0.0.1:{8000 + PORT_OFFSETS['router']}"
        skills = ("product", "promotion", "order", "invoice", "logistics", "returns", "quality", "payment", "account")
        agent = {"name": "刘洋", "skills": dict.fromkeys((*skills, "complaint"), 1.0), "capacity": 100}
        client.put(f"{router}/v1/agents/a1", json=agent).raise_for_status()
        client.put(f"{router}/v1/agents/a1/presence", json={"presence": "online"}).raise_for_status()
        tickets = [open_ticket(client, f"c-{number}") for number in range(5)]
        for ticket in tickets:
            eventually(
                lambda t=ticket: state(client, router, t) in ("assigned", "in_progress"),
                60,
                lambda: compose.log("router").read_text()[-3000:],
            )
        correction = {"tier": "urgent", "reason": "the parcel holds medicine"}
        client.put(f"{router}/v1/routing/tickets/{tickets[0]}/labels", json=correction).raise_for_status()
        eventually(lambda: scraped(client, port) == set(SERVICES), 30, lambda: f"scraped: {scraped(client, port)}")
        eventually(lambda: not empty(client, port), 60, lambda: f"empty: {empty(client, port)}")
        rules = client.get(f"http://127.0.0.1:{port}/api/v1/rules").json()["data"]["groups"]
        assert all(rule["health"] == "ok" for group in rules for rule in group["rules"])


def open_ticket(client: httpx2.Client, customer: str) -> str:
    url = f"http://127.0.0.1:{8000 + PORT_OFFSETS['intake']}/v1/tickets"
    answer = client.post(url, json={"customer_id": customer, "text": "快递三天没动了"})
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["ticket_id"]
    return found


def state(client: httpx2.Client, router: str, ticket: str) -> str:
    answer = client.get(f"{router}/v1/routing/tickets/{ticket}")
    return answer.json()["state"] if answer.status_code == 200 else ""


def query(client: httpx2.Client, port: int, expression: str) -> list[dict[str, Any]]:
    answer = client.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression})
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def scraped(client: httpx2.Client, port: int) -> set[str]:
    return {row["metric"]["job"] for row in query(client, port, "up == 1")}


def empty(client: httpx2.Client, port: int) -> list[str]:
    """Panels whose query finds nothing."""
    panels = [panel for _, panels in DASHBOARDS.values() for panel in panels]
    return [title for title, _, _, expression in panels if not query(client, port, expression.replace(RATE, "20s"))]


def test_dockerfile_install_steps_work_in_an_empty_folder(tmp_path: Path) -> None:
    """The RUN lines of the build stage, with the folder in the place of the image's root; wheels come from pip's cache
    or the index that pip is set up for."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("FROM ")[1].replace("\\\n", " ")
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy(ROOT / source, tmp_path / "src" / target.removeprefix("./") / (source if target == "./" else ""))
        elif word == "RUN":
            command = rest.replace("/opt/fenliu", str(tmp_path / "venv"))
            command = re.sub(r"^python ", f"{sys.executable} ", command)
            (tmp_path / "src").mkdir(exist_ok=True)
            done = subprocess.run(["bash", "-ec", command], cwd=tmp_path / "src", capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    help_text = subprocess.run(
        [tmp_path / "venv/bin/fenliu", "config", "show", "intake"],
        cwd="/",
        env={"FENLIU_TOKEN_KEY": "t" * 32, "FENLIU_STATUS_KEY": "s" * 32},
        capture_output=True,
        text=True,
    )
    assert "kafka_bootstrap" in help_text.stdout, help_text.stderr


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
