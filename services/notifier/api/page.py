"""/s/<token>: the status page that a customer opens without signing in, and the stream that keeps it fresh."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Header, Query
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response, StreamingResponse

from fenliu.chassis.auth import InvalidToken, StatusClaims, StatusTokens
from fenliu.chassis.db import Database
from fenliu.chassis.http import deadline, problem_responses
from services.notifier import domain, metrics, store
from services.notifier.api.stream import LONGEST_S, OpenStreams, StreamLimits, after_of, stream_response
from services.notifier.domain import Entry, TicketCopy

TEMPLATES = Path(__file__).parent.parent / "templates"

SHOWN_LINES = 50

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Verifying as of this moment checks the signature alone; whether a link has expired is asked apart."""


@dataclass(frozen=True)
class PageTexts:
    """reply_url: where the page's forms post, intake's /v1/tickets/reply. zone: in which times are written without
    JavaScript; with it they are the reader's own."""

    reply_url: str
    zone: ZoneInfo


class _Renderer:
    def __init__(self, texts: PageTexts) -> None:
        self._texts = texts
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates = {name: environment.get_template(f"{name}.html") for name in ("page", "fragment", "notice")}
        self._style = (TEMPLATES / "page.css").read_text(encoding="utf-8").strip()
        self._script = (TEMPLATES / "page.js").read_text(encoding="utf-8").strip()
        reply = urlsplit(texts.reply_url)
        origin = f" {reply.scheme}://{reply.netloc}" if reply.netloc else ""
        # intake answers a form with a redirect to this page, and browsers check form-action again for it
        self._policy = (
            f"default-src 'none'; style-src {_digest(self._style)}; script-src {_digest(self._script)}; "
            f"connect-src 'self'{origin}; img-src data:; form-action 'self'{origin}; "
            "base-uri 'none'; frame-ancestors 'none'"
        )

    def render(self, template: str, language: str, status: int = 200, **facts: Any) -> HTMLResponse:
        def say(key: str) -> str:
            return domain.say(key, language)

        def local(moment: datetime) -> str:
            return _local(moment.astimezone(self._texts.zone), language)

        text = self._templates[template].render(
            lang=language,
            say=say,
            local=local,
            rfc3339=lambda moment: moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            style=self._style,
            script=self._script,
            reply_url=self._texts.reply_url,
            **facts,
        )
        headers = {
            "Content-Language": "zh-CN" if language == "zh" else "en",
            "Content-Security-Policy": self._policy,
            "X-Robots-Tag": "noindex, nofollow",
            "Vary": "Accept-Language",
        }
        return HTMLResponse(text, status, headers=headers)


def routes(
    db: Database, tokens: StatusTokens, streams: OpenStreams, limits: StreamLimits, texts: PageTexts
) -> APIRouter:
    """The page and its stream."""
    router = APIRouter(prefix="/s", tags=["status page"])
    renderer = _Renderer(texts)

    @router.get(
        "/{token}",
        response_class=HTMLResponse,
        responses={404: {"description": "Not one of our links."}, 410: {"description": "The link has expired."}},
    )
    async def show_status_page(
        token: str,
        lang: Annotated[str | None, Query(max_length=16, description="en or zh; else by Accept-Language.")] = None,
        fragment: Annotated[str | None, Query(max_length=16, description="Any value: the changing part only.")] = None,
        unsent: Annotated[str | None, Query(max_length=16, description="Any value: a form came too late.")] = None,
        accept_language: Annotated[str, Header()] = "",
    ) -> Response:
        """What happens now, what next and when, what was said, and a way to write back. Works without JavaScript."""
        language = domain.choose_language(lang, accept_language)
        claims = _claims(tokens, token)
        if claims is None or claims.expires_at <= db.clock.now():
            outcome = "invalid" if claims is None else "expired"
            metrics.pages_served.inc(outcome=outcome)
            return renderer.render("notice", language, 404 if claims is None else 410, what=outcome)
        async with db.read() as tx:
            ticket = await store.load_ticket(tx, claims.tenant_id, claims.ticket_id)
            lines = await store.load_entries(
                tx, claims.tenant_id, claims.ticket_id, limit=SHOWN_LINES + 1, newest_first=True
            )
            now = tx.now
        metrics.pages_served.inc(outcome="shown" if ticket is not None else "early")
        facts = _facts(claims, ticket, lines, now)
        return renderer.render("fragment" if fragment else "page", language, token=token, unsent=bool(unsent), **facts)

    @router.get(
        "/{token}/events",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "Events of type `timeline`; ids are sequences."},
            **problem_responses(401, 422, 503),
        },
    )
    @deadline(LONGEST_S + 30)
    async def stream_status(
        token: str,
        last_event_id: Annotated[str | None, Header(max_length=64, description="Resume after this event.")] = None,
        after: Annotated[int, Query(ge=0, lt=2**53, description="The same for a first connection.")] = 0,
    ) -> StreamingResponse:
        """New lines as server-sent events. The link is the right to read; the stream ends when the link expires."""
        claims = tokens.verify(token, db.clock.now())
        key = (claims.tenant_id, claims.ticket_id)
        return stream_response(db, streams, limits, key, after=after_of(last_event_id, after), until=claims.expires_at)

    return router


def _claims(tokens: StatusTokens, token: str) -> StatusClaims | None:
    try:
        return tokens.verify(token, _EVER)
    except InvalidToken:
        return None


def _facts(claims: StatusClaims, ticket: TicketCopy | None, lines: Sequence[Entry], now: datetime) -> dict[str, Any]:
    view = domain.outlook(ticket, now)
    left_out = len(lines) > SHOWN_LINES
    shown = list(lines[:SHOWN_LINES])
    if not left_out and all(line.kind != "received" for line in shown):
        first = Entry(claims.tenant_id, claims.ticket_id, "received", claims.received_at, "intake", 1)
        shown.append(first)  # the link itself proves it, whatever has arrived here
    name = ticket.agent_name if ticket is not None else ""
    shown = [replace(line, author=line.author or (name if line.kind == "with_agent" else "")) for line in shown]
    shown.sort(key=lambda line: (line.at, line.sequence), reverse=True)
    kinds = {line.kind for line in shown}
    over = view.step in ("finished", "withdrawn")
    return {
        "view": view,
        "ticket": ticket,
        "ticket_id": claims.ticket_id,
        "lines": shown,
        "last_words": domain.last_words(shown),
        "left_out": left_out,
        "actions": domain.actions_for(view.step, kinds),
        "cancel_pending": "cancel_requested" in kinds and not over,
        "score": next((line.text for line in shown if line.kind == "rated"), ""),
        "sequence": max((line.sequence for line in shown), default=0),
        "writable": not over,
        "now": now,
    }


def _local(moment: datetime, language: str) -> str:
    """A time for people, with its offset, because the server does not know the reader's zone."""
    minutes = int((moment.utcoffset() or moment - moment).total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    offset = f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")
    if language == "zh":
        return f"{moment.year}年{moment.month}月{moment.day}日 {moment:%H:%M}（{offset}）"
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} ({offset})"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
