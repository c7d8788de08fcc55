"""What every request passes before any route sees it, as one plain ASGI application.

Request id, size caps, deadline, bounds on work in flight, tenants' rates, CORS, security headers, duration metric, and
the last line of defence: whatever a route raises is answered with problem details and logged once.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from fenliu.chassis.auth import InvalidToken, Principal
from fenliu.chassis.http_access import Authenticator
from fenliu.chassis.http_limits import TokenBuckets
from fenliu.chassis.http_problems import problem, retry_after
from fenliu.chassis.messaging.envelope import current_traceparent
from fenliu.chassis.observability import FAST_BUCKETS, REQUEST_ID, counter, gauge, get_logger, histogram

log = get_logger(__name__)

MAX_ADDRESS_BYTES = 8192

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

STATUSES = tuple(str(status) for status in range(100, 600))

request_seconds = histogram(
    "fenliu_http_request_seconds",
    "Time from a request's header to the end of its answer, by route template; streams count until they end.",
    reaction="p99 above 1 s: look at requests in flight and at the database's statement times.",
    labels={"route": None, "method": None, "status": STATUSES},
    buckets=FAST_BUCKETS,
)
in_flight_gauge = gauge(
    "fenliu_http_in_flight_requests",
    "Requests being worked on; streams and long polls not counted.",
    reaction="Near max_in_flight: the service or its database is the bottleneck; add replicas.",
)
streams_gauge = gauge(
    "fenliu_http_open_streams",
    "Open streams and long polls.",
    reaction="Near max_streams: add replicas.",
)
refused_total = counter(
    "fenliu_http_refused_total",
    "Requests turned away before any work was done.",
    reaction="rate: a tenant sends too fast; overload: add replicas; deadline: something behind is slow.",
    labels={"reason": ("rate", "overload", "deadline", "size", "encoding", "address")},
)


@dataclass(frozen=True, slots=True)
class Limits:
    """See the fields of the same names in ServiceSettings."""

    body_limit_bytes: int
    request_deadline_s: float
    max_in_flight: int
    max_streams: int


class Facts:
    """What the guard knows about one request; routes reach it as scope["fenliu.facts"]."""

    __slots__ = (
        "content_type", "ended", "failure", "guard", "principal", "reading", "request_id", "started", "status",
        "stream", "template", "timeout",
    )  # fmt: skip

    def __init__(self, guard: Guard, request_id: str, content_type: bytes) -> None:
        self.guard = guard
        self.request_id = request_id
        self.content_type = content_type
        self.principal: Principal | None = None
        self.ended = False
        self.failure: InvalidToken | None = None
        self.reading = False
        self.started = time.perf_counter()
        self.status = 0
        self.stream = False
        self.template = "unmatched"
        self.timeout: asyncio.Timeout | None = None

    def extend(self, seconds: float) -> None:
        """Make this a stream: another deadline, another bound. Raises HTTPException(503) where there are too many."""
        self.guard.to_stream(self)
        if self.timeout is not None:
            self.timeout.reschedule(asyncio.get_running_loop().time() + seconds)


class Guard:
    """Wraps the routes of one service."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        authenticator: Authenticator,
        buckets: TokenBuckets,
        origins: frozenset[str],
    ) -> None:
        self._app = app
        self._limits = limits
        self._authenticator = authenticator
        self._buckets = buckets
        self._origins = frozenset(origin.encode() for origin in origins)
        self._in_flight = 0
        self._streams: set[Facts] = set()
        self._durations: dict[tuple[str, str, int], Any] = {}
        in_flight_gauge.set_function(lambda: self._in_flight)
        streams_gauge.set_function(lambda: len(self._streams))

    def to_stream(self, facts: Facts) -> None:
        """Move a request from the bound on work to the bound on streams."""
        if len(self._streams) >= self._limits.max_streams:
            refused_total.inc(reason="overload")
            raise HTTPException(503, headers={"Retry-After": retry_after(5)})
        facts.stream = True
        self._in_flight -= 1
        self._streams.add(facts)

    def end_streams(self) -> None:
        """End every stream and long poll now; their clients come back elsewhere."""
        now = asyncio.get_running_loop().time()
        for facts in list(self._streams):
            if facts.timeout is not None:
                facts.timeout.reschedule(now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        known = given is not None and _REQUEST_ID.fullmatch(given) is not None
        request_id = given.decode() if known and given is not None else uuid7().hex
        facts = Facts(self, request_id, headers.get(b"content-type", b""))
        scope["fenliu.facts"] = facts
        trace = headers.get(b"traceparent")
        if trace is not None and _TRACEPARENT.fullmatch(trace) is None:
            trace = None
        REQUEST_ID.set(request_id)
        extra = [(b"x-request-id", request_id.encode())]
        if trace is not None:
            extra.append((b"traceparent", trace))
            current_traceparent.set(trace.decode())
        origin = headers.get(b"origin")
        if origin is not None and origin in self._origins:
            extra += [(b"access-control-allow-origin", origin), (b"vary", b"Origin"), _EXPOSED]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                facts.status = message["status"]
                message["headers"] = _completed(message["headers"], extra)
            elif message["type"] == "http.response.body":
                facts.ended = not message.get("more_body", False)
            await send(message)

        refusal = self._refusal(scope, headers, facts, origin, extra)
        if refusal is not None:
            await refusal(scope, receive, answer)
            self._observe(scope, facts)
            return
        self._in_flight += 1
        try:
            await self._bounded(scope, self._capped(receive), answer, facts)
        finally:
            if facts.stream:
                self._streams.discard(facts)
            else:
                self._in_flight -= 1
            self._observe(scope, facts)

    def _refusal(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        facts: Facts,
        origin: bytes | None,
        extra: list[tuple[bytes, bytes]],
    ) -> Response | None:
        """The answer where no route needs to be asked."""
        if origin is not None and origin in self._origins and scope["method"] == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length[:20]) > self._limits.body_limit_bytes):
            return self._refused(413, facts, "size", {"Connection": "close"})
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return self._refused(415, facts, "encoding", {"Connection": "close"})
        query = scope["query_string"]
        if len(query) + len(scope.get("raw_path") or b"") > MAX_ADDRESS_BYTES:
            return self._refused(414, facts, "address", {})
        if b"%00" in query or "\0" in scope["path"]:
            return self._refused(400, facts, "address", {})
        if self._in_flight >= self._limits.max_in_flight and scope["path"] not in _ALWAYS:
            return self._refused(503, facts, "overload", {"Retry-After": retry_after(), "Connection": "close"})
        authorization = headers.get(b"authorization")
        if authorization is not None:
            return self._admit(authorization, origin, facts, extra)
        return None

    def _admit(
        self, authorization: bytes, origin: bytes | None, facts: Facts, extra: list[tuple[bytes, bytes]]
    ) -> Response | None:
        try:
            facts.principal = self._authenticator.caller(authorization, origin)
        except InvalidToken as error:
            facts.failure = error  # only routes that need a caller mind
            return None
        buckets = self._buckets
        if not buckets.rate_per_s:
            return None
        left = buckets.take(facts.principal.tenant_id, facts.started)
        extra.append((b"ratelimit-policy", buckets.policy))
        extra.append((b"ratelimit", b'"tenant";r=%d' % max(0, left)))
        if left >= 0:
            return None
        return self._refused(429, facts, "rate", {"Retry-After": retry_after(-left)})

    def _refused(self, status: int, facts: Facts, reason: str, headers: dict[str, str]) -> Response:
        refused_total.inc(reason=reason)
        return problem(status, facts.request_id, headers=headers)

    def _capped(self, receive: Receive) -> Receive:
        """Count what arrives: a chunked body declares no length."""
        left = self._limits.body_limit_bytes

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    refused_total.inc(reason="size")
                    raise HTTPException(413)
            return message

        return counted

    async def _bounded(self, scope: Scope, receive: Receive, answer: Send, facts: Facts) -> None:
        try:
            async with asyncio.timeout(self._limits.request_deadline_s) as facts.timeout:
                await self._app(scope, receive, answer)
        except TimeoutError:
            if facts.timeout is None or not facts.timeout.expired():
                await self._broken(scope, receive, answer, facts)
            else:
                await self._late(scope, receive, answer, facts)
        except Exception:
            await self._broken(scope, receive, answer, facts)

    async def _late(self, scope: Scope, receive: Receive, answer: Send, facts: Facts) -> None:
        if facts.status:
            if facts.stream and not facts.ended:  # it has lasted long enough, or is sent away: a regular end
                await answer({"type": "http.response.body", "body": b"", "more_body": False})
            return
        refused_total.inc(reason="deadline")
        if facts.reading:
            response = problem(408, facts.request_id, headers={"Connection": "close"})
        else:
            response = problem(503, facts.request_id, slug="deadline-exceeded", detail=_LATE, headers=_again())
        await response(scope, receive, answer)

    async def _broken(self, scope: Scope, receive: Receive, answer: Send, facts: Facts) -> None:
        log.exception("request_failed", request_id=facts.request_id, route=facts.template, method=scope["method"])
        if not facts.status:
            await problem(500, facts.request_id)(scope, receive, answer)

    def _observe(self, scope: Scope, facts: Facts) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = (facts.template, method, facts.status)
        child = self._durations.get(key)
        if child is None:
            child = self._durations[key] = request_seconds.labels(
                route=facts.template, method=method, status=str(facts.status or 499)
            )
        child.observe(time.perf_counter() - facts.started)


_LATE = "This took longer than the service allows. It may or may not have been done: repeat it with the same key."
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALWAYS = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
"""Answered even under overload: they decide whether this process is restarted."""

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id, "
    "traceparent",
    "Access-Control-Max-Age": "600",
}
_EXPOSED = (
    b"access-control-expose-headers",
    b"Location, Retry-After, X-Request-Id, RateLimit, RateLimit-Policy, Idempotency-Replayed",
)
_DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def _completed(headers: list[tuple[bytes, bytes]], extra: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The response's own headers win over the defaults."""
    names = {name for name, _ in headers}
    return [*headers, *extra, *(default for default in _DEFAULTS if default[0] not in names)]


def _again() -> dict[str, str]:
    return {"Retry-After": retry_after()}
