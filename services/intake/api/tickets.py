"""Opening tickets, reading and listing them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Protocol

import orjson
import uuid_utils
from fastapi import APIRouter, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Database
from fenliu.chassis.errors import Forbidden, Malformed, NotFound
from fenliu.chassis.http import (
    NO_OTHER_NAMES,
    Cursor,
    Identifier,
    Page,
    Paged,
    RawText,
    StrictModel,
    Text,
    direct,
    page,
    problem_responses,
    require,
)
from fenliu.contracts.vocabulary import State
from services.intake import metrics
from services.intake.api.views import (
    EVERYBODY,
    StatusLinks,
    TicketView,
    is_staff,
    only_customer,
    order_view,
    parcel_view,
    rfc3339,
    ticket_view,
)
from services.intake.domain.contact import CREATE, MAX_TEXT_CHARS, Contact, fingerprint_of, ticket_id_for
from services.intake.store import reading
from services.intake.store.receiving import KeyReused, Receipt

KEY_PATTERN = "^[\x21-\x7e]{1,255}$"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=KEY_PATTERN,
        description="1 to 255 visible ASCII characters; the same key and body never take effect twice.",
    ),
]
KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": KEY_PATTERN},
    "description": "1 to 255 visible ASCII characters; the same key and body never take effect twice.",
}
"""The header as create_ticket documents it; the route reads it by itself, a declared one would cost it 0.1 ms."""


class Receiver(Protocol):
    """Commits contacts; see workers.grouped_contacts."""

    async def submit(self, contact: Contact) -> Receipt | KeyReused:
        """What became of the contact, after the commit."""
        ...


class IdempotencyKeyReused(Malformed):
    """This Idempotency-Key already stands for another request. Nothing was written; use a new key."""

    slug = "idempotency-key-reused"
    http_status = 422


class CustomerMissing(Malformed):
    """customer_id is missing: only a customer's own token says who the customer is."""

    slug = "customer-missing"
    http_status = 422


