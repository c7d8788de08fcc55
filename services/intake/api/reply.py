"""Writing back from the status page: the link's token is the credential."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import Field, ValidationError
from starlette.exceptions import HTTPException

from fenliu.chassis.auth import Principal
from fenliu.chassis.clock import Clock
from fenliu.chassis.db import Database
from fenliu.chassis.errors import Malformed
from fenliu.chassis.http import RawText, StrictModel, Text, Whole, parse_json, problem_responses
from services.intake.api import conversation
from services.intake.api.views import StatusLinks
from services.intake.domain.contact import MAX_TEXT_CHARS
from services.intake.store import reading

FORM = "application/x-www-form-urlencoded"


class TextMissing(Malformed):
    """A reply needs a text."""

    slug = "text-missing"
    http_status = 422


class ScoreMissing(Malformed):
    """A rating needs a score of 1 to 5."""

    slug = "score-missing"
    http_status = 422


def _said(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a form's field: a form leaves out what is absent, it has no null."""
    options = [option for option in field.get("anyOf", ()) if option != {"type": "null"}]
    rest = {name: value for name, value in field.items() if name not in ("anyOf", "default")}
    return rest | options[0] if options else field


class LinkReply(StrictModel):
    """What a shopper sends from the status page."""

    token: Annotated[str, RawText(2048)] = Field(min_length=1, description="Token of the status link.")
    text: Annotated[str, Text(MAX_TEXT_CHARS)] | None = Field(
        None, description="Needed for reply; a reason for cancel and reopen, a comment for rate."
    )
    action: Literal["reply", "cancel", "help", "confirm", "reopen", "rate"] = "reply"
    score: Annotated[int, Field(ge=1, le=5), Whole] | None = Field(
        None, description="Needed for rate: 1 (bad) to 5 (good)."
    )


_BODY = {"schema": LinkReply.model_json_schema()}
_FORM_BODY = {
    "schema": _BODY["schema"]
    | {"properties": {name: _said(field) for name, field in _BODY["schema"]["properties"].items()}}
}


def routes(db: Database, links: StatusLinks, clock: Clock) -> APIRouter:
    """POST /v1/tickets/reply."""
    router = APIRouter(tags=["status page"])

    @router.post(
        "/v1/tickets/reply",
        status_code=202,
        responses={
            **problem_responses(400, 401, 404, 409, 413, 415, 422, 429, 503),
            303: {"description": "For forms: back to the status page."},
        },
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": _BODY, FORM: _FORM_BODY}}},
    )
    async def reply_by_link(request: Request) -> Response:
        """Write, cancel, ask for a human, confirm, reopen or rate with nothing but the status link's token."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (FORM, "application/json"):
            raise HTTPException(415)
        raw = await request.body()
        body = _parsed(_form(raw) if kind == FORM else parse_json(raw))
        claims = links.verify(body.token, clock.now())
        if kind != FORM:
            return JSONResponse(await _carry_out(db, claims.tenant_id, claims.ticket_id, body), 202)
        address = links.address(body.token)
        try:
            await _carry_out(db, claims.tenant_id, claims.ticket_id, body)
        except conversation.TicketOver:
            # Better said by the page, in the shopper's language, than by a problem document.
            address += "?unsent=1"
        return Response(status_code=303, headers={"Location": address})

    return router


async def _carry_out(db: Database, tenant_id: str, ticket_id: str, body: LinkReply) -> dict[str, Any]:
    """The answer's body. Raises NotFound, TicketOver, TextMissing, ScoreMissing."""
    action = body.action
    if action == "rate":
        if body.score is None:
            raise ScoreMissing()
        rating = conversation.NewRating(score=body.score, comment=(body.text or "")[:2000] or None)
        accepted = await db.run(lambda tx: conversation.rate(tx, tenant_id, ticket_id, None, rating))
        return accepted.model_dump()
    if action != "reply":
        reason = (body.text or "")[:500]
        accepted = await db.run(lambda tx: conversation.ask(tx, action, tenant_id, ticket_id, None, reason))
        return accepted.model_dump()
    if body.text is None:
        raise TextMissing()
    text = body.text
    async with db.read() as tx:
        row = await reading.load_ticket(tx, tenant_id, ticket_id)
    # A link whose ticket is not there answers like a customer whose ticket is not there.
    customer = Principal(tenant_id, row.customer_id if row else "", frozenset({"customer"}))
    message = await db.run(lambda tx: conversation.add(tx, customer, ticket_id, text))
    return message.model_dump()


def _form(raw: bytes) -> dict[str, Any]:
    """The fields of a form; an empty one is absent, a score of one digit is a number. Raises Malformed."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=False, max_num_fields=10, errors="strict")
    except ValueError as error:
        raise Malformed("The form cannot be read; send it URL-encoded in UTF-8.") from error
    fields: dict[str, Any] = {name: value.replace("\r\n", "\n") for name, value in pairs}
    if len(fields) != len(pairs):
        raise Malformed("The form names a field twice.")
    if fields.get("score") in tuple("12345"):
        fields["score"] = int(fields["score"])
    return fields


def _parsed(value: Any) -> LinkReply:
    try:
        return LinkReply.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**part, "loc": ("body", *part["loc"])} for part in found]) from error
