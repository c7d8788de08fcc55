"""`fenliu db upgrade`: the schema of a service, by its Alembic migrations."""

from __future__ import annotations

from collections.abc import Mapping

from fenliu.cli.home import current_home
from fenliu.cli.services import database_url


class NoDatabase(Exception):
    """The service has no database, so there is nothing to upgrade."""


def upgrade(service: str, values: Mapping[str, str] | None = None) -> None:
    """Bring a service's database to the newest schema.

    values  FENLIU_<SERVICE>_… settings; None takes the process's environment, else the folder of `fenliu up`.
    Raises NoDatabase, BadSettings.
    """
    from fenliu.chassis import migrations

    if service == "classifier":
        raise NoDatabase("The classifier has no database.")
    url = values[f"FENLIU_{service.upper()}_DATABASE_URL"] if values else database_url(service, current_home())
    migrations.upgrade(service, url)
