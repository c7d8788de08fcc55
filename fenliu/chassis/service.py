"""One service as a process: what it is made of, how it starts, and in which order it stops."""

from __future__ import annotations

import asyncio
import gc
import signal
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, FastAPI
from sqlalchemy import text

from fenliu.chassis import migrations
from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.db import Database, DatabaseUnavailable
from fenliu.chassis.errors import FenliuError, Transient
from fenliu.chassis.http import Health, create_app
from fenliu.chassis.http_health import fenliu_version
from fenliu.chassis.http_server import Server, listen, server
from fenliu.chassis.messaging.consumer import Subscription
from fenliu.chassis.messaging.kafka import KafkaOptions
from fenliu.chassis.messaging.runtime import Messaging
from fenliu.chassis.observability import configure_logging, gauge, get_logger
from fenliu.chassis.settings import ServiceSettings
from fenliu.chassis.worker import Loop

log = get_logger(__name__)

MAX_SKEW_S = 0.25
"""How far process and database may disagree about the time before the process is not ready (design, Time)."""

MOST_FILES = 65_536
"""Open files that a process asks for at its start, where the system lets it."""

GC_THRESHOLD = 20_000
"""New containers after which the collector looks for cycles; Python's own 700 are reached by one batch of events."""

clock_skew = gauge(
    "fenliu_clock_skew_seconds",
    "The process's clock minus the database's.",
    reaction="Beyond 0.25 either way the process is not ready: repair time synchronisation on one of the machines.",
)


class UnsafeDatabase(FenliuError):
    """This database may lose what it has confirmed, so nothing is promised on top of it."""

    slug = "unsafe-database"


class ClockSkew(Transient):
    """The clocks of this process and of its database disagree. Repair time synchronisation."""

    slug = "clock-skew"


class BrokerAway(Transient):
    """The broker does not answer. Events wait in the outbox until it does."""

    slug = "broker-away"


class Crashed(FenliuError):
    """A part of the service ended with an error that nobody expected; its log line is above."""

    slug = "crashed"


@dataclass
class Service:
    """Everything a service consists of; `build(settings)` in its main.py returns one.

    db     None for a service without a database (classifier). When set, a relay for its outbox runs as well, and
           outbox and inbox rows are purged.
    links  what `/` shows besides the standard routes: path → sentence.
    """

    name: str
    settings: ServiceSettings
    clock: Clock = field(default_factory=SystemClock)
    db: Database | None = None
    routers: Sequence[APIRouter] = ()
    subscriptions: Sequence[Subscription] = ()
    workers: Sequence[Loop] = ()
    links: dict[str, str] = field(default_factory=dict)
    health: Health = field(default_factory=Health)

    def app(self) -> FastAPI:
        """The HTTP application alone; component tests call this without starting anything."""
        return create_app(
            self.name, self.settings, self.routers, clock=self.clock, health=self.health, links=self.links
        )


def kafka_options(settings: ServiceSettings) -> KafkaOptions:
    """Where Kafka is, for the clients."""
    password = settings.kafka_sasl_password.get_secret_value()
    return KafkaOptions(
        settings.kafka_bootstrap,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_sasl_username or None,
        sasl_password=password or None,
        ca_file=settings.kafka_ca_file,
        replication=settings.kafka_replication,
    )


def run(service: Service) -> None:
    """Run a service until SIGTERM or SIGINT, then stop it in order and return.

    Raises UnsafeDatabase, MigrationsPending, AddressInUse before anything was started; Crashed when a part died.
    """
    configure_logging(service.name, level=service.settings.log_level)
    raise_file_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run_until_signal(service))


def raise_file_limit() -> None:
    """Allow this process as many open files, that is connections, as it may have; the usual 1024 are soon gone."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # some systems refuse what they promised; then the old limit stays
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


async def _run_until_signal(service: Service) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(service, stop, on_ready=lambda url: print(f"{service.name} ready on {url}", flush=True))  # noqa: T201


async def serve(service: Service, stop: asyncio.Event, *, on_ready: Callable[[str], object] | None = None) -> None:
    """Run a service on the present event loop until `stop` is set. on_ready: called once with the service's address."""
    settings = service.settings
    log.info("service_starting", service=service.name, version=fenliu_version(), port=settings.http_port)
    await _check_before_start(service)
    sock = listen(settings.http_host, settings.http_port)
    running = _Running(service)
    http = server(
        running.app,
        header_deadline_s=settings.header_deadline_s,
        idle_deadline_s=settings.idle_deadline_s,
        grace_s=settings.grace_s,
    )
    host, port = sock.getsockname()[:2]
    try:
        serving = asyncio.create_task(http.serve(sockets=[sock]), name="http")
        running.start(http)
        # What a start leaves behind stays for ever; the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 20)
        if on_ready is not None:
            on_ready(f"http://{host}:{port}")
        await _until_stopped(stop, serving, running)
        await running.drain(settings.drain_s)
        http.should_exit = True
        await serving
    finally:
        await running.stop(settings.grace_s)
        sock.close()
        if service.db is not None:
            await service.db.close()
    if running.crashed is not None:
        raise Crashed(f"{running.crashed} ended unexpectedly.")


