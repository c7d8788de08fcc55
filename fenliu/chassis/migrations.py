"""Brings a service's database to the newest schema, by the Alembic revisions in services/<name>/migrations/versions.

There is no env.py per service: what stands in one is the same for all of them and is here. A revision is a module with
`revision`, `down_revision` and `upgrade()`, using `alembic.op`; tables.py is not imported by revisions, because a
revision must still mean the same when the tables have moved on.
"""

from __future__ import annotations

import asyncio
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from fenliu.chassis.db import DatabaseUnavailable, is_disconnect

LOCK_TIMEOUT_S = 10
"""A migration that cannot get its lock gives up instead of stopping the service that holds it, seconds."""


def upgrade(service: str, url: str) -> None:
    """Run every revision that the database does not have yet, each in a transaction; twice is harmless.

    url  as in the service's setting database_url.
    Blocks until done. Raises DatabaseUnavailable.
    """
    asyncio.run(_upgrade(service, url))


def scripts(service: str) -> ScriptDirectory:
    """The revisions of a service."""
    config = Config()
    config.set_main_option("script_location", f"services.{service}:migrations")
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def head(service: str) -> str | None:
    """The newest revision of a service; None where it has none."""
    return scripts(service).get_current_head()


async def _upgrade(service: str, url: str) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            if url.startswith("postgresql"):
                await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'"))
                await connection.commit()
            await connection.run_sync(_run, scripts(service))
            await connection.commit()
    except (OSError, TimeoutError) as error:
        raise DatabaseUnavailable(f"The database of {service} does not answer: {error}") from error
    except DBAPIError as error:
        if is_disconnect(error):
            raise DatabaseUnavailable() from error
        raise
    finally:
        await engine.dispose()


def _run(connection: Connection, script: ScriptDirectory) -> None:
    def revisions(current: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", current)

    with EnvironmentContext(Config(), script, fn=revisions) as environment:
        environment.configure(connection=connection, render_as_batch=True, transaction_per_migration=True)
        with environment.begin_transaction():
            environment.run_migrations()
