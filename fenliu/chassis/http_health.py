"""The routes that every service has: / /livez /readyz /healthz /metrics /version."""

from __future__ import annotations

import asyncio
import html
import platform
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson
from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from fenliu.chassis.errors import FenliuError
from fenliu.chassis.observability import REGISTRY, gauge, get_logger

log = get_logger(__name__)

CHECK_TIMEOUT_S = 2.0
MAX_LOOP_LAG_S = 10.0

Check = Callable[[], Awaitable[str]]
"""Returns a short sentence about what is well; raises a FenliuError whose detail says what is not."""

Watchdog = Callable[[], str | None]
"""Returns None where the process makes progress, else a sentence: then it should be restarted."""

build_info = gauge(
    "fenliu_build_info",
    "Always 1; version and service are in the labels.",
    reaction="Two versions for long: a rollout is stuck.",
    labels={"service": None, "version": None, "python": None},
)
ready_gauge = gauge(
    "fenliu_ready_state",
    "1 where /readyz last answered 200, 0 where it answered 503.",
    reaction="0: read /readyz of that process, it names the check that fails.",
)
loop_lag = gauge(
    "fenliu_loop_lag_seconds",
    "How late the event loop ran its last timer.",
    reaction="Above 0.1 s: something computes on the loop, or the machine is short of processor time.",
)


def fenliu_version() -> str:
    """The installed version; 0 where the sources run without being installed."""
    try:
        return version("fenliu")
    except PackageNotFoundError:
        return "0"


@dataclass
class Health:
    """What the health routes look at.

    checks     by name, run at every /readyz, at the same time, each with a time-out of 2 s.
    advisory   names of checks that are shown but do not make the service unready: a service with an outbox keeps
               accepting while the broker is away.
    watchdogs  by name, looked at by every /livez; none may ask anything outside the process.
    draining   True once the service has been told to stop: /readyz answers 503, everything else goes on.
    """

    checks: dict[str, Check] = field(default_factory=dict)
    advisory: set[str] = field(default_factory=set)
    watchdogs: dict[str, Watchdog] = field(default_factory=dict)
    draining: bool = False
    lag_s: float = 0.0

    async def watch_loop(self, every_s: float = 0.5) -> None:
        """Measure for ever how late the event loop is; cancel it to stop."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(every_s)
            self.lag_s = max(0.0, time.monotonic() - asked - every_s)
            loop_lag.set(self.lag_s)

    async def readiness(self) -> tuple[bool, dict[str, dict[str, Any]]]:
        """Whether to send requests here, and every check by name."""
        names = list(self.checks)
        results = await asyncio.gather(*(_checked(self.checks[name]) for name in names))
        shown = dict(zip(names, results, strict=True))
        for name in self.advisory & shown.keys():
            shown[name]["advisory"] = True
        ready = all(result["ok"] or "advisory" in result for result in shown.values()) and not self.draining
        ready_gauge.set(ready)
        return ready, shown

    def liveness(self) -> dict[str, str]:
        """What is wrong, by watchdog; empty where the process is well."""
        wrong = {name: sentence for name, dog in self.watchdogs.items() if (sentence := dog()) is not None}
        if self.lag_s > MAX_LOOP_LAG_S:
            wrong["loop"] = f"the event loop was {self.lag_s:.1f} s late"
        return wrong


async def _checked(check: Check) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            detail, ok = await check(), True
    except FenliuError as error:
        detail, ok = error.detail, False
    except TimeoutError:
        detail, ok = f"no answer within {CHECK_TIMEOUT_S:.0f} s", False
    except Exception as error:
        # A broken check must not look like a healthy one, and must not take the page with it.
        log.exception("health_check_failed")
        detail, ok = f"the check itself failed: {type(error).__name__}", False
    return {"ok": ok, "detail": detail, "ms": round((time.perf_counter() - started) * 1000, 1)}


def routes(name: str, health: Health, links: Mapping[str, str]) -> APIRouter:
    """The standard routes of the service `name`. links: path → sentence, shown at `/`."""
    build_info.set(1, service=name, version=fenliu_version(), python=platform.python_version())
    router = APIRouter(tags=["health"])
    standard = {
        "/livez": "does the process make progress",
        "/readyz": "may requests be sent here; every check by name",
        "/metrics": "Prometheus metrics",
        "/version": "what runs here",
        "/openapi.json": "the API of this service, OpenAPI 3.1",
    }

    @router.get(
        "/",
        summary="What this service is, and where to go from here",
        response_model=None,
        responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
    )
    async def index(request: Request) -> Response:
        ready, checks = await health.readiness()
        state = "stopping" if health.draining else "ready" if ready else "not ready"
        everything = {**links, **standard}
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_html(name, state, everything), headers={"Content-Security-Policy": _PAGE_POLICY})
        return _json(
            {"service": name, "version": fenliu_version(), "state": state, "checks": checks, "links": everything}
        )

    @router.get("/livez", summary="Does the process make progress", response_model=None)
    async def livez() -> Response:
        wrong = health.liveness()
        return _json({"status": "stuck" if wrong else "alive", "wrong": wrong}, 503 if wrong else 200)

    @router.get("/readyz", summary="May requests be sent here", response_model=None)
    async def readyz() -> Response:
        ready, checks = await health.readiness()
        status = "stopping" if health.draining else "ready" if ready else "not ready"
        return _json({"status": status, "checks": checks}, 200 if ready else 503)

    router.add_api_route(
        "/healthz", readyz, methods=["GET"], summary="The same as /readyz", response_model=None, operation_id="healthz"
    )

    @router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    @router.get("/version", summary="What runs here", response_model=None)
    async def version_() -> Response:
        return _json({"service": name, "version": fenliu_version(), "python": platform.python_version()})

    return router


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def _html(name: str, state: str, links: Mapping[str, str]) -> str:
    rows = "".join(
        f'<li><a href="{html.escape(path)}"><code>{html.escape(path)}</code></a> {html.escape(sentence)}</li>'
        for path, sentence in links.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(name)}</title><style>body{{font:1rem/1.6 system-ui;margin:2rem auto;max-width:40rem;"
        f"padding:0 1rem}}</style><h1>Fenliu 分流: {html.escape(name)}</h1><p>{html.escape(state)}, "
        f"version {html.escape(fenliu_version())}</p><ul>{rows}</ul></html>"
    )
