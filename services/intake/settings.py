"""Intake's settings."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fenliu.chassis.settings import ServiceSettings


class IntakeSettings(ServiceSettings):
    """FENLIU_INTAKE_*."""

    model_config = SettingsConfigDict(env_prefix="FENLIU_INTAKE_", extra="forbid", env_ignore_empty=True, frozen=True)

    public_notifier_url: str = Field(
        "http://127.0.0.1:8004",
        description="Address of the notifier as customers' browsers reach it; status links begin with it, and pages of "
        "its origin may call this service (CORS).",
    )
    status_link_days: int = Field(90, ge=1, le=3650, description="Days after which a status link stops working.")
    promise_grace_h: float = Field(
        6.0, ge=0, le=720, description="Hours after a promised delivery or refund before a ticket is opened for it."
    )
    default_tenant: str = Field(
        "",
        max_length=128,
        description="Tenant of order and logistics records that name none; empty: such records are dead letters.",
    )
    commit_batch: int = Field(500, ge=1, le=1000, description="Most contacts in one grouped commit.")
    commit_queue: int = Field(
        4000, ge=1, description="Most contacts that wait to be committed; above it 503 with Retry-After."
    )
    commit_timeout_s: float = Field(
        8.0, gt=0, description="Longest wait for a grouped commit, seconds; then 503. Below request_deadline_s."
    )
    due_every_s: float = Field(5.0, gt=0, description="Pause between looks for broken promises, seconds.")
    sweep_every_s: float = Field(
        15.0, gt=0, description="Pause between looks for tickets that the router has not taken up, seconds."
    )


Settings = IntakeSettings
"""Under this name the command line finds the settings of every service."""
