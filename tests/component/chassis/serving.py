"""A small service on a real port, and the tokens to talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx2
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from fenliu.chassis.auth import BrowserKey, Principal, Tokens
from fenliu.chassis.errors import Conflict, NotFound, Transient
from fenliu.chassis.http import (
    Cursor,
    Health,
    Identifier,
    Moment,
    Page,
    Paged,
    StrictModel,
    Text,
    create_app,
    deadline,
    page,
    problem_responses,
    require,
)
from fenliu.chassis.http_server import listen, server
from fenliu.chassis.settings import ServiceSettings

KEY = "component-test-key-0123456789abcdef0123456789"
ORIGIN = "https://shop.example"
BROWSER_KEY = BrowserKey("pk_shop", "acme", (ORIGIN,))


class NewThing(StrictModel):
    text: Annotated[str, Text(4000)]
    number: int = 0
    due_at: Moment | None = None
    attributes: dict[Identifier, str | int] | None = None


class Thing(BaseModel):
    thing_id: str
    text: str
    tenant_id: str


@dataclass
class Things:
    """What the small service keeps, and the signals by which tests steer it."""

    kept: dict[str, Thing] = field(default_factory=dict)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    def router(self) -> APIRouter:
        router = APIRouter()

        @router.post("/v1/things", status_code=202)
        async def create(
            body: NewThing, caller: Annotated[Principal, require("agent", "storefront", browser_keys=True)]
        ) -> Thing:
            thing = Thing(thing_id=f"t{len(self.kept)}", text=body.text, tenant_id=caller.tenant_id)
            self.kept[thing.thing_id] = thing
            return thing

        @router.get("/v1/things")
        async def list_things(paging: Paged, caller: Annotated[Principal, require()]) -> Page[Thing]:
            after = Cursor.decode(paging.cursor, str)
            names = sorted(n for n, t in self.kept.items() if t.tenant_id == caller.tenant_id)
            rest = [name for name in names if after is None or name > after[0]]
            shown = [self.kept[name] for name in rest[: paging.limit]]
            return page(shown, Cursor.encode(shown[-1].thing_id) if len(rest) > len(shown) else None)

        @router.get("/v1/things/{thing_id}", responses=problem_responses(404))
        async def read(thing_id: Identifier, caller: Annotated[Principal, require("agent")]) -> Thing:
            thing = self.kept.get(thing_id)
            if thing is None or thing.tenant_id != caller.tenant_id:
                raise NotFound()
            return thing

        @router.delete("/v1/things/{thing_id}", responses=problem_responses(409))
        async def delete(thing_id: Identifier, caller: Annotated[Principal, require("supervisor")]) -> Thing:
            raise Conflict("It is in use.", holder="somebody")

        self._add_steered(router)
        return router

    def _add_steered(self, router: APIRouter) -> None:
        @router.get("/broken")
        async def broken() -> Thing:
            raise RuntimeError("a secret detail")

        @router.get("/away")
        async def away() -> Thing:
            raise Transient(retry_after_s=3)

        @router.get("/held")
        async def held() -> dict[str, str]:
            self.entered.set()
            await self.release.wait()
            return {"held": "no more"}

        @router.get("/poll")
        @deadline(60)
        async def poll() -> dict[str, str]:
            self.entered.set()
            await self.release.wait()
            return {"news": "some"}

        @router.get("/stream", response_model=None)
        @deadline(60)
        async def stream() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"data: first\n\n"
                self.entered.set()
                await self.release.wait()
                yield b"data: last\n\n"

            return StreamingResponse(parts(), media_type="text/event-stream")

        @router.post("/raw", response_model=None)
        async def raw(request: Request) -> dict[str, Any]:
            if "json" in request.headers.get("content-type", ""):
                return {"json": await request.json()}
            form = await request.form()
            return {"form": {name: str(value) for name, value in form.items()}}


@dataclass
class Served:
    host: str
    port: int
    app: Any
    client: httpx2.AsyncClient
    things: Things
    http: Any

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def settings(**changed: Any) -> ServiceSettings:
    return ServiceSettings(**{"token_key": KEY, "status_key": KEY, "browser_keys": (BROWSER_KEY,), **changed})


def token(*roles: str, tenant: str = "acme", subject: str = "agent-1", ttl_s: float = 600) -> str:
    return Tokens(KEY).issue(tenant, roles or ("agent",), subject, ttl_s, datetime.now(UTC))


def bearer(*roles: str, tenant: str = "acme") -> dict[str, str]:
    return {"Authorization": f"Bearer {token(*roles, tenant=tenant)}"}


@asynccontextmanager
async def serving(*, health: Health | None = None, **changed: Any) -> AsyncIterator[Served]:
    """Run the small service until the block ends. changed: settings."""
    chosen = settings(**changed)
    things = Things()
    app = create_app("small", chosen, [things.router()], health=health, links={"/v1/things": "all things"})
    sock = listen("127.0.0.1", 0)
    host, port = sock.getsockname()
    http = server(app, header_deadline_s=chosen.header_deadline_s, idle_deadline_s=chosen.idle_deadline_s, grace_s=2)
    tasks = [asyncio.create_task(http.serve(sockets=[sock])), asyncio.create_task(http.sweep())]
    try:
        async with httpx2.AsyncClient(base_url=f"http://{host}:{port}", timeout=20) as client:
            yield Served(host, port, app, client, things, http)
    finally:
        things.release.set()
        app.state.guard.end_streams()
        http.should_exit = True
        await tasks[0]
        tasks[1].cancel()
        sock.close()
