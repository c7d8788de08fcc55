"""What every test gets: a clean environment, failing on logged errors, and one Kafka and one PostgreSQL per run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from tests.backends import ApacheKafka, BackendMissing, Postgres

CI = os.environ.get("CI", "").lower() in ("1", "true")
RUN = "FENLIU_TEST_RUN"  # directory shared by the workers of one run; one JSON file per server that was started

hypothesis_settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
if CI:
    hypothesis_settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """The controller makes the directory in which workers find and leave the run's servers."""
    for name in list(os.environ):
        if name.startswith("FENLIU_") and not name.startswith("FENLIU_TEST_"):
            del os.environ[name]
    if not hasattr(config, "workerinput"):
        os.environ[RUN] = tempfile.mkdtemp(prefix="fenliu-test-run-")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests of the shared stack go to one worker: a second stack would cost half a core for as long as tests run."""
    if "shared_stack" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("stack"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller ends the servers that any worker started."""
    if hasattr(config, "workerinput") or RUN not in os.environ:
        return
    run = Path(os.environ.pop(RUN))
    for kept in run.glob("*.json"):
        server = json.loads(kept.read_text())
        if server.get("pid"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(server["pid"], signal.SIGKILL)
            shutil.rmtree(server["home"], ignore_errors=True)
    shutil.rmtree(run, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which real parts the run used."""
    run = Path(os.environ.get(RUN, ""))
    for kind in ("kafka", "postgres"):
        kept = run / f"{kind}.json"
        used = json.loads(kept.read_text()) if kept.exists() else {}
        words = used.get("missing") or (f"{used['description']} at {used['address']}" if used else "not used")
        terminalreporter.write_line(f"{kind}: {words}")


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Any:
    """A real part that cannot be had is a failure with CI=true and a skip elsewhere; both say how to get it."""
    try:
        return (yield)
    except BackendMissing as missing:
        if CI:
            pytest.fail(f"CI=true and a real part is missing. {missing}", pytrace=False)
        pytest.skip(str(missing))


def _shared(kind: str, start: Callable[[], ApacheKafka | Postgres]) -> dict[str, Any]:
    """Address of the run's server; the first worker that asks starts it, the controller ends it."""
    run = Path(os.environ[RUN])
    kept = run / f"{kind}.json"
    with (run / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            try:
                server = start()
                server.hand_over()
                address = server.bootstrap if isinstance(server, ApacheKafka) else server.address
                found = {"address": address, "description": server.description, "pid": server.pid}
                found["home"] = str(server.home or "")
            except BackendMissing as missing:
                found = {"missing": str(missing)}
            kept.write_text(json.dumps(found))
    server_of_run: dict[str, Any] = json.loads(kept.read_text())
    if "missing" in server_of_run:
        raise BackendMissing(server_of_run["missing"])
    return server_of_run


@pytest.fixture(scope="session")
def apache_kafka() -> ApacheKafka:
    """The run's Apache Kafka, shared by all workers: make topics with names of your own, never stop it.

    FENLIU_TEST_KAFKA=host:port names an existing one.
    """
    given = os.environ.get("FENLIU_TEST_KAFKA")
    return ApacheKafka(_shared("kafka", ApacheKafka(given).__enter__)["address"])


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The run's PostgreSQL, shared by all workers: make databases with names of your own, never stop it.

    FENLIU_TEST_POSTGRES=postgresql://... names an existing one; its user must be allowed to create databases.
    """
    given = os.environ.get("FENLIU_TEST_POSTGRES")
    return Postgres(_shared("postgres", Postgres(given).__enter__)["address"])


class _Errors(logging.Handler):
    """Collects what was logged at ERROR or above.

    aiokafka's own lines are left out: it reports every outage that it survives at that level.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("aiokafka"):
            self.seen.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def _no_logged_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test in whose course an error was logged fails, unless it is marked `allows_errors`."""
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    if handler.seen and request.node.get_closest_marker("allows_errors") is None:
        pytest.fail("errors were logged:\n" + "\n".join(handler.seen), pytrace=False)
