"""A customer who goes quiet gives the agent's place back, and never over-commits anybody on return."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fenliu.contracts import events
from services.router.domain.queues import Queue
from services.router.store import queues as queue_store
from tests.component.router.lab import TENANT, World
from tests.component.travel import TravelClock


@pytest.fixture
async def world(database_url: str, clock: TravelClock) -> AsyncIterator[World]:
    made = World(database_url, clock, quiet_after=timedelta(minutes=30))
    async with made.db.begin() as tx:
        await queue_store.upsert_queue(tx, TENANT, Queue("order", "Orders", skill="order", policy="fenliu"))
    try:
        yield made
        await made.check()
    finally:
        await made.db.close()


async def _on_hold(world: World, awaited: str = "customer") -> None:
    await world.hire("ann", capacity=1)
    await world.queue("k1")
    await world.settle()
    async with world.client("agent", subject="ann") as client:
        held = await client.post("/v1/assignments/k1/hold", json={"fence": 1, "awaited": awaited})
    assert held.status_code == 200


def _writes(world: World) -> events.TicketMessageAdded:
    return world.fact(  # type: ignore[no-any-return]
        events.TicketMessageAdded, "k1", author_role="customer", author_id="c-1", visibility="public"
    )


async def test_inactive_customers_do_not_burst_over_capacity_on_return(world: World) -> None:
    """Zendesk 5308501814042: inactive chats stop counting, come back, and the agent has more than they may."""
    await _on_hold(world)
    await world.queue("k2")
    await world.settle()
    assert (await world.ticket("k2")).state == "waiting"
    world.clock.jump(minutes=31)
    await world.presence("online", "ann")
    await world.due.step()
    await world.settle()
    parked = await world.ticket("k1")
    assert (parked.state, parked.awaited, parked.agent_id, parked.fence) == ("on_hold", "customer", "", 2)
    assert (await world.ticket("k2")).agent_id == "ann", "the place is not kept for somebody who is quiet"
    await world.tell(_writes(world))
    await world.settle()
    assert await world.state("k1") == ("waiting", "customer_answered")
    await world.check()
    async with world.client("agent", subject="ann") as client:
        assert (await client.post("/v1/assignments/k2/resolve", json={"fence": 1})).status_code == 200
    await world.hire("bob")
    await world.settle()
    back = await world.ticket("k1")
    assert (back.state, back.agent_id, back.reason) == ("assigned", "ann", "known_agent")


async def test_ticket_that_waits_for_a_department_or_was_given_by_hand_keeps_its_place(world: World) -> None:
    await _on_hold(world, "warehouse")
    world.clock.jump(minutes=31)
    await world.due.step()
    assert (await world.ticket("k1")).agent_id == "ann"


async def test_parked_ticket_resumed_by_a_supervisor_stands_in_line_and_has_no_owner_by_mistake(world: World) -> None:
    await _on_hold(world)
    world.clock.jump(minutes=31)
    await world.due.step()
    await world.presence("away", "ann")
    async with world.client("supervisor") as client:
        answer = (await client.post("/v1/assignments/k1/resume", json={"fence": 2})).json()
    assert (answer["state"], answer["agent_id"]) == ("waiting", None)
