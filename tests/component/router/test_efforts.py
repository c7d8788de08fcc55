"""Minutes learned in the service: from start to resolve, shown, editable, and what the dispatcher goes by."""

from __future__ import annotations

from sqlalchemy import select

from services.router.domain.effort import REMEMBERED
from services.router.domain.queues import Queue
from services.router.domain.transitions import Change, apply
from services.router.store import efforts as store
from services.router.store import queues as queue_store
from services.router.tables import efforts
from tests.component.router.lab import TENANT, World


async def _resolve(world: World, agent_id: str, ticket_id: str, minutes: float) -> None:
    async with world.client("agent", subject=agent_id) as client:
        await client.post(f"/v1/assignments/{ticket_id}/start", json={"fence": 1})
        world.clock.jump(minutes=minutes)
        done = await client.post(f"/v1/assignments/{ticket_id}/resolve", json={"fence": 1})
    assert done.status_code == 200


async def test_resolved_work_teaches_the_agents_minutes_which_routing_then_expects(world: World) -> None:
    await world.hire("ann", capacity=1)
    await world.queue("k1")
    await world.settle()
    assert (await world.ticket("k1")).predicted_min == 4.0
    await _resolve(world, "ann", "k1", 12)
    async with world.client("supervisor") as client:
        agent = (await client.get("/v1/agents/ann")).json()
    (effort,) = agent["efforts"]
    assert (effort["finished"], round(effort["mean_min"], 1), agent["load_min"]) == (1, 12.0, 0.0)
    assert 4.0 < effort["expected_min"] < 12.0
    await world.queue("k2")
    await world.settle()
    expected = (await world.ticket("k2")).predicted_min
    assert abs(expected - effort["expected_min"]) < 0.001
    async with world.client("supervisor") as client:
        assert abs((await client.get("/v1/agents/ann")).json()["load_min"] - expected) < 0.001
        (decision,) = (await client.get("/v1/routing/tickets/k2")).json()["decisions"]
    assert decision["candidates"][0]["expected_min"] == effort["expected_min"]
    assert any("expected to need" in line for line in decision["words"])


async def test_outcomes_beyond_what_is_remembered_fade_and_replicas_lose_none(world: World, replica: World) -> None:
    def resolved(minutes: float) -> Change:
        return apply(ticket, "resolve", "owner", world.clock.now(), worked_s=60.0 * minutes)

    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    ticket = await world.ticket("k")
    for each in (world, replica):
        async with each.db.begin() as tx:
            await store.add_outcomes(tx, [resolved(10.0)] * REMEMBERED)
    async with world.db.begin() as tx:
        found = await store.load_efforts(tx, TENANT, "ann")
        assert [(cell.count, cell.minutes) for cell in found] == [(REMEMBERED, 10.0 * REMEMBERED)]
        await store.add_outcomes(tx, [resolved(30.0)] * REMEMBERED)
        (cell,) = await store.load_efforts(tx, TENANT, "ann")
    assert (cell.count, cell.minutes / cell.count) == (REMEMBERED, 20.0)


async def test_prior_of_a_supervisor_is_written_under_its_version_and_steers_the_default_policy(world: World) -> None:
    await world.hire("ann", "bob", capacity=1)
    async with world.db.begin() as tx:
        await queue_store.upsert_queue(tx, TENANT, Queue("order", "Orders", skill="order", policy="fenliu"))
    path, kind = "/v1/agents/ann/efforts", {"category": "order", "complexity": "simple"}
    async with world.client("supervisor") as client:
        said = await client.put(path, json={**kind, "prior_min": 60, "version": 0})
        assert said.json()["efforts"][0]["expected_min"] == 60
        assert (await client.put(path, json={**kind, "prior_min": 5, "version": 0})).status_code == 409
        nonsense = {**kind, "category": "nonsense", "prior_min": 5}
        assert (await client.put(path, json=nonsense)).status_code == 422
        assert (await client.put("/v1/agents/nix/efforts", json={**kind, "prior_min": 5})).status_code == 404
    async with world.client("supervisor", tenant="rival") as client:
        assert (await client.put(path, json={**kind, "prior_min": 5})).status_code == 404
    await world.queue("k")
    await world.settle()
    assert (await world.ticket("k")).agent_id == "bob"
    async with world.db.read() as tx:
        assert (await tx.execute(select(efforts.c.tenant_id))).scalars().all() == [TENANT]


async def test_agent_whose_minutes_are_full_gets_nothing_more_though_places_are_left(world: World) -> None:
    await world.hire("ann", capacity=9)
    async with world.client("supervisor") as client:
        body = {"name": "Ann", "skills": {"order": 1.0}, "capacity": 9, "capacity_min": 8}
        assert (await client.put("/v1/agents/ann", json=body)).json()["capacity_min"] == 8
    await world.queue("k1", "k2", "k3")
    await world.settle()
    states = sorted([(await world.ticket(k)).state for k in ("k1", "k2", "k3")])
    assert states == ["assigned", "assigned", "waiting"], "two of 4 minutes fill 8"
