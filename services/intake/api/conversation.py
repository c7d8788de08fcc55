"""Messages on a ticket, and what customers ask for: cancel, help, confirm, reopen, rating."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Database, Transaction
from fenliu.chassis.errors import Conflict, Forbidden, NotFound
from fenliu.chassis.http import (
    Cursor,
    Identifier,
    Page,
    Paged,
    StrictModel,
    Text,
    Whole,
    page,
    problem_responses,
    require,
)
from services.intake import metrics
from services.intake.api.tickets import IdempotencyKey, IdempotencyKeyReused
from services.intake.api.views import EVERYBODY, STAFF, MessageView, is_staff, only_customer
from services.intake.domain.contact import MAX_TEXT_CHARS, fingerprint_of, message_id_for
from services.intake.domain.ticket import Held, is_over, reopens
from services.intake.store import conversation, events, reading
from services.intake.store.conversation import Author
from services.intake.store.receiving import KeyReused, load_request

Action = Literal["cancel", "help", "confirm", "reopen"]


class TicketOver(Conflict):
    """The ticket is closed or cancelled and takes nothing more. Open a new one."""

    slug = "ticket-over"


class NewMessage(StrictModel):
    """A message to the customer, from the customer, or a note among agents."""

    text: Annotated[str, Text(MAX_TEXT_CHARS)]
    visibility: Literal["public", "internal"] = Field("public", description="internal: for agents only.")


class Reason(StrictModel):
    """Why, in the customer's words."""

    reason: Annotated[str, Text(500)] | None = None


class NewRating(StrictModel):
    """The customer's verdict."""

    score: Annotated[int, Field(ge=1, le=5), Whole] = Field(description="1 (bad) to 5 (good).")
    comment: Annotated[str, Text(2000)] | None = None


class MessageAccepted(BaseModel):
    """The message is committed."""

    message_id: str
    sequence: int


class RequestAccepted(BaseModel):
    """The request is committed; the router decides what follows from it."""

    ticket_id: str
    accepted: str


def routes(db: Database) -> APIRouter:
    """Everything below /v1/tickets/{id}/."""
    router = APIRouter(tags=["conversation"])
    _add_message_routes(router, db)
    _add_request_routes(router, db)
    return router


def _add_message_routes(router: APIRouter, db: Database) -> None:
    @router.post(
        "/v1/tickets/{ticket_id}/messages",
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    )
    async def add_message(
        ticket_id: Identifier,
        body: NewMessage,
        caller: Annotated[Principal, require(*EVERYBODY)],
        idempotency_key: IdempotencyKey = None,
    ) -> MessageAccepted:
        """Write on a ticket. A customer's message on a resolved ticket also asks to open it again."""
        if body.visibility == "internal" and not is_staff(caller):
            raise Forbidden(f"Notes among agents need one of the roles {', '.join(STAFF)}.")
        return await db.run(
            lambda tx: add(tx, caller, ticket_id, body.text, visibility=body.visibility, key=idempotency_key)
        )

    @router.get("/v1/tickets/{ticket_id}/messages", responses=problem_responses(401, 403, 404, 422, 503))
    async def list_messages(
        ticket_id: Identifier, caller: Annotated[Principal, require(*EVERYBODY)], paging: Paged
    ) -> Page[MessageView]:
        """Messages, oldest first; notes among agents are shown to agents only."""
        after = Cursor.decode(paging.cursor, int)
        async with db.read() as tx:
            if await reading.load_ticket(tx, caller.tenant_id, ticket_id, only_customer(caller)) is None:
                raise NotFound()
            rows = await reading.load_messages(
                tx,
                caller.tenant_id,
                ticket_id,
                paging.limit + 1,
                after[0] if after else 0,
                internal=is_staff(caller),
            )
        shown = rows[: paging.limit]
        following = Cursor.encode(shown[-1].sequence) if len(rows) > len(shown) else None
        return page([_message_view(row) for row in shown], following)


def _add_request_routes(router: APIRouter, db: Database) -> None:
    refusals = problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)

    def add_action(action: Action, what: str) -> None:
        async def handle(
            ticket_id: Identifier, caller: Annotated[Principal, require(*EVERYBODY)], body: Reason | None = None
        ) -> RequestAccepted:
            reason = (body.reason if body else None) or ""
            own = only_customer(caller)
            return await db.run(lambda tx: ask(tx, action, caller.tenant_id, ticket_id, own, reason))

        handle.__doc__ = what
        path = f"/v1/tickets/{{ticket_id}}/{action}"
        router.post(path, status_code=202, responses=refusals, name=f"{action}_ticket")(handle)

    add_action("cancel", "Ask to cancel the ticket; it shows cancel_requested until the router has decided.")
    add_action("help", "Ask for a human.")
    add_action("confirm", "Say that it is solved.")
    add_action("reopen", "Say that a resolved ticket is not solved.")

    @router.post("/v1/tickets/{ticket_id}/rating", status_code=202, responses=refusals)
    async def rate_ticket(
        ticket_id: Identifier,
        body: NewRating,
        caller: Annotated[Principal, require("storefront", "customer", "integration")],
    ) -> RequestAccepted:
        """Rate the service; a second rating replaces the first."""
        own = only_customer(caller)
        return await db.run(lambda tx: rate(tx, caller.tenant_id, ticket_id, own, body))


