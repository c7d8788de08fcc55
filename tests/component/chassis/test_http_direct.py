"""The short way answers exactly like the framework's."""

from __future__ import annotations

from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response

from fenliu.chassis.auth import Principal
from fenliu.chassis.errors import Conflict
from fenliu.chassis.http import create_app, direct, problem_responses, require
from tests.component.chassis.serving import NewThing, bearer, settings

ROUTES = ("/v1/short", "/v1/long")

REQUESTS = {
    "accepted": ({**bearer("agent"), "content-type": "application/json"}, b'{"text": "a"}'),
    "conflict": ({**bearer("agent"), "content-type": "application/json"}, b'{"text": "taken"}'),
    "no token": ({"content-type": "application/json"}, b'{"text": "a"}'),
    "forged token": ({"authorization": "Bearer x", "content-type": "application/json"}, b'{"text": "a"}'),
    "wrong role": ({**bearer("customer"), "content-type": "application/json"}, b'{"text": "a"}'),
    "wrong role and body": ({**bearer("customer"), "content-type": "application/json"}, b"{}"),
    "no body": (bearer("agent"), b""),
    "null": ({**bearer("agent"), "content-type": "application/json"}, b"null"),
    "list": ({**bearer("agent"), "content-type": "application/json"}, b"[1]"),
    "broken JSON": ({**bearer("agent"), "content-type": "application/json"}, b'{"text": '),
    "NUL": ({**bearer("agent"), "content-type": "application/json"}, b'{"text": "\\u0000"}'),
    "twins": ({**bearer("agent"), "content-type": "application/json"}, b'{"text": "a", "text": "b"}'),
    "wrong type": ({**bearer("agent"), "content-type": "application/json"}, b'{"text": 1, "more": 2}'),
    "other media type": ({**bearer("agent"), "content-type": "text/plain"}, b'{"text": "a"}'),
    "too large": ({**bearer("agent"), "content-type": "application/json"}, b'{"text": "' + b"a" * 2_000_000 + b'"}'),
}


class Taken(Conflict):
    """This is taken."""

    slug = "taken"


async def create(request: Request, body: NewThing, caller: Annotated[Principal, require("agent")]) -> Response:
    """Make a thing."""
    if body.text == "taken":
        raise Taken()
    return JSONResponse({"text": body.text, "tenant": caller.tenant_id}, 202)


def app_with_both() -> FastAPI:
    router = APIRouter()
    router.post(ROUTES[1], status_code=202, response_model=NewThing, responses=problem_responses(409))(create)

    @router.post(ROUTES[0], status_code=202, response_model=NewThing, responses=problem_responses(409))
    @direct
    async def create_directly(
        request: Request, body: NewThing, caller: Annotated[Principal, require("agent")]
    ) -> Response:
        """Make a thing."""
        return await create(request, body, caller)

    return create_app("things", settings(), [router])


@pytest.mark.parametrize("name", REQUESTS)
async def test_direct_route_answers_like_any_other(name: str) -> None:
    headers, content = REQUESTS[name]
    answers = []
    transport = httpx2.ASGITransport(app=app_with_both())
    async with httpx2.AsyncClient(transport=transport, base_url="http://things") as client:
        for route in ROUTES:
            given = {**headers, "x-request-id": "same"}
            answer = await client.post(route, content=content, headers=given)
            kept = {key: value for key, value in answer.headers.items() if key != "ratelimit"}
            answers.append((answer.status_code, answer.json(), kept))

    assert answers[0] == answers[1]
    assert (answers[0][0] == 202) == (name == "accepted")


def test_direct_route_is_documented_like_any_other() -> None:
    paths = app_with_both().openapi()["paths"]
    short, long = (paths[route]["post"] for route in ROUTES)

    assert short.pop("operationId") != long.pop("operationId")
    assert short.pop("summary") != long.pop("summary")
    assert short == long


def test_direct_route_with_more_parameters_is_refused() -> None:
    router = APIRouter()

    @router.post("/v1/wrong")
    @direct
    async def wrong(
        request: Request, body: NewThing, caller: Annotated[Principal, require("agent")], page: int = 1
    ) -> Response:
        raise AssertionError("never called")

    with pytest.raises(TypeError, match="direct route"):
        create_app("things", settings(), [router])
