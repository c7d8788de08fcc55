"""Schema migrations without an env.py, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fenliu.chassis import migrations
from fenliu.chassis.db import Database
from tests.component.chassis.test_db import db as db

FIRST = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "0001", None
def upgrade():
    op.create_table("parcel", sa.Column("parcel_id", sa.String(10), primary_key=True))
"""
SECOND = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "0002", "0001"
def upgrade():
    op.add_column("parcel", sa.Column("weight_g", sa.Integer))
    {more}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_expand_parcel.py").write_text(FIRST)
    return tmp_path / "migrations"


def add_second(folder: Path, more: str = "pass") -> None:
    (folder / "versions" / "0002_expand_weight.py").write_text(SECOND.format(more=more))


async def test_upgrade_applies_what_is_missing_and_only_once(db: Database, folder: Path) -> None:
    assert await migrations.pending(db, folder) == ["0001"]
    assert await migrations.upgrade_database(db.url, folder) == ["0001"]
    add_second(folder)
    assert await migrations.pending(db, folder) == ["0002"]
    assert await migrations.upgrade_database(db.url, folder) == ["0002"]
    assert await migrations.upgrade_database(db.url, folder) == []
    assert await migrations.pending(db, folder) == []
    async with db.begin() as tx:
        await tx.execute(text("INSERT INTO parcel (parcel_id, weight_g) VALUES ('p', 1)"))


async def test_upgrade_that_fails_changes_nothing(db: Database, folder: Path) -> None:
    add_second(folder, 'op.execute("SELECT no_such_function_here()")')
    with pytest.raises(DBAPIError):
        await migrations.upgrade_database(db.url, folder)

    assert await migrations.pending(db, folder) == ["0001", "0002"]
    with pytest.raises(DBAPIError):
        async with db.read() as tx:
            await tx.execute(text("SELECT * FROM parcel"))


async def test_upgrades_at_the_same_time_do_not_collide(db: Database, folder: Path) -> None:
    done = await asyncio.gather(*(migrations.upgrade_database(db.url, folder) for _ in range(3)))
    assert sorted(done) == [[], [], ["0001"]]


async def test_schema_of_a_newer_program_is_refused(db: Database, folder: Path) -> None:
    add_second(folder)
    await migrations.upgrade_database(db.url, folder)
    (folder / "versions" / "0002_expand_weight.py").unlink()
    with pytest.raises(migrations.SchemaTooNew):
        await migrations.pending(db, folder)


async def test_upgrade_works_from_a_thread(db: Database, folder: Path) -> None:
    assert await asyncio.to_thread(migrations.upgrade, "small", db.url, folder=folder) == ["0001"]
