"""The routes: what they answer, to whom, and what a stale fence gets."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
import pytest

from fenliu.chassis.observability import REGISTRY
from services.router.workers.news import RemoteNews
from tests.component.router.lab import World


async def _until_listening(world: World) -> None:
    async with asyncio.timeout(5):
        while not world.news.listening():  # noqa: ASYNC110 - nobody signals that a request has begun to wait
            await asyncio.sleep(0.01)


async def _assigned(world: World, ticket_id: str = "k") -> None:
    await world.hire("ann", "bob", capacity=3)
    await world.queue(ticket_id)
    await world.settle()


def _commits() -> float:
    return REGISTRY.get_sample_value("fenliu_group_commit_requests_count", {"group": "assignments"}) or 0.0


def _problem(answer: httpx2.Response, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["type"].endswith(f"/{slug}")


async def test_agents_bulk_presence_and_lists(world: World) -> None:
    rows = [{"agent_id": f"a{n}", "name": f"A{n}", "skills": {"order": 0.5}, "capacity": 2} for n in range(3)]
    async with world.client("supervisor") as client:
        made = await client.put("/v1/agents", json={"agents": rows})
        assert [item["presence"] for item in made.json()["items"]] == ["offline"] * 3
        online = await client.put("/v1/agents/presence", json={"agent_ids": ["a0", "a1"], "presence": "online"})
        assert online.status_code == 200
        page = (await client.get("/v1/agents?limit=2")).json()
        assert [item["agent_id"] for item in page["items"]] == ["a0", "a1"]
        rest = (await client.get("/v1/agents", params={"limit": 2, "cursor": page["next"]})).json()
        assert [item["agent_id"] for item in rest["items"]] == ["a2"]
        assert rest["next"] is None
        assert len((await client.get("/v1/agents?presence=online")).json()["items"]) == 2
        missing = await client.put("/v1/agents/presence", json={"agent_ids": ["a2", "zz"], "presence": "online"})
        _problem(missing, 404, "agent-not-found")
        assert (await client.get("/v1/agents/a2")).json()["presence"] == "offline", "all or nothing"


async def test_agent_with_an_unknown_skill_is_refused(world: World) -> None:
    async with world.client("supervisor") as client:
        answer = await client.put("/v1/agents/a", json={"name": "A", "skills": {"telepathy": 1.0}, "capacity": 1})
    _problem(answer, 422, "unknown-skill")


async def test_life_of_an_assignment_over_http(world: World) -> None:
    await _assigned(world)
    ticket = await world.ticket("k")
    async with world.client("agent", subject=ticket.agent_id) as client:
        for action, extra, state in (
            ("start", {}, "in_progress"),
            ("hold", {"awaited": "warehouse"}, "on_hold"),
            ("resume", {}, "in_progress"),
            ("resolve", {"reason": "refunded"}, "resolved"),
        ):
            body = {"fence": 1, **extra}
            first = await client.post(f"/v1/assignments/k/{action}", json=body)
            assert (first.status_code, first.json()["state"]) == (200, state)
            again = await client.post(f"/v1/assignments/k/{action}", json=body)
            assert again.json() == first.json(), "a repeat gets the same answer"
        story = (await client.get("/v1/routing/tickets/k")).json()
    actions = [step["action"] for step in story["history"]]
    assert actions == ["receive", "queue", "assign", "start", "hold", "resume", "resolve"]
    assert story["history"][-1]["reason"] == "refunded"


async def test_stale_fence_is_refused_and_changes_nothing(world: World) -> None:
    await _assigned(world)
    owner = (await world.ticket("k")).agent_id
    async with world.client("agent", subject=owner) as client:
        assert (await client.post("/v1/assignments/k/decline", json={"fence": 1})).status_code == 200
        await world.settle()
        stale = await client.post("/v1/assignments/k/resolve", json={"fence": 1})
    _problem(stale, 409, "stale-assignment")
    assert stale.json()["current"] == {"version": 5, "fence": 3, "state": "assigned"}
    assert (await world.ticket("k")).agent_id != owner


async def test_actions_that_arrive_together_share_a_transaction_and_fail_alone(world: World) -> None:
    names = [f"k{number}" for number in range(6)]
    await world.hire("ann", capacity=10)
    await world.queue(*names)
    await world.settle()
    before = _commits()
    async with world.client("agent", subject="ann") as client:

        async def act(name: str, action: str, fence: int = 1) -> int:
            return (await client.post(f"/v1/assignments/{name}/{action}", json={"fence": fence})).status_code

        answers = await asyncio.gather(
            act("k0", "accept"), act("k0", "start"), act("k0", "resolve"), act("k1", "start", fence=9),
            act("k2", "resume"), act("nothing", "start"), *(act(name, "start") for name in names[3:]),
        )  # fmt: skip
    assert answers == [200, 200, 200, 409, 409, 404, 200, 200, 200]
    assert 0 < _commits() - before < len(answers)
    assert [(await world.ticket(name)).state for name in names] == [
        "resolved", "assigned", "assigned", "in_progress", "in_progress", "in_progress",
    ]  # fmt: skip
    await world.check()


async def test_agents_act_on_their_own_assignments_only_and_supervisors_on_any(world: World) -> None:
    await _assigned(world)
    other = "bob" if (await world.ticket("k")).agent_id == "ann" else "ann"
    async with world.client("agent", subject=other) as client:
        _problem(await client.post("/v1/assignments/k/start", json={"fence": 1}), 403, "forbidden")
        _problem(await client.get(f"/v1/agents/{'ann' if other == 'bob' else 'bob'}/assignments"), 403, "forbidden")
    async with world.client("supervisor") as client:
        assert (await client.post("/v1/assignments/k/start", json={"fence": 1})).status_code == 200
    async with world.client("customer") as client:
        _problem(await client.post("/v1/assignments/k/resolve", json={"fence": 1}), 403, "forbidden")


async def test_action_that_the_state_does_not_allow_is_a_conflict(world: World) -> None:
    await _assigned(world)
    async with world.client("supervisor") as client:
        _problem(await client.post("/v1/assignments/k/resume", json={"fence": 1}), 409, "illegal-transition")


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("hold", {}),
        ("start", {"awaited": "customer"}),
        ("transfer", {}),
        ("transfer", {"queue_id": "order", "agent_id": "bob"}),
        ("resolve", {"queue_id": "order"}),
    ],
)
async def test_action_with_the_wrong_fields_is_refused(world: World, action: str, body: dict[str, Any]) -> None:
    async with world.client("supervisor") as client:
        answer = await client.post(f"/v1/assignments/k/{action}", json={"fence": 1, **body})
    _problem(answer, 422, "invalid-action")


async def test_transfer_to_an_agent_moves_the_place_and_to_a_queue_frees_it(world: World) -> None:
    await _assigned(world)
    owner = (await world.ticket("k")).agent_id
    other = "bob" if owner == "ann" else "ann"
    async with world.client("supervisor") as client:
        given = await client.post("/v1/assignments/k/transfer", json={"fence": 1, "agent_id": other})
        assert (given.json()["agent_id"], given.json()["fence"]) == (other, 2)
        loads = {a["agent_id"]: a["load"] for a in (await client.get("/v1/agents")).json()["items"]}
        assert loads == {owner: 0, other: 1}
        moved = await client.post("/v1/assignments/k/transfer", json={"fence": 2, "queue_id": "payment"})
        assert (moved.json()["state"], moved.json()["queue_id"]) == ("waiting", "payment")
        nowhere = await client.post("/v1/assignments/k/transfer", json={"fence": 3, "queue_id": "nowhere"})
        _problem(nowhere, 404, "queue-not-found")
        await world.presence("away", other)
        absent = await client.post("/v1/assignments/k/transfer", json={"fence": 3, "agent_id": other})
        _problem(absent, 409, "agent-unavailable")


async def test_foreign_tenants_things_answer_exactly_as_missing_ones(world: World) -> None:
    await _assigned(world)
    async with world.client("admin", tenant="rival") as client:
        for method, path, body in (
            ("GET", "/v1/routing/tickets/{}", None),
            ("POST", "/v1/assignments/{}/start", {"fence": 1}),
        ):
            foreign, missing = [await client.request(method, path.format(i), json=body) for i in ("k", "nothing")]
            assert {**foreign.json(), "request_id": ""} == {**missing.json(), "request_id": ""}
            assert foreign.status_code == missing.status_code == 404
        for path in ("/v1/agents/ann", "/v1/agents/ann/assignments"):
            _problem(await client.get(path), 404, "agent-not-found")
        assert (await client.get("/v1/queues/order/tickets")).json()["items"] == []
        assert (await client.get("/v1/agents")).json()["items"] == []


async def test_queue_shows_what_waits_and_why(world: World) -> None:
    await world.hire("ann", capacity=1)
    await world.queue("k1", "k2", "k3")
    await world.settle()
    async with world.client("supervisor") as client:
        page = (await client.get("/v1/queues/order/tickets?limit=1")).json()
        (shown,) = page["items"]
        assert shown["waits_because"] == "all_agents_full"
        assert shown["age_s"] >= 0
        rest = (await client.get("/v1/queues/order/tickets", params={"cursor": page["next"]})).json()
        assert len(rest["items"]) == 1
        queues = {q["queue_id"]: q for q in (await client.get("/v1/queues")).json()["items"]}
        assert queues["order"]["waiting"] == 2
        _problem(await client.get("/v1/queues/nowhere/tickets"), 404, "queue-not-found")


async def test_queue_settings_are_checked_and_versioned(world: World) -> None:
    async with world.client("supervisor") as client:
        changed = (await client.put("/v1/queues/order", json={"mode": "offer", "offer_timeout_s": 20})).json()
        assert (changed["mode"], changed["skill"], changed["version"]) == ("offer", "order", 1)
        own = (await client.put("/v1/queues/vip", json={"name": "VIP", "policy": "longest_idle"})).json()
        assert (own["name"], own["policy"]) == ("VIP", "longest_idle")
        _problem(await client.put("/v1/queues/order", json={"policy": "magic"}), 422, "invalid-queue")
        _problem(await client.put("/v1/queues/order", json={"skill": "magic"}), 422, "invalid-queue")


async def test_long_poll_answers_at_once_when_work_arrives(world: World) -> None:
    await world.hire("ann")
    await world.settle()
    async with world.client("agent", subject="ann") as client:
        known = (await client.get("/v1/agents/ann/assignments")).json()["version"]
        waiting = asyncio.create_task(client.get(f"/v1/agents/ann/assignments?wait_s=15&after={known}"))
        await _until_listening(world)
        await world.queue("k")
        started = time.monotonic()
        await world.settle()
        answer = (await asyncio.wait_for(waiting, 5)).json()
    assert [item["ticket_id"] for item in answer["items"]] == ["k"]
    assert time.monotonic() - started < 5


async def test_long_poll_of_an_idle_agent_who_knows_nothing_waits_for_work(world: World) -> None:
    await world.hire("ann")
    await world.settle()
    async with world.client("agent", subject="ann") as client:
        assert (await client.get("/v1/agents/ann/assignments")).json()["items"] == []
        waiting = asyncio.create_task(client.get("/v1/agents/ann/assignments?wait_s=15"))
        await _until_listening(world)
        await world.queue("k")
        await world.settle()
        answer = (await asyncio.wait_for(waiting, 5)).json()
        again = await asyncio.wait_for(client.get("/v1/agents/ann/assignments?wait_s=15"), 5)
    assert [item["ticket_id"] for item in answer["items"]] == ["k"]
    assert again.json() == answer


async def test_long_poll_hears_of_changes_by_another_process(world: World, replica: World) -> None:
    await world.hire("ann")
    await replica.settle()
    async with world.client("agent", subject="ann") as client:
        known = (await client.get("/v1/agents/ann/assignments")).json()["version"]
        waiting = asyncio.create_task(client.get(f"/v1/agents/ann/assignments?wait_s=15&after={known}"))
        await _until_listening(world)
        await replica.queue("k")
        await replica.settle()
        await RemoteNews(world.db, world.news).step()
        answer = (await asyncio.wait_for(waiting, 5)).json()
    assert [item["ticket_id"] for item in answer["items"]] == ["k"]


async def test_long_poll_without_news_ends_with_the_same_answer(world: World) -> None:
    await world.hire("ann")
    async with world.client("agent", subject="ann") as client:
        known = (await client.get("/v1/agents/ann/assignments")).json()
        again = await client.get(f"/v1/agents/ann/assignments?wait_s=0.05&after={known['version']}")
    assert again.json() == known
    assert not world.news.listening()
