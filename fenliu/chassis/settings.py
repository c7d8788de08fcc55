"""Settings of a service: one class, read once from the environment, every field with its unit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from fenliu.chassis.auth import BrowserKey, split_keys

SHARED_PREFIX = "FENLIU_"
"""FENLIU_KAFKA_BOOTSTRAP stands for FENLIU_<SERVICE>_KAFKA_BOOTSTRAP of every service that has none of its own."""


class ServiceSettings(BaseSettings):
    """Fields that all four services have. A service's class sets its own env_prefix, FENLIU_<SERVICE>_."""

    model_config = SettingsConfigDict(extra="forbid", env_ignore_empty=True, hide_input_in_errors=True, frozen=True)

    http_host: str = Field("127.0.0.1", description="Address that the HTTP server binds to.")
    http_port: int = Field(0, ge=0, le=65535, description="Port of the HTTP server. 0 picks a free one (tests).")
    kafka_bootstrap: str = Field("127.0.0.1:8092", description="Kafka brokers, host:port, comma separated.")
    kafka_security_protocol: str = Field(
        "PLAINTEXT", pattern="^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$", description="How brokers are spoken to."
    )
    kafka_sasl_mechanism: str = Field("PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; with SASL only.")
    kafka_sasl_username: str = Field("", description="Name at the brokers; with SASL only.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="Password at the brokers; with SASL only.")
    kafka_ca_file: str = Field("", description="File with the brokers' certificate authority; empty: the system's.")
    kafka_replication: int = Field(1, ge=1, le=7, description="Copies of topics created here; 3 in production.")
    database_url: str = Field(
        "", description="postgresql+asyncpg://… or sqlite+aiosqlite:///…; empty only where the service has no database."
    )
    token_key: SecretStr = Field(
        description="Key that signs and verifies API tokens (HS256), at least 32 characters. The same for all "
        'services. "new,old" while keys are rotated: the first signs, all verify.'
    )
    status_key: SecretStr = Field(
        description="Key that signs status links, at least 32 characters. Shared by intake and notifier. "
        '"new,old" while keys are rotated.'
    )
    browser_keys: tuple[BrowserKey, ...] = Field(
        (),
        description="Publishable keys for web pages, which may only create. JSON: "
        '[{"key": "pk_…", "tenant_id": "…", "origins": ["https://shop.example"]}].',
    )
    page_origins: tuple[str, ...] = Field(
        (), description='Further origins whose pages may call this service (CORS). JSON: ["https://status.example"].'
    )
    public_url: str = Field(
        "", description="Address under which browsers reach this service, without a final slash; empty: host and port."
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe log line shown.")

    body_limit_bytes: int = Field(262_144, ge=1024, description="Largest request body, bytes; above it 413.")
    request_deadline_s: float = Field(
        10.0, gt=0, description="Longest time for one request, seconds; then 503 (408 where the body was late)."
    )
    header_deadline_s: float = Field(
        10.0, gt=0, description="Longest time for a request's header, seconds; then the connection is closed."
    )
    idle_deadline_s: float = Field(
        75.0, gt=0, description="A connection without a request is closed after this, seconds. Above the proxy's own."
    )
    max_in_flight: int = Field(2000, ge=1, description="Most requests at once; above it 503 with Retry-After.")
    max_streams: int = Field(10_000, ge=1, description="Most open streams and long polls at once; above it 503.")
    tenant_rate_per_s: float = Field(
        2000.0, ge=0, description="Requests per second that one tenant may send for ever; 0: no limit. Above it 429."
    )
    tenant_burst: int = Field(6000, ge=1, description="Requests that one tenant may send at once after a pause.")
    drain_s: float = Field(
        0.0,
        ge=0,
        description="Seconds between failing /readyz and closing the door, so that load balancers notice. "
        "5 to 10 on Kubernetes.",
    )
    grace_s: float = Field(
        15.0, gt=0, description="Longest time for everything under way to finish after the door closed, seconds."
    )

    db_pool_size: int = Field(8, ge=1, le=200, description="Connections to the database.")
    db_acquire_timeout_s: float = Field(5.0, gt=0, description="Longest wait for a connection, seconds.")
    db_statement_timeout_s: float = Field(10.0, gt=0, description="Longest statement, seconds.")
    db_lock_timeout_s: float = Field(5.0, gt=0, description="Longest wait for a row lock, seconds.")

    @field_validator("token_key", "status_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        split_keys(value.get_secret_value())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then FENLIU_<SERVICE>_*, then FENLIU_* for the fields that all services have."""
        return init_settings, env_settings, _SharedSource(settings_cls, env_prefix=SHARED_PREFIX)


class _SharedSource(EnvSettingsSource):
    """FENLIU_* without a service's name, for common fields only."""

    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__call__().items() if name in ServiceSettings.model_fields}


class BadSettings(Exception):
    """The environment does not make sense. The message names every variable and what is wrong with it."""


S = TypeVar("S", bound=ServiceSettings)


def load(settings_class: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read a service's settings from the environment; the command line calls this once, at start.

    environ  only looked at for names that no field has; None: the process's own.
    Raises BadSettings, with a message for the person who starts the service.
    """
    prefix = env_prefix(settings_class)
    names = {f"{prefix}{name}".upper() for name in settings_class.model_fields}
    seen = os.environ if environ is None else environ
    problems = [
        f"{name} is not a setting; known are the names in docs/configuration.md"
        for name in sorted(seen)
        if name.upper().startswith(prefix.upper()) and name.upper() not in names
    ]
    try:
        settings = settings_class()
    except ValidationError as error:
        problems += [_sentence(prefix, part) for part in error.errors(include_input=False, include_url=False)]
    if problems:
        raise BadSettings("\n".join(problems))
    return settings


def _sentence(prefix: str, error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "missing":
        shared = f" (or {SHARED_PREFIX}{field.upper()})" if field in ServiceSettings.model_fields else ""
        return f"{prefix}{field.upper()}{shared} must be set"
    return f"{prefix}{field.upper()}: {error['msg']}"


def env_prefix(settings_class: type[ServiceSettings]) -> str:
    """FENLIU_INTAKE_ and the like."""
    return str(settings_class.model_config.get("env_prefix", ""))


def describe(settings_class: type[ServiceSettings]) -> list[dict[str, str]]:
    """One row per setting for docs/configuration.md: name, shared name ("" if none), type, default, description."""
    prefix = env_prefix(settings_class)
    rows = []
    for name, field in settings_class.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        rows.append(
            {
                "name": f"{prefix}{name}".upper(),
                "shared": f"{SHARED_PREFIX}{name}".upper() if name in ServiceSettings.model_fields else "",
                "type": getattr(field.annotation, "__name__", str(field.annotation)),
                "default": default,
                "description": field.description or "",
            }
        )
    return rows


def redacted(settings: ServiceSettings) -> dict[str, str]:
    """The effective values for printing. Secrets become stars, and so does a password inside an address."""
    shown = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            shown[name] = "********"
        elif name == "browser_keys":
            shown[name] = f"{len(value)} keys"
        else:
            shown[name] = _without_password(str(value))
    return shown


def _without_password(value: str) -> str:
    head, found, tail = value.rpartition("@")
    if not found or "://" not in head:
        return value
    scheme, _, credentials = head.partition("://")
    user = credentials.partition(":")[0]
    return f"{scheme}://{user}:********@{tail}"
