"""Two dispatchers as real processes over one PostgreSQL: the holder of the desk is killed, and stopped and resumed.

The judge is the router's append-only history, read with plain SQL, and what each process counts itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from fenliu.chassis.messaging.embedded import EmbeddedBroker
from tests.backends import Postgres
from tests.component.router.lab import TENANT, World
from tests.component.travel import TravelClock
from tests.e2e.conftest import TEST_ENV
from tests.stack import Stack, eventually

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

TAKEOVER_S = 8.0
AGENTS = [f"agent-{number:02}" for number in range(20)]
ASSIGNED = "SELECT count(*) FROM ticket_history WHERE action = 'assign' AND at > :since"


class Desk:
    """Two router processes, and tickets that keep coming."""

    def __init__(self, routers: dict[str, Stack], world: World) -> None:
        self.routers = routers
        self.world = world
        self.fed = 0
        self.enough = asyncio.Event()

    async def feed(self) -> None:
        """Until `enough` is set, about a hundred tickets a second, each told and labelled by the router's own handlers."""
        while not self.enough.is_set():
            for _ in range(5):
                self.fed += 1
                await self.world.queue(f"k{self.fed:06}")
            await asyncio.sleep(0.05)

    async def metric(self, name: str, metric: str) -> float:
        """Sum over the labels of a metric of this process; 0 where it does not answer."""
        with contextlib.suppress(httpx2.HTTPError):
            async with httpx2.AsyncClient(timeout=2) as client:
                text = (await client.get(f"{self.routers[name].url('router')}/metrics")).text
            return sum(float(value) for value in re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", text, re.MULTILINE))
        return 0.0

    async def holder(self) -> str:
        """The process that serves the desk."""

        async def one() -> str:
            held = {name: await self.metric(name, "fenliu_router_lease_held_desks") for name in self.routers}
            holders = [name for name, count in held.items() if count]
            return holders[0] if len(holders) == 1 else ""

        found: str = await eventually(one, 20, "exactly one process serves the desk")
        return found

    async def assigned(self, since: datetime) -> int:
        count: int = await next(iter(self.routers.values())).scalar("router", ASSIGNED, since=since)
        return count

    async def taken_over(self, since: datetime) -> float:
        """Seconds from `since` until somebody assigns again."""
        await eventually(lambda: self._some(since), 20, "somebody assigns again")
        first = await next(iter(self.routers.values())).scalar(
            "router", "SELECT min(at) FROM ticket_history WHERE action = 'assign' AND at > :since", since=since
        )
        return float((first - since).total_seconds())

    async def _some(self, since: datetime) -> bool:
        return await self.assigned(since) > 0


@pytest.fixture
async def desk(tmp_path: Path, postgres: Postgres) -> AsyncIterator[Desk]:
    name = f"router_{tmp_path.name.replace('-', '_')}_{id(tmp_path)}"
    postgres.create_database(name)
    async with EmbeddedBroker() as broker:
        routers = {
            one: Stack(tmp_path / one, broker.bootstrap, {"router": postgres.url(name)}, TEST_ENV)
            for one in ("left", "right")
        }
        await asyncio.to_thread(routers["left"].migrate)
        world = World(postgres.url(name), TravelClock())
        try:
            await world.hire(*AGENTS, capacity=2000)
            for stack in routers.values():
                stack.start("router")
            for stack in routers.values():
                await stack.ready("router")
            yield Desk(routers, world)
        finally:
            for stack in routers.values():
                stack.close()
            await world.db.close()


async def test_killed_holder_is_replaced_and_a_resumed_zombie_writes_nothing(desk: Desk) -> None:
    feeding = asyncio.create_task(desk.feed())
    first = await desk.holder()
    await eventually(lambda: desk._some(datetime(2020, 1, 1, tzinfo=UTC)), 10, "tickets are assigned")

    desk.routers[first].kill("router")
    died_at = datetime.now(UTC)
    after_kill = await desk.taken_over(died_at)
    desk.routers[first].start("router")
    await desk.routers[first].ready("router")

    second = await desk.holder()
    other = next(name for name in desk.routers if name != second)
    before = await desk.metric(other, "fenliu_router_assigned_total")
    desk.routers[second].kill("router", sig=signal.SIGSTOP)
    stopped_at = datetime.now(UTC)
    after_stop = await desk.taken_over(stopped_at)
    desk.routers[second].kill("router", sig=signal.SIGCONT)
    assert await desk.holder() == other
    await asyncio.sleep(1)  # time for the zombie to do harm
    desk.enough.set()
    await feeding

    left: list[str] = []

    async def all_assigned() -> bool:
        states = (
            "SELECT count(*) || ' ' || coalesce(min(state || ' ' || reason), '') FROM tickets WHERE state <> 'assigned'"
        )
        left[:] = [await desk.routers[other].scalar("router", states)]
        return left[0].startswith("0 ")

    await eventually(all_assigned, 20, "every ticket is assigned", lambda: f"left: {left} of {desk.fed}")
    by_other = await desk.metric(other, "fenliu_router_assigned_total") - before
    assert by_other == await desk.assigned(stopped_at), "somebody else than the holder assigned"
    assert after_kill <= TAKEOVER_S
    assert after_stop <= TAKEOVER_S
    await desk.world.check()
    assert await desk.routers[other].scalar("router", "SELECT count(*) FROM tickets") == desk.fed
    print(
        f"takeover after kill -9: {after_kill:.1f} s, after SIGSTOP: {after_stop:.1f} s, tickets: {desk.fed}, {TENANT}"
    )
