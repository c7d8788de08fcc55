"""Settings of the notifier."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fenliu.chassis.settings import ServiceSettings


class NotifierSettings(ServiceSettings):
    """Environment: FENLIU_NOTIFIER_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="FENLIU_NOTIFIER_")

    public_intake_url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.\-\[\]:]+)?$",
        description="Address under which browsers reach intake, without a final slash: the status page's forms post "
        "there. Empty: the same host as the page.",
    )
    page_timezone: str = Field(
        "Asia/Shanghai",
        description="IANA zone in which the status page writes times for readers without JavaScript; all others see "
        "their own.",
    )
    webhook_allow_loopback: bool = Field(
        False,
        description="Also deliver to this machine, by http too. For a first look and for tests; never on a server "
        "that others use.",
    )
    webhook_ports: tuple[int, ...] = Field(
        (), description="Ports besides 443 that webhook endpoints may use. JSON: [8443]."
    )
    webhook_connect_timeout_s: float = Field(5.0, gt=0, le=30, description="Longest time to connect, seconds.")
    webhook_timeout_s: float = Field(15.0, gt=0, le=60, description="Longest time for a whole attempt, seconds.")
    webhook_max_in_flight: int = Field(
        1000, ge=1, le=10_000, description="Most webhook attempts at once, over all endpoints."
    )
    webhook_per_endpoint: int = Field(
        8, ge=4, le=100, description="Most webhook attempts at once to one endpoint; 4 to one that last failed."
    )
    subscriptions_per_tenant: int = Field(20, ge=1, le=1000, description="Most webhook subscriptions of one tenant.")
    delivery_log_days: int = Field(14, ge=1, le=365, description="Days for which finished deliveries are kept.")
    stream_heartbeat_s: float = Field(
        15.0, gt=0, le=60, description="Silence on an event stream before a comment is sent, seconds."
    )
    stream_poll_s: float = Field(
        0.5, gt=0, le=5, description="Pause between looks for what other replicas wrote to watched tickets, seconds."
    )
