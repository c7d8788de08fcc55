"""Shifts and wrap-up in the service: who gets work when, and what becomes of it at the end."""

from __future__ import annotations

from datetime import timedelta

from services.router.domain.queues import Queue
from services.router.store import queues as queue_store
from tests.component.router.lab import TENANT, World


async def _shift(world: World, agent_id: str, start_min: float, end_min: float) -> None:
    now = world.clock.now()
    span = [(now + timedelta(minutes=m)).isoformat() for m in (start_min, end_min)]
    async with world.client("supervisor") as client:
        body = {"intervals": [{"from_at": span[0], "until_at": span[1]}]}
        assert (await client.put(f"/v1/agents/{agent_id}/shifts", json=body)).status_code == 200


async def test_no_shifts_in_assignment_agent_online_out_of_shift_gets_nothing_until_it_begins(world: World) -> None:
    await world.hire("ann")
    await _shift(world, "ann", 10, 60)
    await world.queue("k1", "k2")
    await world.settle()
    assert not list(world.dispatcher.mirrors[(TENANT, "main")].decide(world.clock.now(), 9))
    async with world.client("supervisor") as client:
        (first, _) = (await client.get("/v1/queues/order/tickets")).json()["items"]
        assert first["waits_because"] == "nobody_online"
    world.clock.jump(minutes=10)
    await world.settle()
    assert (await world.ticket("k1")).state == "assigned"
    world.clock.jump(minutes=46)
    await world.queue("k3")
    await world.settle()
    assert (await world.ticket("k3")).state == "waiting", "four minutes of the shift are left"


async def test_work_returns_at_the_end_of_the_shift_with_a_note_and_the_next_shift_takes_over(world: World) -> None:
    await world.hire("ann")
    await _shift(world, "ann", 0, 60)
    await world.queue("k")
    await world.settle()
    assert (await world.ticket("k")).agent_id == "ann"
    world.clock.jump(minutes=50)
    await world.presence("online", "ann")
    world.clock.jump(minutes=11)
    await world.hire("bob")
    await world.due.step()
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.reason) == ("waiting", "shift_ended")
    await world.settle()
    ticket = await world.ticket("k")
    assert (ticket.agent_id, ticket.note) == ("bob", "Returned at the end of Ann's shift.")


async def test_shifts_that_make_no_sense_are_refused_and_a_calendar_may_stand_for_them(world: World) -> None:
    await world.hire("ann")
    path, at = "/v1/agents/ann/shifts", world.clock.now().isoformat()
    async with world.client("supervisor") as client:
        backwards = await client.put(path, json={"intervals": [{"from_at": at, "until_at": at}]})
        assert (backwards.status_code, "before it begins" in backwards.json()["detail"]) == (422, True)
        unknown = await client.put(path, json={"calendar": "moon"})
        assert (unknown.status_code, "always" in unknown.json()["detail"]) == (422, True)
        assert (await client.put(path, json={"calendar": "always"})).json()["takes_work"]
        assert (await client.get(path)).json()["calendar"] == "always"
    async with world.client("supervisor", tenant="rival") as client:
        assert (await client.get(path)).status_code == 404


async def test_agent_who_wraps_up_gets_nothing_new_until_the_time_of_the_queue_is_over(world: World) -> None:
    await world.hire("ann", capacity=2)
    async with world.db.begin() as tx:
        await queue_store.upsert_queue(tx, TENANT, Queue("order", "Orders", skill="order", wrap_up_s=40))
    await world.queue("k1")
    await world.settle()
    async with world.client("agent", subject="ann") as client:
        assert (await client.post("/v1/assignments/k1/resolve", json={"fence": 1})).status_code == 200
    await world.queue("k2")
    await world.settle()
    assert (await world.ticket("k2")).state == "waiting"
    world.clock.jump(seconds=41)
    await world.settle()
    assert (await world.ticket("k2")).state == "assigned"
