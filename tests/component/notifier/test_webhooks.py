"""Webhooks against endpoints that behave well, badly and not at all."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from services.notifier import store
from services.notifier.domain import Sent
from services.notifier.store import Attempt
from tests.component.notifier.lab import (
    TravelClock,
    World,
    answer,
    close,
    endpoint,
    hang,
    received,
    status,
    trickle,
    until,
)


async def log(world: World, **query: str) -> list[dict[str, Any]]:
    async with world.client("integration") as client:
        answered = await client.get("/v1/deliveries", params=query)
    assert answered.status_code == 200, answered.text
    return answered.json()["items"]


async def detail(world: World, delivery_id: str) -> dict[str, Any]:
    async with world.client("integration") as client:
        return (await client.get(f"/v1/deliveries/{delivery_id}")).json()


async def test_delivery_is_signed_as_the_reference_library_expects(world: World) -> None:
    async with endpoint() as sink:
        subscription = await world.subscribe(sink.url)
        await world.handle(received(), status(1, "assigned", agent_id="a-1", agent_name="林晓"))
        await world.deliver()
    [request] = sink.requests
    body = Webhook(subscription["secret"]).verify(request.body, request.headers)
    assert body["type"] == "ticket.assigned"
    assert body["data"]["agent_name"] == "林晓"
    [delivery] = await log(world)
    assert request.headers["webhook-id"] == delivery["delivery_id"]
    assert request.path == "/hook"
    assert (delivery["state"], delivery["attempts"], delivery["status"]) == ("sent", 1, 200)


async def test_delivery_failed_once_is_repeated_with_the_same_id(world: World, clock: TravelClock) -> None:
    async with endpoint(answer(500), answer(200)) as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        await world.deliver()
        [waiting] = await log(world)
        assert (waiting["state"], waiting["status"]) == ("pending", 500)
        await world.deliver()
        assert len(sink.requests) == 1, "it is not due yet"
        clock.jump(seconds=6)
        await world.deliver()
    assert len({request.headers["webhook-id"] for request in sink.requests}) == 1
    assert len({request.body for request in sink.requests}) == 1
    shown = await detail(world, waiting["delivery_id"])
    assert shown["state"] == "sent"
    assert [(a["number"], a["status"]) for a in shown["log"]] == [(1, 500), (2, 200)]
    assert shown["payload"].encode() == sink.requests[0].body


@pytest.mark.parametrize("code", [429, 503])
async def test_delivery_retry_after_is_honoured(world: World, clock: TravelClock, code: int) -> None:
    async with endpoint(answer(code, "Retry-After: 120\r\n"), answer(200)) as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        before = clock.now()
        await world.deliver()
        [waiting] = await log(world)
        wait = datetime.fromisoformat(waiting["next_attempt_at"]) - before
        assert timedelta(seconds=120) <= wait <= timedelta(seconds=134)
        clock.jump(seconds=119)
        await world.deliver()
        assert len(sink.requests) == 1
        clock.jump(seconds=20)
        await world.deliver()
    assert len(sink.requests) == 2


async def test_delivery_gone_switches_the_subscription_off(world: World) -> None:
    async with endpoint(answer(410)) as sink:
        subscription = await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        await world.deliver()
        await world.handle(status(2, "assigned"))
        await world.deliver()
    assert len(sink.requests) == 1
    assert {d["state"] for d in await log(world)} == {"failed"}
    async with world.client("integration") as client:
        shown = (await client.get(f"/v1/subscriptions/{subscription['subscription_id']}")).json()
    assert shown["enabled"] is False
    assert "410" in shown["disabled_reason"]


async def test_delivery_redirect_is_not_followed(world: World) -> None:
    async with endpoint() as target, endpoint(answer(307, f"Location: {target.url}\r\n")) as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        await world.deliver()
    assert target.connections == 0
    [delivery] = await log(world)
    assert (delivery["state"], delivery["status"]) == ("pending", 307)
    assert "Redirects are not followed" in delivery["error"]


@pytest.mark.parametrize("behaviour", [hang, trickle])
async def test_delivery_endpoint_too_slow_is_cut_off_and_repeated(
    database_url: str, clock: TravelClock, behaviour: Any
) -> None:
    world = World(database_url, clock, webhook_timeout_s=1)
    async with endpoint(behaviour) as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        async with asyncio.timeout(3):
            await world.deliver()
    [delivery] = await log(world)
    await world.db.close()
    assert (delivery["state"], delivery["status"], delivery["error"]) == ("pending", None, "No answer within 1 s.")


async def test_delivery_endpoint_closes_without_answer_is_repeated(world: World) -> None:
    async with endpoint(close) as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        await world.deliver()
    [delivery] = await log(world)
    assert delivery["state"] == "pending"
    assert "closed" in delivery["error"]


async def test_delivery_nobody_listens_is_repeated(world: World) -> None:
    async with endpoint() as sink:
        await world.subscribe(sink.url)
    await world.handle(status(1, "waiting"))
    await world.deliver()
    [delivery] = await log(world)
    assert (delivery["state"], delivery["error"]) == ("pending", "The connection was refused.")


async def test_delivery_answer_of_100_mb_is_not_read(world: World) -> None:
    written = 0

    async def huge(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000

    async with endpoint(huge) as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        await world.deliver()
        await until(lambda: not sink.open)
    assert written < 20_000_000, "all but the sockets' buffers must stay unwritten"
    [delivery] = await log(world)
    assert (delivery["state"], delivery["status"]) == ("sent", 200)


async def test_deliveries_hanging_endpoint_does_not_delay_others(database_url: str, clock: TravelClock) -> None:
    world = World(database_url, clock, webhook_timeout_s=30)
    async with endpoint() as well:
        async with endpoint(hang) as ill:
            await world.subscribe(ill.url)
            await world.handle_batch([status(1, "waiting", f"ill-{n}") for n in range(40)])
            await world.subscribe(well.url)
            await world.handle_batch([status(1, "waiting", f"well-{n}") for n in range(40)])
            for _ in range(1000):
                await world.deliveries.dispatch_once()
                if len(well.requests) == 40:
                    break
                await asyncio.sleep(0.005)
            assert len(well.requests) == 40
            assert 1 <= ill.connections <= 8, "its share, all of them still waiting"
        await world.deliveries.idle()
    await world.db.close()


async def test_delivery_sender_died_before_recording_is_repeated_and_its_record_refused(world: World) -> None:
    async with endpoint() as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        async with world.db.begin() as tx:
            [lost] = await store.claim_due(tx, lease_id="dead", lease_s=-1, limit=9, per_endpoint=9, leave_out=())
        await world.deliver()
    assert [request.headers["webhook-id"] for request in sink.requests] == [lost.delivery.delivery_id]
    async with world.db.begin() as tx:
        stale = Attempt(1, world.clock.now(), 5, 200, "")
        assert not await store.record_attempt(tx, lost, stale, Sent())
    [delivery] = await log(world)
    assert (delivery["state"], delivery["attempts"]) == ("sent", 2)


async def test_delivery_under_lease_is_not_claimed_by_another_replica(world: World, replica: World) -> None:
    async with endpoint() as sink:
        await world.subscribe(sink.url)
        await world.handle_batch([status(1, "waiting", f"k-{n}") for n in range(30)])

        async def work(who: World) -> None:
            while await who.deliveries.dispatch_once():
                await who.deliveries.idle()

        await asyncio.gather(work(world), work(replica))
    ids = [request.headers["webhook-id"] for request in sink.requests]
    assert len(ids) == len(set(ids)) == 30


async def test_delivery_event_handled_again_is_owed_once(world: World) -> None:
    async with endpoint() as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"), status(1, "waiting"))
        await world.handle_batch([status(1, "waiting"), status(2, "assigned"), status(2, "assigned")])
        await world.handle(status(1, "waiting", repeated=True))
        await world.deliver()
    # Due deliveries go out side by side, so their order is free; the version in each tells which is newer.
    assert sorted(json.loads(r.body)["type"] for r in sink.requests) == ["ticket.assigned", "ticket.waiting"]


async def test_delivery_only_wanted_states_of_the_own_tenant(world: World) -> None:
    async with endpoint() as sink:
        await world.subscribe(sink.url, "resolved", "closed")
        await world.handle(status(1, "waiting"), status(2, "resolved"), status(1, "resolved", "x", tenant="other"))
        await world.deliver()
    assert [json.loads(r.body)["data"]["state"] for r in sink.requests] == ["resolved"]


async def test_delivery_subscription_made_by_another_replica_counts_within_a_second(
    world: World, replica: World, clock: TravelClock
) -> None:
    async with endpoint() as sink:
        await world.handle(status(1, "waiting"))  # the cache is filled with nobody
        await replica.subscribe(sink.url)
        clock.jump(seconds=1.1)
        await world.handle(status(2, "assigned"))
        await world.deliver()
    assert len(sink.requests) == 1


async def test_delivery_test_is_sent_and_logged(world: World) -> None:
    async with endpoint() as sink:
        made = await world.subscribe(sink.url, "closed")
        async with world.client("integration") as client:
            answered = await client.post(f"/v1/subscriptions/{made['subscription_id']}/test")
        assert answered.status_code == 202
        await world.deliver()
    body = Webhook(made["secret"]).verify(sink.requests[0].body, sink.requests[0].headers)
    assert body["type"] == "subscription.test"
    assert sink.requests[0].headers["webhook-id"] == answered.json()["delivery_id"]


async def test_rotated_secret_signs_at_once_and_the_one_before_until_the_overlap_ends(
    world: World, clock: TravelClock
) -> None:
    async with endpoint() as sink:
        made = await world.subscribe(sink.url)
        async with world.client("integration") as client:
            rotated = await client.post(f"/v1/subscriptions/{made['subscription_id']}/rotate", json={"overlap_s": 60})
        assert rotated.status_code == 200
        await world.handle(status(1, "waiting"))
        await world.deliver()
        clock.jump(seconds=61)
        await world.handle(status(2, "assigned"))
        await world.deliver()
    during, after = sink.requests
    assert made["secret"] != rotated.json()["secret"]
    for secret in (made["secret"], rotated.json()["secret"]):
        Webhook(secret).verify(during.body, during.headers)
    assert len(during.headers["webhook-signature"].split()) == 2
    assert len(after.headers["webhook-signature"].split()) == 1


async def test_delivery_sent_or_failed_is_repeated_when_a_person_asks(world: World) -> None:
    async with endpoint() as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        await world.deliver()
        [delivery] = await log(world)
        async with world.client("integration") as client:
            answered = await client.post(f"/v1/deliveries/{delivery['delivery_id']}/retry")
        assert (answered.status_code, answered.json()["state"]) == (202, "pending")
        await world.deliver()
    assert [r.headers["webhook-id"] for r in sink.requests] == [delivery["delivery_id"]] * 2


async def test_delivery_finished_long_ago_is_forgotten(world: World, clock: TravelClock) -> None:
    async with endpoint() as sink:
        await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        await world.deliver()
        assert await world.housekeeping.keep_house_once() == 0
        clock.jump(days=15)
        await world.handle(status(2, "assigned"))
        assert await world.housekeeping.keep_house_once() == 1
    assert [d["state"] for d in await log(world)] == ["pending"]
