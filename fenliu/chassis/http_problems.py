"""RFC 9457 problem details: the one place where errors become answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from random import uniform
from typing import Any

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fenliu.chassis.errors import FenliuError, Transient
from fenliu.chassis.http_fields import PATTERNS

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "https://fenliu.dev/problems/"


class ProblemError(BaseModel):
    """One thing that is wrong with the request."""

    pointer: str = Field(description="JSON Pointer into the body (RFC 6901), or the parameter's name after `#/`.")
    detail: str = Field(description="What is wrong there.")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="Stable address of the kind of problem.")
    title: str = Field(description="The kind of problem in few words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What happened here, and what to do.")
    instance: str | None = Field(None, description="The thing that it is about; absent: none.")
    request_id: str = Field(description="Quote this when you ask for help.")
    errors: list[ProblemError] | None = Field(None, description="What is wrong where; absent: not about a field.")


DETAILS: dict[int, tuple[str, str]] = {
    400: ("malformed", "The request cannot be understood."),
    401: ("invalid-token", "A valid token is needed: `Authorization: Bearer …`."),
    403: ("forbidden", "Your token does not allow this."),
    404: ("not-found", "There is nothing here under this name that you may see."),
    405: ("method-not-allowed", "This address does not know this method; the header Allow names those that it knows."),
    406: ("not-acceptable", "This address cannot answer in the form that was asked for."),
    408: ("slow-request", "The request's body did not arrive in time. Send it again."),
    409: ("conflict", "The request does not fit the present state."),
    413: ("body-too-large", "The request's body is larger than this service takes."),
    414: ("address-too-long", "The address is longer than this service takes."),
    415: ("unsupported-media-type", "Send application/json in UTF-8, without Content-Encoding."),
    422: ("invalid-request", "The request does not fit the schema; `errors` says where."),
    429: ("too-many-requests", "Your tenant sends faster than agreed. Wait for Retry-After seconds."),
    431: ("header-too-large", "The request's header is larger than this service takes."),
    500: ("internal-error", "Something is broken here. It has been logged under the request id."),
    503: ("overloaded", "There is more to do than this service can do now. Wait for Retry-After seconds."),
}


def problem(
    status: int,
    request_id: str,
    *,
    slug: str | None = None,
    detail: str | None = None,
    errors: Sequence[Mapping[str, str]] | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer for a problem. extra: further fields of the problem; they may not replace the standard ones."""
    known = DETAILS.get(status, ("http-error", HTTPStatus(status).description))
    body: dict[str, Any] = dict(extra or {})
    body |= {
        "type": TYPE_PREFIX + (slug or known[0]),
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail or known[1],
        "request_id": request_id,
    }
    if errors:
        body["errors"] = errors
    return Response(orjson.dumps(body, default=str), status, headers=headers, media_type=PROBLEM_JSON)


def retry_after(seconds: float = 1.0) -> str:
    """Value of Retry-After: whole seconds, spread so that the turned away do not come back as one."""
    return str(max(1, round(uniform(seconds, seconds * 2 + 2))))  # noqa: S311 - jitter, not a secret


def request_id_of(request: Request) -> str:
    """The id under which this request is logged."""
    facts = request.scope.get("fenliu.facts")
    return facts.request_id if facts is not None else "-"


async def on_fenliu_error(request: Request, error: Exception) -> Response:
    """A named error becomes its status."""
    assert isinstance(error, FenliuError)
    headers: dict[str, str] = {}
    if isinstance(error, Transient):
        headers["Retry-After"] = retry_after(error.retry_after_s or 1.0)
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="fenliu"'
    return problem(
        error.http_status,
        request_id_of(request),
        slug=error.slug,
        detail=error.detail,
        extra=error.extra,
        headers=headers,
    )


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the framework raised: unknown address, unknown method, unreadable body."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_allowed(request)))
    if error.status_code in {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}:
        headers["Connection"] = "close"  # the rest of the body is not read
    detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else None
    return problem(error.status_code, request_id_of(request), detail=detail, headers=headers)


def _allowed(request: Request) -> set[str]:
    """Methods of every route at this address; the framework names only the first route's.

    An address without parameters is not also one with them: /v1/things/presence is no thing called presence.
    """
    path = request.scope["path"]
    exact: set[str] = set()
    matching: set[str] = set()
    for route in request.app.router.routes:
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(path):
            matching |= route.methods or set()
            if route.path == path:
                exact |= route.methods or set()
    return exact or matching


async def on_validation_error(request: Request, error: Exception) -> Response:
    """A request that does not fit its schema: pointers to every place, never the value itself."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(part["type"] == "json_invalid" for part in found):
        return problem(400, request_id_of(request), slug="malformed-json", detail="The body is not valid JSON.")
    errors = [{"pointer": _pointer(part["loc"]), "in": str(part["loc"][0]), "detail": _reason(part)} for part in found]
    return problem(422, request_id_of(request), errors=errors[:50])


def _reason(part: Mapping[str, Any]) -> str:
    if part["type"] == "string_pattern_mismatch" and part["ctx"]["pattern"] in PATTERNS:
        return PATTERNS[part["ctx"]["pattern"]]
    return str(part["msg"])


def _pointer(location: Sequence[str | int]) -> str:
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location[1:])


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: these statuses are answered with problem details."""
    return {
        status: {
            "description": DETAILS.get(status, ("", HTTPStatus(status).description))[1],
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
