"""/v1/timelines: what the customer of a ticket may see, as a list and as a stream."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Database, Transaction
from fenliu.chassis.errors import Transient
from fenliu.chassis.http import Identifier, deadline, problem_responses, require
from services.notifier import domain, store
from services.notifier.api.stream import (
    LONGEST_S,
    OpenStreams,
    StreamLimits,
    after_of,
    shown_entry,
    stream_response,
)
from services.notifier.domain import TicketCopy

Reader = Annotated[Principal, require("storefront", "customer", "agent", "supervisor", "integration")]


class NotHeardOf(Transient):
    """There is no ticket of this name that you may see. One accepted a moment ago is here within seconds: try again."""

    slug = "not-found"
    http_status = 404


class Label(BaseModel):
    """Words that customers read, by language."""

    en: str
    zh: str


class EntryOut(BaseModel):
    """One line of a timeline."""

    sequence: int = Field(description="Id of the server-sent event; grows within the ticket, with gaps.")
    kind: str = Field(description="What happened: a step such as in_line, or message_agent, cancel_requested, …")
    label: Label
    at: datetime
    text: str | None = Field(description="A public message's text, a rating's score; null for everything else.")
    author: str | None = Field(description="Agent's name as customers may see it; null: the customer or nobody.")


class TimelineOut(BaseModel):
    """A ticket as its customer may see it."""

    ticket_id: str
    step: str = Field(description="Where the ticket stands in the customer's words; not the router's state.")
    headline: Label
    promised_by: datetime | None = Field(description="When the next thing has been promised; null: no promise.")
    late: bool = Field(description="True where that promise was broken.")
    actions: list[str] = Field(description="What the customer can do now: cancel, help, confirm, reopen, rate.")
    received_at: datetime | None
    order_id: str | None
    parcel_id: str | None
    last_sequence: int = Field(description="Give it as `after` to the stream to get only what is newer.")
    entries: list[EntryOut] = Field(description="Oldest first, at most 200; `after` skips earlier ones.")


def routes(db: Database, streams: OpenStreams, limits: StreamLimits) -> APIRouter:
    """Routes with a token; those with a status link are in page.py."""
    router = APIRouter(prefix="/v1/timelines", tags=["timelines"])

    @router.get("/{ticket_id}", responses=problem_responses(401, 403, 404, 422))
    async def read_timeline(
        ticket_id: Identifier,
        caller: Reader,
        after: Annotated[int, Query(ge=0, lt=2**53, description="Only entries above this sequence.")] = 0,
    ) -> TimelineOut:
        """Where the ticket stands and what happened, in words for customers."""
        async with db.read() as tx:
            ticket = await _visible(tx, caller, ticket_id)
            entries = await store.load_entries(tx, caller.tenant_id, ticket_id, after=after)
            now = tx.now
        view = domain.outlook(ticket, now)
        return TimelineOut(
            ticket_id=ticket_id,
            step=view.step,
            headline=Label(en=domain.say(f"now_{view.step}", "en"), zh=domain.say(f"now_{view.step}", "zh")),
            promised_by=view.when,
            late=view.late,
            actions=list(domain.actions_for(view.step, ())),
            received_at=ticket.received_at,
            order_id=ticket.order_id or None,
            parcel_id=ticket.parcel_id or None,
            last_sequence=entries[-1].sequence if entries else after,
            entries=[EntryOut.model_validate(shown_entry(entry)) for entry in entries],
        )

    @router.get(
        "/{ticket_id}/events",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "Events of type `timeline`; ids are sequences."},
            **problem_responses(401, 403, 404, 422, 503),
        },
    )
    @deadline(LONGEST_S + 30)
    async def stream_timeline(
        ticket_id: Identifier,
        caller: Reader,
        last_event_id: Annotated[str | None, Header(max_length=64, description="Resume after this event.")] = None,
        after: Annotated[int, Query(ge=0, lt=2**53, description="The same for a first connection.")] = 0,
    ) -> StreamingResponse:
        """New lines as server-sent events; after Last-Event-ID none is missed. Ends within an hour; come back then.

        The notifier hears of a ticket a moment after intake answered 202; until then this is 404 with Retry-After, for
        which a browser's EventSource gives up: read /v1/timelines/{ticket_id} until it answers 200, then open this.
        """
        async with db.read() as tx:
            await _visible(tx, caller, ticket_id)
            until = tx.now + timedelta(seconds=LONGEST_S * 2)
        key = (caller.tenant_id, ticket_id)
        return stream_response(db, streams, limits, key, after=after_of(last_event_id, after), until=until)

    return router


async def _visible(tx: Transaction, caller: Principal, ticket_id: str) -> TicketCopy:
    """The ticket. Raises NotHeardOf for another tenant's, and for another customer's where a customer asks."""
    ticket = await store.load_ticket(tx, caller.tenant_id, ticket_id)
    staff = caller.has("storefront", "agent", "supervisor", "integration")
    if ticket is None or (not staff and ticket.customer_id != caller.subject):
        raise NotHeardOf(retry_after_s=1.0)
    return ticket
