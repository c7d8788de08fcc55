"""A migrated database per test, on SQLite and on PostgreSQL, and a router over it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from fenliu.chassis import migrations
from services.router.tables import metadata
from tests.backends import Postgres
from tests.component.router.lab import World
from tests.component.travel import TravelClock


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("router") / "template.db"
    migrations.upgrade("router", f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> Iterator[str]:
    """Address of a database of this worker with the newest schema."""
    name = f"router_{uuid4().hex}"
    postgres.create_database(name)
    migrations.upgrade("router", postgres.url(name))
    yield postgres.url(name)
    postgres.drop_database(name)


async def _empty(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}"))
    await engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def prepared_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        path = tmp_path / "router.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite+aiosqlite:///{path}"
    url: str = request.getfixturevalue("migrated_postgres")
    return url


@pytest.fixture
async def database_url(prepared_database: str) -> str:
    """Address of a migrated, empty database."""
    if prepared_database.startswith("postgresql"):
        await _empty(prepared_database)
    return prepared_database


@pytest.fixture
def clock() -> TravelClock:
    return TravelClock()


@pytest.fixture
async def world(database_url: str, clock: TravelClock) -> AsyncIterator[World]:
    made = World(database_url, clock)
    try:
        yield made
        await made.check()
    finally:
        await made.db.close()


@pytest.fixture
async def replica(world: World, database_url: str, clock: TravelClock) -> AsyncIterator[World]:
    """A second process of the same service."""
    made = World(database_url, clock, holder="two")
    yield made
    await made.db.close()
