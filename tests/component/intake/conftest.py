"""Intake as one piece: its real HTTP application, handlers and workers on SQLite and on PostgreSQL; no broker."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google.protobuf.message import Message
from sqlalchemy import select

from fenliu.chassis.auth import Tokens
from fenliu.chassis.db import Database, Transaction
from fenliu.chassis.messaging.envelope import unpack_headers
from fenliu.chassis.migrations import upgrade
from fenliu.chassis.service import Service
from fenliu.contracts.events import EVENT_TYPES
from services.intake.main import build
from services.intake.settings import IntakeSettings
from services.intake.tables import metadata, outbox
from tests.backends import Postgres

KEY = "k" * 40
BROWSER_KEY = "pk_test_0123456789"
ORIGIN = "https://shop.example"
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


class StandingClock:
    """A clock that moves when a test says so."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - START).total_seconds()

    def advance(self, **span: float) -> None:
        self._now += timedelta(**span)


@dataclass
class Intake:
    """The service under test and what a test does with it."""

    service: Service
    db: Database
    clock: StandingClock
    http: httpx2.AsyncClient
    tokens: Tokens = field(default_factory=lambda: Tokens(KEY))

    def auth(self, role: str = "storefront", subject: str = "web", tenant: str = "t1") -> dict[str, str]:
        token = self.tokens.issue(tenant, [role], subject, 86_400 * 30, self.clock.now())
        return {"Authorization": f"Bearer {token}"}

    async def post(
        self,
        path: str,
        body: Any = None,
        *,
        role: str = "storefront",
        subject: str = "web",
        tenant: str = "t1",
        **more: str,
    ) -> httpx2.Response:
        headers = self.auth(role, subject, tenant) | {name.replace("_", "-"): value for name, value in more.items()}
        return await self.http.post(path, json=body, headers=headers)

    async def get(
        self, path: str, *, role: str = "storefront", subject: str = "web", tenant: str = "t1", **params: Any
    ) -> httpx2.Response:
        return await self.http.get(path, params=params, headers=self.auth(role, subject, tenant))

    async def open(
        self, *, key: str = "", tenant: str = "t1", role: str = "storefront", subject: str = "web", **body: Any
    ):
        """POST /v1/tickets; the answer's body. Fails unless it was accepted."""
        more = {"Idempotency_Key": key} if key else {}
        body = {"text": "几时能送货", "customer_id": "c1"} | body
        answer = await self.post("/v1/tickets", body, tenant=tenant, role=role, subject=subject, **more)
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def handle(self, *events: Message) -> None:
        """Hand events to their handlers as the consumer loop does, in one transaction."""
        handlers = {kind: call for s in self.service.subscriptions for kind, call in s.handlers.items()}
        kind = type(events[0])
        await self.db.run(lambda tx: handlers[kind](tx, events))

    async def work(self, name: str) -> None:
        """One step of a background loop."""
        (loop,) = (worker for worker in self.service.workers if worker.name == name)
        await loop._step()

    async def published(self, kind: str = "", ticket_id: str = "") -> list[Any]:
        """What stands in the outbox, oldest first."""
        async with self.db.read() as tx:
            rows = (await tx.execute(select(outbox).order_by(outbox.c.id))).all()
        events = []
        for row in rows:
            name = dict(unpack_headers(row.headers))["ce_type"].decode()
            event = EVENT_TYPES[name].FromString(row.value)
            if kind in ("", name) and ticket_id in ("", row.record_key):
                events.append(event)
        return events

    async def rows(self, table: str, **where: Any) -> Sequence[Any]:
        """Rows of a table."""
        named = metadata.tables[table]
        query = select(named)
        for column, value in where.items():
            query = query.where(named.c[column] == value)
        async with self.db.read() as tx:
            return (await tx.execute(query)).all()

    async def execute(self, statement: Any) -> None:
        """Run one statement and commit."""

        async def work(tx: Transaction) -> None:
            await tx.execute(statement)

        await self.db.run(work)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, made once and copied for every test."""
    path = tmp_path_factory.mktemp("intake") / "template.db"
    upgrade("intake", f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """A migrated PostgreSQL database, made once and cloned for every test."""
    name = f"intake_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name)
    upgrade("intake", postgres.url(name))
    return name


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, migrated database of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "intake.db")
        yield f"sqlite+aiosqlite:///{tmp_path / 'intake.db'}"
        return
    template = request.getfixturevalue("postgres_template")
    postgres: Postgres = request.getfixturevalue("postgres")
    name = f"intake_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name, template)
    yield postgres.url(name)
    postgres.drop_database(name)


def settings_for(url: str, **changes: Any) -> IntakeSettings:
    fields = {
        "database_url": url,
        "token_key": KEY,
        "status_key": KEY,
        "public_notifier_url": "https://status.example",
        "browser_keys": [{"key": BROWSER_KEY, "tenant_id": "t1", "origins": [ORIGIN]}],
        "tenant_rate_per_s": 0,
    }
    return IntakeSettings(**(fields | changes))


def client_of(service: Service) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=service.app(), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://intake")


@pytest.fixture
async def intake(database_url: str) -> AsyncIterator[Intake]:
    clock = StandingClock(START)
    service = build(settings_for(database_url), clock)
    assert service.db is not None
    async with client_of(service) as http:
        yield Intake(service, service.db, clock, http)
    await service.db.close()


@pytest.fixture
async def second(database_url: str, intake: Intake) -> AsyncIterator[Intake]:
    """Another intake process on the same database."""
    service = build(settings_for(database_url), intake.clock)
    assert service.db is not None
    async with client_of(service) as http:
        yield Intake(service, service.db, intake.clock, http)
    await service.db.close()