class NewTicket(StrictModel):
    """What a customer wants."""

    text: Annotated[str, Text(MAX_TEXT_CHARS)] = Field(description="The customer's words.")
    customer_id: Identifier | None = Field(
        None, description="Customer as the shop knows them; may be left out by a customer's own token."
    )
    order_id: Identifier | None = None
    parcel_id: Identifier | None = Field(None, description="The carrier's tracking number.")
    channel: Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_-]{0,31}$")] = Field(
        "web",
        description="Way in: free text for the shop's own reports. The demo shop uses web, app, chat, email and phone; "
        "metrics count any other word as other.",
    )
    locale: Annotated[str, StringConstraints(pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$")] | None = Field(
        None, description="BCP 47 tag of the page, such as zh-CN; a hint."
    )
    attributes: dict[Annotated[str, Text(64)], Annotated[str, RawText(500)] | int | float | bool] = Field(
        default_factory=dict,
        max_length=50,
        description="The shop's own fields, shown to agents.",
        json_schema_extra=NO_OTHER_NAMES,
    )
    desk: Identifier | None = Field(None, description="Desk that must handle it; absent: main.")


class TicketAccepted(BaseModel):
    """The ticket is committed to the database and will not be lost."""

    ticket_id: str
    state: str
    joined: bool = Field(description="True where the contact joined an open ticket about the same order or parcel.")
    received_at: AwareDatetime
    status_url: str | None = Field(
        description="Page on which the customer follows the ticket. Null where a browser key's contact joined a ticket."
    )
    status_token: str | None


def routes(db: Database, receiver: Receiver, links: StatusLinks) -> APIRouter:
    """POST /v1/tickets, GET /v1/tickets, GET /v1/tickets/{id}."""
    router = APIRouter(tags=["tickets"])

    @router.post(
        "/v1/tickets",
        status_code=202,
        response_model=TicketAccepted,
        responses=problem_responses(400, 401, 403, 413, 415, 422, 429, 503),
        openapi_extra={"parameters": [KEY_PARAMETER]},
    )
    @direct
    async def create_ticket(
        request: Request, body: NewTicket, caller: Annotated[Principal, require(*EVERYBODY, browser_keys=True)]
    ) -> Response:
        """Open a ticket, or join the open one about the same order or parcel."""
        result = await receiver.submit(contact_of(body, caller, key_of(request)))
        if isinstance(result, KeyReused):
            metrics.refused_total.inc(reason="key_reused")
            raise IdempotencyKeyReused()
        outcome = "repeated" if result.repeated else "joined" if result.joined else "opened"
        metrics.contacts_total.inc(channel=body.channel, outcome=outcome)
        return _accepted(result, caller, links)

    _add_reading_routes(router, db)
    return router


def _add_reading_routes(router: APIRouter, db: Database) -> None:
    @router.get("/v1/tickets", responses=problem_responses(401, 403, 422, 503))
    async def list_tickets(
        caller: Annotated[Principal, require(*EVERYBODY)],
        paging: Paged,
        customer_id: Annotated[Identifier | None, Query()] = None,
        order_id: Annotated[Identifier | None, Query()] = None,
        state: Annotated[State | None, Query()] = None,
    ) -> Page[TicketView]:
        """Tickets, newest first; a customer sees their own."""
        own = only_customer(caller)
        if own is not None and customer_id not in (None, own):
            return page([], None)
        after = Cursor.decode(paging.cursor, datetime, str)
        narrowed = reading.TicketFilter(own or customer_id, order_id, state)
        position = (after[0], after[1]) if after else None
        async with db.read() as tx:
            rows = await reading.load_tickets(tx, caller.tenant_id, narrowed, paging.limit + 1, position)
        shown = rows[: paging.limit]
        following = Cursor.encode(shown[-1].received_at, shown[-1].ticket_id) if len(rows) > len(shown) else None
        return page([ticket_view(row, staff=is_staff(caller)) for row in shown], following)

    @router.get("/v1/tickets/{ticket_id}", responses=problem_responses(401, 403, 404, 422, 503))
    async def read_ticket(ticket_id: Identifier, caller: Annotated[Principal, require(*EVERYBODY)]) -> TicketView:
        """One ticket with what is known about its order and parcel."""
        own = only_customer(caller)
        async with db.read() as tx:
            row = await reading.load_ticket(tx, caller.tenant_id, ticket_id, own)
            if row is None:
                raise NotFound()
            view = ticket_view(row, staff=is_staff(caller))
            order = await reading.load_order(tx, caller.tenant_id, row.order_id) if row.order_id else None
            parcel = await reading.load_parcel(tx, caller.tenant_id, row.parcel_id) if row.parcel_id else None
            if parcel and not row.order_id and parcel.order_id:
                order = await reading.load_order(tx, caller.tenant_id, parcel.order_id)
        # A customer may have named somebody else's order; naming it must not show it.
        if order and own in (None, order[0].customer_id):
            view.order = order_view(*order)
        if parcel and (own is None or (order and order[0].customer_id == own and parcel.order_id == order[0].order_id)):
            view.parcel = parcel_view(parcel)
        return view


def key_of(request: Request) -> str | None:
    """The request's Idempotency-Key; None where there is none. Raises RequestValidationError."""
    key = request.headers.get("idempotency-key")
    if key is not None and re.fullmatch(KEY_PATTERN, key) is None:
        where, words = ("header", "Idempotency-Key"), "1 to 255 visible ASCII characters are needed"
        raise RequestValidationError([{"type": "value_error", "loc": where, "msg": words}])
    return key


def contact_of(body: NewTicket, caller: Principal, key: str | None) -> Contact:
    """The validated contact. Raises CustomerMissing, or Forbidden for a customer who names another one."""
    own = only_customer(caller)
    customer_id = body.customer_id or own
    if customer_id is None:
        raise CustomerMissing()
    if own is not None and customer_id != own:
        raise Forbidden("A customer's token opens tickets of that customer only.")
    attributes = orjson.dumps(body.attributes).decode() if body.attributes else "{}"
    fields: dict[str, Any] = {
        "customer_id": customer_id,
        "text": body.text,
        "order_id": body.order_id or "",
        "parcel_id": body.parcel_id or "",
        "channel": body.channel,
        "locale": body.locale or "",
        "desk_id": body.desk or "",
    }
    return Contact(
        tenant_id=caller.tenant_id,
        ticket_id=ticket_id_for(caller.tenant_id, CREATE, key) if key else str(uuid_utils.uuid7()),
        attributes=attributes,
        key=key or "",
        fingerprint=fingerprint_of(fields | {"attributes": body.attributes}) if key else "",
        **fields,
    )


def _accepted(receipt: Receipt, caller: Principal, links: StatusLinks) -> Response:
    """The 202. Nobody proved to a browser key who they are, so it is not given the link of a ticket that was there."""
    token, url = links.issue(caller.tenant_id, receipt.ticket_id, receipt.received_at)
    shown = not (receipt.joined and caller.browser_key)
    body = {
        "ticket_id": receipt.ticket_id,
        "state": receipt.state,
        "joined": receipt.joined,
        "received_at": rfc3339(receipt.received_at),
        "status_url": url if shown else None,
        "status_token": token if shown else None,
    }
    location = {"Location": f"/v1/tickets/{receipt.ticket_id}"}
    return Response(orjson.dumps(body), 202, headers=location, media_type="application/json")
