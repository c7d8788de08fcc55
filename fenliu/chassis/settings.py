"""Settings of a service: one class, read once from the environment, every field with its unit."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Fields that all four services have. A service's class sets its own env_prefix, FENLIU_<SERVICE>_."""

    model_config = SettingsConfigDict(extra="forbid", env_ignore_empty=True)

    http_host: str = Field("127.0.0.1", description="Address that the HTTP server binds to.")
    http_port: int = Field(0, ge=0, le=65535, description="Port of the HTTP server. 0 picks a free one (tests).")
    kafka_bootstrap: str = Field("127.0.0.1:8092", description="Kafka brokers, host:port, comma separated.")
    database_url: str = Field(
        "", description="postgresql+asyncpg://… or sqlite+aiosqlite:///…; empty only where the service has no database."
    )
    token_key: SecretStr = Field(
        description="Key that signs and verifies API tokens (HS256), at least 32 characters. The same for all services."
    )
    status_key: SecretStr = Field(
        description="Key that signs status links, at least 32 characters. Shared by intake and notifier."
    )
