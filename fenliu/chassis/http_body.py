"""Strict JSON: what is not plainly correct is refused before any model sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute, request_response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from fenliu.chassis.errors import Malformed

MAX_DEPTH = 32
"""Levels of arrays and objects inside each other."""

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class MalformedJson(Malformed):
    """The body is not valid JSON."""

    slug = "malformed-json"


def parse_json(raw: bytes) -> Any:
    """The value of a JSON text. Raises MalformedJson.

    Refused besides broken syntax: NaN and infinities, numbers beyond a double, lone surrogates, text that is not
    UTF-8, a byte order mark, U+0000, more than 32 levels, the same name twice in an object.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"The body is not valid JSON: {error.msg}.") from error
    if b"\\u0000" in raw and _has_nul(value):
        raise MalformedJson("The body contains U+0000, which no text here may contain.")
    containers = raw.count(b"{") + raw.count(b"[")
    if containers > MAX_DEPTH and _is_too_deep(value):
        raise MalformedJson(f"The body has more than {MAX_DEPTH} levels of arrays and objects.")
    # As many colons as names: no name was given twice. Otherwise look closely (colons in texts bring us here too).
    if containers and raw.count(b":") != _names(value) and _has_twins(raw):
        raise MalformedJson("The body names a field twice in one object.")
    return value


def _names(value: Any) -> int:
    if type(value) is dict:
        count = len(value)
        for inner in value.values():
            if type(inner) is dict or type(inner) is list:
                count += _names(inner)
        return count
    if type(value) is list:
        return sum(_names(inner) for inner in value if type(inner) is dict or type(inner) is list)
    return 0


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer if type(outer) is list else ())
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _has_nul(value: Any) -> bool:
    if type(value) is str:
        return "\0" in value
    if type(value) is dict:
        return any("\0" in name or _has_nul(inner) for name, inner in value.items())
    return type(value) is list and any(_has_nul(inner) for inner in value)


class _Twins(Exception):
    pass


def _has_twins(raw: bytes) -> bool:
    def check(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            raise _Twins

    try:
        json.loads(raw, object_pairs_hook=check, parse_int=str, parse_float=str)
    except _Twins:
        return True
    return False


class StrictRequest(Request):
    """A request whose `json()` is strict; for routes that read the body themselves as well."""

    async def body(self) -> bytes:
        # The framework's own goes through an asynchronous generator, which costs a short request a twentieth.
        if not hasattr(self, "_body"):
            chunks = []
            more = True
            while more:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect()
                chunks.append(message.get("body", b""))
                more = message.get("more_body", False)
            self._body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return self._body

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


def deadline(seconds: float) -> Callable[[Endpoint], Endpoint]:
    """Declare that a route takes longer than the usual deadline: long polls and streams. Seconds from its start.

    Such a request counts against `max_streams` instead of `max_in_flight`, and is ended when the service stops.
    """

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__fenliu_deadline_s__ = seconds  # type: ignore[attr-defined]
        return endpoint

    return mark


def adopt(route: APIRoute) -> APIRoute:
    """Make a FastAPI route strict about its body and known to the guard; called once per route by `create_app`."""
    inner = route.get_route_handler()
    longer_s: float | None = getattr(route.endpoint, "__fenliu_deadline_s__", None)
    wants_json = wants_json_body(route)
    reads_body = bool((route.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"})

    async def handle(plain: Request) -> Response:
        request = StrictRequest(plain.scope, plain.receive)
        facts = plain.scope["fenliu.facts"]
        facts.template = route.path
        if longer_s is not None:
            facts.extend(longer_s)
        if reads_body:
            await read_body(request, facts, wants_json=wants_json)
        return await inner(request)

    route.app = request_response(handle)
    route.operation_id = route.operation_id or route.name
    return route


def wants_json_body(route: APIRoute) -> bool:
    """True where a route declares a body that is not a form."""
    return route.body_field is not None and not isinstance(route.body_field.field_info, Form)


async def read_body(request: StrictRequest, facts: Any, *, wants_json: bool) -> Any:
    """Read the whole body and check it; the JSON value where one is wanted. None where there is no body.

    Here, before the framework looks at it, because it would hide what is wrong. facts: see http_guard.Facts.
    """
    facts.reading = True
    raw = await request.body()
    facts.reading = False
    if not raw:
        return None
    _check_body(facts.content_type, raw, wants_json)
    return await request.json() if wants_json else None


def _check_body(content_type: bytes, raw: bytes, wants_json: bool) -> None:
    kind, _, parameters = content_type.partition(b";")
    kind = kind.strip().lower()
    if wants_json:
        if kind != b"application/json" or not _is_utf8(parameters):
            raise HTTPException(415)
    elif kind == b"application/x-www-form-urlencoded" and (b"%00" in raw or b"\0" in raw):
        raise Malformed("The form contains U+0000, which no text here may contain.")


def _is_utf8(parameters: bytes) -> bool:
    text = parameters.strip().lower().replace(b'"', b"")
    return not text or text in {b"charset=utf-8", b"charset=utf8"}


def is_secured(dependant: Dependant) -> bool:
    """True where a route asks for its caller with `require`."""
    return any(hasattr(inner.call, "__fenliu_roles__") or is_secured(inner) for inner in dependant.dependencies)
