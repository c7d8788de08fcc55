"""Settings of the router."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fenliu.chassis.settings import ServiceSettings


class RouterSettings(ServiceSettings):
    """Environment of the router, prefix FENLIU_ROUTER_."""

    model_config = SettingsConfigDict(env_prefix="FENLIU_ROUTER_")

    sla_path: Path | None = Field(None, description="Service levels; absent: the sla.toml that comes with the router.")
    queues_path: Path | None = Field(
        None, description="Queues and queue rules; absent: the queues.toml that comes with the router."
    )
    triage_after_s: float = Field(30, gt=0, description="Seconds without labels until a ticket goes to triage.")
    explain_after_s: float = Field(
        5, gt=0, description="Seconds of waiting after which the reason for waiting is found out and published."
    )
    ask_again_after_s: float = Field(
        900, gt=0, description="Seconds after which those who declined are asked again, where nobody else can take it."
    )
    away_grace_s: float = Field(
        600, ge=0, description="Seconds for which work under way stays with an agent who is away or offline."
    )
    quiet_after_s: float = Field(
        1800,
        ge=0,
        description="Seconds on hold for the customer after which a ticket gives its agent's place back; when the "
        "customer answers it is queued and goes to the same agent, if they have room soon. 0: never.",
    )
    presence_timeout_s: float = Field(
        900,
        ge=0,
        description="Seconds without a sign of life (presence set, or a poll for work) until an online agent counts "
        "as offline. 0: never.",
    )
    close_after_h: float = Field(72, gt=0, description="Hours from resolved to closed.")
    self_service_after_h: float = Field(72, gt=0, description="Hours until unanswered self-service is closed.")
    lease_s: float = Field(
        5, ge=1, description="Length of a desk's lease, seconds: how long a dead dispatcher's desks stand still."
    )
    dispatch_poll_s: float = Field(0.25, gt=0, description="Longest pause between two looks at a desk, seconds.")
    dispatch_batch: int = Field(200, ge=1, le=2000, description="Most assignments in one transaction.")