async def add(
    tx: Transaction, caller: Principal, ticket_id: str, text: str, *, visibility: str = "public", key: str | None = None
) -> MessageAccepted:
    """Write a message as `caller`. Raises NotFound, TicketOver, IdempotencyKeyReused."""
    held = await conversation.lock_ticket(tx, caller.tenant_id, ticket_id, customer_id=only_customer(caller))
    if held is None:
        raise NotFound()
    operation, fingerprint = f"message:{held.ticket_id}", ""
    author = Author("agent", caller.subject) if is_staff(caller) else Author("customer", held.customer_id)
    if key:
        fingerprint = fingerprint_of(
            {"text": text, "visibility": visibility, "author": [author.role, author.author_id]}
        )
        earlier = await load_request(tx, (held.tenant_id, operation, key), fingerprint)
        if isinstance(earlier, KeyReused):
            raise IdempotencyKeyReused()
        if earlier is not None:
            return _message_accepted(held, earlier.sequence)
    if is_over(held.state) and author.role == "customer":
        raise TicketOver()
    held = await _advanced(tx, held)
    await conversation.insert_message(tx, held, author, text, visibility=visibility)
    if key:
        await conversation.insert_request(tx, held.tenant_id, operation, key, fingerprint, held)
    if reopens(held.state, author.role):
        events.reopen_requested(tx, await _advanced(tx, held), text[:500])
    tx.after_commit(lambda: metrics.messages_total.inc(author_role=author.role, visibility=visibility))
    return _message_accepted(held, held.sequence)


async def ask(
    tx: Transaction, action: Action, tenant_id: str, ticket_id: str, own: str | None, reason: str
) -> RequestAccepted:
    """Publish what the customer asks for. own: the only customer whose it may be. Raises NotFound, TicketOver."""
    held = await conversation.lock_ticket(tx, tenant_id, ticket_id, customer_id=own)
    if held is None:
        raise NotFound()
    if is_over(held.state):
        raise TicketOver()
    if action == "cancel":
        if held.cancel_requested_at is None:  # asking twice is one request
            events.cancel_requested(tx, await _advanced(tx, held, cancel_requested_at=tx.now), reason)
    elif action == "reopen":
        events.reopen_requested(tx, await _advanced(tx, held), reason)
    elif action == "help":
        events.help_requested(tx, await _advanced(tx, held, help_requested_at=tx.now))
    else:
        events.confirmed(tx, await _advanced(tx, held, confirmed_at=tx.now), "customer")
    tx.after_commit(lambda: metrics.requests_total.inc(action=action))
    return RequestAccepted(ticket_id=ticket_id, accepted=action)


async def rate(tx: Transaction, tenant_id: str, ticket_id: str, own: str | None, body: NewRating) -> RequestAccepted:
    """Keep and publish the customer's verdict. own: as for ask. Raises NotFound."""
    held = await conversation.lock_ticket(tx, tenant_id, ticket_id, customer_id=own)
    if held is None:
        raise NotFound()
    before = await conversation.load_rating(tx, tenant_id, ticket_id)
    if before is None or before[:2] != (body.score, body.comment or ""):
        await conversation.upsert_rating(tx, held, body.score, body.comment or "")
        events.rated(tx, await _advanced(tx, held), body.score)
        tx.after_commit(lambda: metrics.requests_total.inc(action="rating"))
    return RequestAccepted(ticket_id=ticket_id, accepted="rating")


async def _advanced(tx: Transaction, held: Held, **marks: Any) -> Held:
    """The ticket with its next sequence. It is locked, so it is still there."""
    after = await conversation.advance(tx, held.tenant_id, held.ticket_id, **marks)
    assert after is not None
    return after


def _message_accepted(held: Held, sequence: int) -> MessageAccepted:
    return MessageAccepted(message_id=message_id_for(held.ticket_id, sequence), sequence=sequence)


def _message_view(row: Any) -> MessageView:
    return MessageView(
        message_id=message_id_for(row.ticket_id, row.sequence),
        sequence=row.sequence,
        author_role=row.author_role,
        author_id=row.author_id or None,
        visibility=row.visibility,
        text=row.text,
        added_at=row.added_at,
    )
