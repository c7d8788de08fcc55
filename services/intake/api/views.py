"""What callers see of tickets, messages, orders and parcels, and who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from pydantic import AwareDatetime, BaseModel, Field

from fenliu.chassis.auth import Principal, StatusClaims, StatusTokens
from services.intake.domain.contact import TERMINAL
from services.intake.domain.fact import Order, Parcel

EVERYBODY = ("storefront", "customer", "agent", "supervisor", "integration")
STAFF = ("agent", "supervisor")
SHOP = ("storefront", "agent", "supervisor", "integration")
"""Roles that may see every customer of their tenant."""


class StatusLinks:
    """Makes the links by which customers follow their tickets, and reads them again."""

    def __init__(self, tokens: StatusTokens, base_url: str, days: int) -> None:
        self._tokens = tokens
        self._base_url = base_url.rstrip("/")
        self._life = timedelta(days=days)

    def issue(self, tenant_id: str, ticket_id: str, received_at: datetime) -> tuple[str, str]:
        """Token and address. The same ticket and moment give the same link, so a retried request gets it again."""
        token = self._tokens.issue(tenant_id, ticket_id, received_at, received_at + self._life)
        return token, self.address(token)

    def address(self, token: str) -> str:
        """The page of a token."""
        return f"{self._base_url}/s/{token}"

    def verify(self, token: str, now: datetime) -> StatusClaims:
        """Raises InvalidToken."""
        return self._tokens.verify(token, now)


class ParcelView(BaseModel):
    """A parcel as its newest scan left it."""

    parcel_id: str
    order_id: str | None = Field(description="Null while nobody has said which order it belongs to.")
    status: str | None = Field(description="Kind of the newest scan, such as in_transit; null before the first.")
    carrier: str | None
    location: str | None
    promised_at: AwareDatetime | None
    delivered_at: AwareDatetime | None
    note: str | None
    version: int = Field(description="Version at the source; 0 before the first scan.")
    occurred_at: AwareDatetime | None = Field(description="When the newest scan happened.")


class OrderView(BaseModel):
    """An order as its newest event left it."""

    order_id: str
    customer_id: str | None
    status: str | None = Field(description="Kind of the newest event, such as dispatched.")
    total_minor: int | None = Field(description="Total in minor units (cents, fen).")
    currency: str | None
    promised_at: AwareDatetime | None = Field(description="Promised delivery.")
    refund_promised_at: AwareDatetime | None
    refund_paid_at: AwareDatetime | None
    note: str | None
    version: int = Field(description="Version at the source, or the time of its newest event in microseconds.")
    occurred_at: AwareDatetime | None = Field(description="When the newest event happened.")
    parcels: list[ParcelView]


class TicketView(BaseModel):
    """A ticket with the copy of its state. Null is absent, or not for this caller."""

    ticket_id: str
    customer_id: str
    order_id: str | None
    parcel_id: str | None
    channel: str
    locale: str | None
    attributes: dict[str, str | int | float | bool]
    desk: str | None
    origin: str = Field(description="customer, or event for a ticket that order or logistics facts opened.")
    fact: str | None = Field(description="For origin event: fact:<kind>:<id>.")
    state: str
    version: int = Field(description="The router's version of the state; 0 before it has said anything.")
    cancel_requested: bool = Field(description="True from a request to cancel until the router has decided.")
    repeat_contacts: int = Field(description="How many further contacts joined this ticket.")
    reopen_count: int
    awaited: str | None
    agent_name: str | None
    agent_id: str | None
    queue_id: str | None
    fence: int | None
    reason: str | None
    labels: dict[str, str] | None
    first_response_due_at: AwareDatetime | None
    resolution_due_at: AwareDatetime | None
    first_responded_at: AwareDatetime | None
    received_at: AwareDatetime
    changed_at: AwareDatetime | None
    order: OrderView | None = Field(None, description="The order's view; only where one ticket is read.")
    parcel: ParcelView | None = Field(None, description="The parcel's view; only where one ticket is read.")


class MessageView(BaseModel):
    """A message of a ticket."""

    message_id: str
    sequence: int
    author_role: str = Field(description="customer, agent or system.")
    author_id: str | None
    visibility: str = Field(description="public, or internal for notes among agents.")
    text: str
    added_at: AwareDatetime


class RatingView(BaseModel):
    """A customer's verdict."""

    ticket_id: str
    score: int
    comment: str | None
    rated_at: AwareDatetime


def only_customer(caller: Principal) -> str | None:
    """The one customer whose things the caller may see; None: all of the tenant."""
    return None if caller.has(*SHOP) else caller.subject


def is_staff(caller: Principal) -> bool:
    """True for those who see notes among agents and how a ticket is routed."""
    return caller.has(*STAFF)


def rfc3339(moment: datetime) -> str:
    """UTC with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ticket_view(row: Any, *, staff: bool) -> TicketView:
    """A ticket's row as its caller sees it."""
    state = row.state or "received"
    return TicketView(
        ticket_id=row.ticket_id,
        customer_id=row.customer_id,
        order_id=row.order_id or None,
        parcel_id=row.parcel_id or None,
        channel=row.channel,
        locale=row.locale or None,
        attributes=orjson.loads(row.attributes),
        desk=row.desk_id or None,
        origin=row.origin,
        fact=row.fact or None,
        state=state,
        version=row.version,
        cancel_requested=row.cancel_requested_at is not None and state not in TERMINAL,
        repeat_contacts=row.repeat_contacts,
        reopen_count=row.reopen_count,
        awaited=row.awaited or None,
        agent_name=row.agent_name or None,
        agent_id=(row.agent_id or None) if staff else None,
        queue_id=(row.queue_id or None) if staff else None,
        fence=row.fence if staff else None,
        reason=(row.reason or None) if staff else None,
        labels=(orjson.loads(row.labels) or None) if staff else None,
        first_response_due_at=row.first_response_due_at,
        resolution_due_at=row.resolution_due_at,
        first_responded_at=row.first_responded_at,
        received_at=row.received_at,
        changed_at=row.changed_at,
    )


def parcel_view(parcel: Parcel) -> ParcelView:
    """A parcel as callers see it."""
    fields = {name: value if value != "" else None for name, value in asdict(parcel).items()}
    return ParcelView.model_validate(fields)


def order_view(order: Order, parcels: Sequence[Parcel]) -> OrderView:
    """An order with its parcels as callers see it."""
    fields = {name: value if value != "" else None for name, value in asdict(order).items()}
    fields["total_minor"] = order.total_minor or None
    return OrderView.model_validate(fields | {"parcels": [parcel_view(parcel) for parcel in parcels]})
