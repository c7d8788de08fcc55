"""The services: where each one's settings and composition root are."""

from __future__ import annotations

import contextlib
import os
from importlib import import_module
from typing import Any

from fenliu.chassis.service import Service
from fenliu.chassis.service import run as run_service
from fenliu.chassis.settings import BadSettings, ServiceSettings, load
from fenliu.cli.home import SERVICES, Home, NoKey


def settings_class(name: str) -> type[ServiceSettings]:
    """The settings class of a service: services.intake.settings.IntakeSettings and the like. Raises KeyError."""
    if name not in SERVICES:
        raise KeyError(name)
    found: type[ServiceSettings] = getattr(import_module(f"services.{name}.settings"), f"{name.title()}Settings")
    return found


def settings(name: str) -> ServiceSettings:
    """A service's settings from the environment. Raises BadSettings."""
    return load(settings_class(name))


def effective(name: str, home: Home) -> ServiceSettings:
    """A service's settings for a person to look at; in an environment without keys, those that `fenliu up` gives it.

    Raises BadSettings.
    """
    prefix = f"FENLIU_{name.upper()}_"
    if not {"FENLIU_TOKEN_KEY", f"{prefix}TOKEN_KEY"} & os.environ.keys():
        with contextlib.suppress(NoKey):
            given: dict[str, Any] = {
                variable.removeprefix(prefix).lower(): value for variable, value in home.settings_env(name).items()
            }
            return settings_class(name)(**given)
    return settings(name)


def database_url(name: str, home: Home) -> str:
    """Address of a service's database: the environment's, which needs no keys for that, else what `fenliu up` uses.

    Raises BadSettings.
    """
    variable = f"FENLIU_{name.upper()}_DATABASE_URL"
    named = os.environ.get(variable) or os.environ.get("FENLIU_DATABASE_URL")
    if not named and not (named := effective(name, home).database_url):
        raise BadSettings(f"{variable} must be set")
    return named


def build(name: str, values: ServiceSettings) -> Service:
    """The service, composed but not started."""
    service: Service = import_module(f"services.{name}.main").build(values)
    return service


def run(name: str) -> None:
    """Run a service until SIGTERM or SIGINT. Raises BadSettings, and what chassis.service.run raises."""
    run_service(build(name, settings(name)))
