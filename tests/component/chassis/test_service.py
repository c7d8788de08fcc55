"""A service's life: start without Kafka, readiness, orderly stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx2
import pytest

from fenliu.chassis.http_server import AddressInUse, listen
from fenliu.chassis.service import Crashed, Service, serve
from fenliu.chassis.worker import Loop
from tests.component.chassis.serving import Things, settings

NO_KAFKA = "127.0.0.1:1"


class Life:
    """Runs a service until the test sets `stop`."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.stop = asyncio.Event()
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(serve(service, self.stop, on_ready=self.url.set_result))

    async def address(self) -> str:
        await asyncio.wait({self.url, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            self.task.result()
        return self.url.result()


def small(things: Things, **changed: object) -> Service:
    return Service("small", settings(kafka_bootstrap=NO_KAFKA, **changed), routers=[things.router()])


async def test_serve_answers_without_kafka_and_stops_in_order() -> None:
    things = Things()
    life = Life(small(things))
    async with httpx2.AsyncClient(base_url=await life.address(), timeout=10) as client:
        assert (await client.get("/readyz")).status_code == 200
        held = asyncio.create_task(client.get("/held"))
        await things.entered.wait()
        life.stop.set()
        while not life.service.health.draining:  # noqa: ASYNC110 - a plain flag
            await asyncio.sleep(0)
        things.release.set()
        assert (await held).status_code == 200  # what was under way is finished
    async with asyncio.timeout(10):
        await life.task


async def test_serve_is_unready_while_it_drains_but_goes_on_answering() -> None:
    life = Life(small(Things(), drain_s=1.0))
    async with httpx2.AsyncClient(base_url=await life.address(), timeout=10) as client:
        life.stop.set()
        while not life.service.health.draining:  # noqa: ASYNC110 - a plain flag
            await asyncio.sleep(0)
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/version")).status_code == 200
    async with asyncio.timeout(10):
        await life.task


async def test_serve_ends_open_streams_at_the_stop() -> None:
    things = Things()
    life = Life(small(things))
    async with (
        httpx2.AsyncClient(base_url=await life.address(), timeout=10) as client,
        client.stream("GET", "/stream") as answer,
    ):
        await things.entered.wait()
        life.stop.set()
        assert b"".join([part async for part in answer.aiter_bytes()]) == b"data: first\n\n"
    async with asyncio.timeout(10):
        await life.task


async def test_serve_cuts_off_what_does_not_end_within_the_grace() -> None:
    entered = asyncio.Event()

    async def hang() -> int:
        entered.set()
        await asyncio.Event().wait()
        return 0

    service = small(Things(), grace_s=0.3)
    service.workers = [Loop("hanging", hang, every_s=1)]
    life = Life(service)
    await life.address()
    await entered.wait()
    life.stop.set()
    async with asyncio.timeout(10):
        await life.task


@pytest.mark.allows_errors
async def test_serve_stops_as_a_whole_when_a_part_dies() -> None:
    class Dying(Loop):
        async def run(self, stop: asyncio.Event) -> None:
            raise ValueError("a bug in a loop itself")

    async def nothing() -> int:
        return 0

    service = small(Things())
    service.workers = [Dying("dying", nothing, every_s=1)]
    life = Life(service)
    with pytest.raises(Crashed, match="dying"):
        async with asyncio.timeout(10):
            await life.task


async def test_serve_on_a_taken_port_says_so() -> None:
    sock = listen("127.0.0.1", 0)
    with suppress(OSError), sock:
        port = sock.getsockname()[1]
        life = Life(small(Things(), http_port=port))
        with pytest.raises(AddressInUse, match=str(port)):
            await life.task
