"""HTTP for every service: one app factory with guards, problem details, health and metrics routes.

A route asks for its caller like this:

    @router.get("/v1/things/{thing_id}", responses=problem_responses(404))
    async def read_thing(thing_id: Identifier, caller: Annotated[Principal, require("agent")]) -> Thing: ...

`require(*roles)` answers 401 without a valid token, 403 without one of the roles; no roles: any valid token.
`require("storefront", browser_keys=True)` also lets publishable browser keys in. `Identifier` is a str of 1 to 128
visible characters without control characters; `Annotated[str, Text(4000)]` likewise for free text. Request models
inherit from `StrictModel` (pydantic, strict, extra forbidden; `Moment` for datetimes). Raise errors of the five kinds;
they become problem+json here. `problem_responses(404, 409)` gives the `responses=` of a route. Lists take
`paging: Paged` and return `Page[Thing]` made by `page(items, next)`; `Cursor.encode/decode` make and read cursors.
`@deadline(3600)` under the route's decorator declares a stream or a long poll, `@direct` one that must cost little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from fenliu.chassis import http_health
from fenliu.chassis.auth import BrowserKeys, Tokens
from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.errors import FenliuError
from fenliu.chassis.http_access import Authenticator, require
from fenliu.chassis.http_body import StrictRequest, adopt, deadline, parse_json
from fenliu.chassis.http_direct import direct, direct_app, is_direct
from fenliu.chassis.http_fields import (
    NO_OTHER_NAMES,
    BadCursor,
    Cursor,
    Identifier,
    Moment,
    Page,
    Paged,
    Paging,
    RawText,
    StrictModel,
    Text,
    Whole,
    page,
)
from fenliu.chassis.http_guard import Facts, Guard, Limits
from fenliu.chassis.http_health import Health
from fenliu.chassis.http_limits import TokenBuckets
from fenliu.chassis.http_openapi import openapi
from fenliu.chassis.http_problems import (
    Problem,
    on_fenliu_error,
    on_http_exception,
    on_validation_error,
    problem,
    problem_responses,
)
from fenliu.chassis.settings import ServiceSettings

__all__ = [
    "BadCursor",
    "Cursor",
    "Facts",
    "Guard",
    "Health",
    "Identifier",
    "Moment",
    "NO_OTHER_NAMES",
    "Page",
    "Paged",
    "Paging",
    "Problem",
    "RawText",
    "StrictModel",
    "StrictRequest",
    "Text",
    "Whole",
    "create_app",
    "deadline",
    "direct",
    "page",
    "parse_json",
    "problem",
    "problem_responses",
    "require",
]


def create_app(
    name: str,
    settings: ServiceSettings,
    routers: Sequence[APIRouter],
    *,
    clock: Clock | None = None,
    health: Health | None = None,
    links: Mapping[str, str] | None = None,
) -> FastAPI:
    """The HTTP application of one service: its routes behind the guard, and the standard routes.

    health  what the health routes look at; None: nothing is checked.
    links   what `/` shows besides the standard routes: path → sentence.
    The guard is `app.state.guard` (to end streams at the stop), the health board `app.state.health`.
    """
    board = health or Health()
    app = FastAPI(
        title=f"Fenliu {name}",
        version=http_health.fenliu_version(),
        docs_url=None,  # their pages load scripts from foreign hosts
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours; looking for theirs costs 30 µs a request
        exception_handlers={
            FenliuError: on_fenliu_error,
            HTTPException: on_http_exception,
            RequestValidationError: on_validation_error,
        },
    )
    for router in (*routers, http_health.routes(name, board, links or {})):
        for route in router.routes:
            if not isinstance(route, APIRoute):
                raise TypeError(f"{route!r}: give create_app every router by itself, routes are not nested here")
            app.router.routes.append(adopt(route))
    browser_keys = BrowserKeys(settings.browser_keys)
    guard = Guard(
        _Routes(app),
        limits=Limits(
            settings.body_limit_bytes, settings.request_deadline_s, settings.max_in_flight, settings.max_streams
        ),
        authenticator=Authenticator(
            Tokens(settings.token_key.get_secret_value()), browser_keys, clock or SystemClock()
        ),
        buckets=TokenBuckets(settings.tenant_rate_per_s, settings.tenant_burst),
        origins=browser_keys.origins | set(settings.page_origins),
    )
    app.middleware_stack = guard
    app.state.guard = guard
    app.state.health = board
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


class _Routes:
    """The routes, with what the framework needs around them. Its own would answer bugs in plain text, twice logged.

    Routes without parameters are found in a dictionary; asking every route in turn costs a tenth of a short request.
    """

    def __init__(self, app: FastAPI) -> None:
        def wrapped(inner: ASGIApp) -> ASGIApp:
            return ExceptionMiddleware(AsyncExitStackMiddleware(inner), handlers=app.exception_handlers)

        self._app = app
        self._others = wrapped(app.router)
        self._known = {
            (method, route.path): (route, direct_app(route) if is_direct(route) else wrapped(route.app))
            for route in reversed(app.router.routes)  # the first of two equal ones wins, as in the router
            if isinstance(route, APIRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._known.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._others(scope, receive, send)
            return
        route, app = found
        scope["router"] = self._app.router
        scope["route"] = route
        scope["endpoint"] = route.endpoint
        scope["path_params"] = {}
        await app(scope, receive, send)