async def _until_stopped(stop: asyncio.Event, serving: asyncio.Task[None], running: _Running) -> None:
    """Wait for the signal, or for a part to end, which none does by itself."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, serving, *running.tasks}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    running.note_crashes()
    log.info("service_stopping", service=running.service.name)


class _Running:
    """The parts of a started service, in the order in which they stop."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.crashed: str | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        self._stop = asyncio.Event()
        self._helpers: list[asyncio.Task[Any]] = []
        self._messaging = Messaging(
            service.name,
            service.subscriptions,
            kafka=kafka_options(service.settings),
            db=service.db,
            clock=service.clock,
        )
        self._install_checks()
        self.app = service.app()

    def _install_checks(self) -> None:
        health, service = self.service.health, self.service
        health.watchdogs["messaging"] = lambda: "; ".join(self._messaging.problems()) or None
        if service.db is not None:
            database = service.db
            health.checks["database"] = lambda: check_database(database, service.clock)
            health.checks["migrations"] = lambda: check_migrations(database, service.name)
        if self._messaging.consumers or self._messaging.relay is not None:
            health.checks["broker"] = lambda: check_broker(service.settings.kafka_bootstrap)
            health.advisory.add("broker")

    def start(self, http: Server) -> None:
        """Start everything but HTTP."""
        service = self.service
        self._helpers = [
            asyncio.create_task(http.sweep(), name="header sweep"),
            asyncio.create_task(service.health.watch_loop(), name="loop lag"),
        ]
        self._add("messaging", self._messaging.run(self._stop))
        for worker in service.workers:
            self._add(f"worker {worker.name}", worker.run(self._stop))
        if service.db is not None:
            database = service.db
            clocks = Loop("clock", lambda: _compare_clocks(database, service.clock), every_s=10)
            self._add("worker clock", clocks.run(self._stop))

    def _add(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work, name=name))

    def note_crashes(self) -> None:
        """Log the parts that ended although nobody told them to."""
        for task in self.tasks:
            if task.done():
                self.crashed = task.get_name()
                log.error("part_crashed", part=self.crashed, exc_info=None if task.cancelled() else task.exception())

    async def drain(self, seconds: float) -> None:
        """Tell load balancers, give them time to notice, then end streams."""
        self.service.health.draining = True
        if seconds and self.crashed is None:
            await asyncio.sleep(seconds)
        self.app.state.guard.end_streams()

    async def stop(self, grace_s: float) -> None:
        """Let loops and consumers finish what they have in hand; cut them off after `grace_s` seconds."""
        self._stop.set()
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=grace_s)
            for task in late:
                log.warning("part_cut_off", part=task.get_name())
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for helper in self._helpers:
            helper.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)


async def _compare_clocks(database: Database, clock: Clock) -> int:
    with suppress(ClockSkew):
        await check_database(database, clock)
    return 0


async def check_database(database: Database, clock: Clock) -> str:
    """The database answers and agrees about the time. Raises DatabaseUnavailable, ClockSkew."""
    before = clock.now()
    theirs = await database.ping()
    after = clock.now()
    doubt = (after - before) / 2
    skew = before + doubt - theirs
    clock_skew.set(skew.total_seconds())
    if abs(skew) - doubt > timedelta(seconds=MAX_SKEW_S):
        raise ClockSkew(f"This process's clock is {skew.total_seconds():+.3f} s away from its database's.")
    return f"answers in {doubt.total_seconds() * 2000:.1f} ms"


async def check_migrations(database: Database, service: str) -> str:
    """The schema is this program's. Raises MigrationsPending, SchemaTooNew, DatabaseUnavailable."""
    missing = await migrations.pending(database, migrations.folder_of(service))
    if missing:
        raise migrations.MigrationsPending(
            f"The database of {service} lacks {len(missing)} migrations. Run `fenliu db upgrade {service}`."
        )
    return "newest schema"


async def check_broker(bootstrap: str) -> str:
    """Some broker takes connections. Raises BrokerAway."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        with suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return f"{address.strip()} takes connections"
    raise BrokerAway()


async def _check_before_start(service: Service) -> None:
    """Refuse what would break the promise. A database that is merely away is waited for while HTTP already answers."""
    if service.db is None:
        return
    try:
        await check_safety(service.db)
        await check_migrations(service.db, service.name)
    except DatabaseUnavailable:
        log.warning("database_away_at_start", service=service.name)


async def check_safety(database: Database) -> None:
    """Raises UnsafeDatabase where a confirmed commit could be lost."""
    if database.dialect == "sqlite":
        if sqlite3.sqlite_version_info < (3, 35):
            raise UnsafeDatabase(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed.")
        return
    async with database.read() as tx:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            if (await tx.execute(text(f"SHOW {name}"))).scalar_one() == "off":
                raise UnsafeDatabase(
                    f"PostgreSQL runs with {name}=off: a crash would lose tickets that were confirmed. Set it to on."
                )
