"""Schema migrations of every service, by Alembic, without an env.py per service.

A service's `migrations/` folder holds `versions/` only; what an env.py would say is said here once. Upgrades run in one
transaction under a lock, so replicas may start them at the same time, and on SQLite as well as on PostgreSQL.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from fenliu.chassis.db import Database
from fenliu.chassis.errors import FenliuError

VERSION_TABLE = "schema_version"

_LOCK = 0x66656E6C6975
"""Key of the advisory lock that keeps two upgrades of one PostgreSQL database apart."""


class MigrationsPending(FenliuError):
    """The database's schema is older than this program. Run `fenliu db upgrade`, then start again."""

    slug = "migrations-pending"


class SchemaTooNew(FenliuError):
    """The database's schema comes from a newer program. Start that one, or restore the database."""

    slug = "schema-too-new"


def folder_of(service: str) -> Path:
    """Where the migrations of a service are. Raises FileNotFoundError where it has none."""
    spec = find_spec(f"services.{service}")
    folder = Path(spec.origin or "").parent / "migrations" if spec else Path("migrations")
    if not (folder / "versions").is_dir():
        raise FileNotFoundError(f"the service {service} has no migrations")
    return folder


def upgrade(service: str, url: str, *, folder: Path | None = None) -> list[str]:
    """Bring a service's database to the newest schema. Returns the revisions applied, oldest first.

    For callers without an event loop (the command line, a thread); see upgrade_database for the others.
    """
    return asyncio.run(upgrade_database(url, folder or folder_of(service)))


async def upgrade_database(url: str, folder: Path) -> list[str]:
    """Like `upgrade`, on the running event loop. Raises SchemaTooNew; a failed upgrade changes nothing."""
    if url.startswith("postgresql"):
        engine = create_async_engine(url, connect_args={"timeout": 10})
        try:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                return await connection.run_sync(_upgrade, folder)
        finally:
            await engine.dispose()
    database = Database(url, lock_timeout_s=60)
    try:
        async with database._writer.begin() as connection:  # BEGIN IMMEDIATE: that is the lock
            return await connection.run_sync(_upgrade, folder)
    finally:
        await database.close()


async def pending(database: Database, folder: Path) -> list[str]:
    """Revisions that the database still lacks, oldest first. Raises SchemaTooNew, DatabaseUnavailable."""
    async with database.read() as tx:
        return await tx._connection.run_sync(_pending, folder)


def _script(folder: Path) -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config, ScriptDirectory.from_config(config)


def _pending(connection: Connection, folder: Path) -> list[str]:
    _, script = _script(folder)
    applied = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()
    known = {revision.revision for revision in script.walk_revisions()}
    if not set(applied) <= known:
        raise SchemaTooNew()
    done = {revision.revision for head in applied for revision in script.iterate_revisions(head, "base")}
    return [revision.revision for revision in reversed(list(script.walk_revisions())) if revision.revision not in done]


def _upgrade(connection: Connection, folder: Path) -> list[str]:
    config, script = _script(folder)
    missing = _pending(connection, folder)
    if not missing:
        return []

    def steps(revision: tuple[str, ...], _: MigrationContext) -> list[object]:
        return list(script._upgrade_revs("heads", revision))  # type: ignore[arg-type]

    with EnvironmentContext(config, script, fn=steps, destination_rev="heads") as environment:
        environment.configure(
            connection=connection,
            version_table=VERSION_TABLE,
            transactional_ddl=True,  # SQLite has it as well, once the driver's own BEGIN is out of the way
            render_as_batch=connection.dialect.name == "sqlite",
        )
        environment.run_migrations()
    return missing
