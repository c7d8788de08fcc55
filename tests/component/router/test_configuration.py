"""Configuration: refused where nobody can satisfy it, live within a second, taken back in one call."""

from __future__ import annotations

from tests.component.router.lab import TENANT, World


async def test_queue_that_nobody_can_serve_is_refused_with_the_reason(world: World) -> None:
    path = "/v1/queues/vip"
    async with world.client("supervisor") as client:
        assert (await client.put(path, json={"skill": "payment", "level": 1})).status_code == 200, "nobody yet at all"
        body = {"name": "Ann", "skills": {"order": 0.5}, "capacity": 1}
        assert (await client.put("/v1/agents/ann", json=body)).status_code == 200
        for fields, reason in (
            ({"skill": "payment", "level": 0.1}, "No agent has the skill payment"),
            ({"skill": "order", "level": 0.6}, "the highest level is 0.5"),
        ):
            refused = await client.put(path, json=fields)
            assert (refused.status_code, refused.json()["type"][-19:]) == (422, "unsatisfiable-queue")
            assert reason in refused.json()["detail"]
        assert (await client.put(path, json={"skill": "order", "level": 0.5})).status_code == 200


async def test_everything_is_rolled_back_in_one_call_which_can_be_taken_back_too(world: World) -> None:
    async with world.client("supervisor", subject="sue") as client:

        async def now() -> tuple[str, str, int]:
            queues = {item["queue_id"]: item for item in (await client.get("/v1/queues")).json()["items"]}
            agent = (await client.get("/v1/agents/ann")).json()
            return queues["order"]["mode"], queues["order"]["policy"], agent["capacity"]

        async def hire(capacity: int) -> None:
            body = {"name": "Ann", "skills": {"order": 0.5}, "capacity": capacity}
            assert (await client.put("/v1/agents/ann", json=body)).status_code == 200

        await hire(1)
        good = (await client.get("/v1/routing/configuration")).json()["items"][0]["revision"]
        before = await now()
        await client.put("/v1/queues/order", json={"mode": "offer"})
        await client.put("/v1/queues/order", json={"policy": "fewest_open"})
        await hire(9)
        await hire(9)
        await client.put("/v1/agents/bob", json={"name": "Bob", "capacity": 1})
        assert await now() == ("offer", "fewest_open", 9)
        back = await client.post("/v1/routing/configuration/rollback", json={"revision": good})
        assert back.json()["restored"] == ["agent/ann", "queue/order"]
        assert back.json()["kept"] == ["bob"]
        assert await now() == before
        again = await client.post("/v1/routing/configuration/rollback", json={"revision": back.json()["revision"] - 1})
        assert again.status_code == 200
        assert await now() == ("offer", "fewest_open", 9)
        listed = (await client.get("/v1/routing/configuration?limit=3")).json()
        assert [item["by"] for item in listed["items"]] == ["sue"] * 3
        more = (await client.get("/v1/routing/configuration", params={"cursor": listed["next"]})).json()["items"]
        assert len({(item["revision"], item["key"]) for item in [*listed["items"], *more]}) == 9
    async with world.client("supervisor", tenant="rival") as client:
        assert (await client.get("/v1/routing/configuration")).json()["items"] == []


async def test_changed_queue_is_live_in_a_dispatcher_within_a_second(world: World) -> None:
    world.dispatcher = world.new_dispatcher("one", heartbeat_s=0.5)
    await world.hire("ann")
    await world.settle()
    async with world.client("supervisor") as client:
        await client.put("/v1/queues/order", json={"mode": "offer"})
    world.clock.jump(seconds=0.75)  # a heartbeat and a poll
    await world.dispatcher.step()
    assert world.dispatcher.mirrors[(TENANT, "main")].overrides["order"].mode == "offer"
