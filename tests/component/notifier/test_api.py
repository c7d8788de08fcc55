"""The routes for integrators and staff: what they take, what they show, and to whom."""

import json
from typing import Any
from uuid import uuid4

import pytest

from services.notifier import store
from tests.component.notifier.lab import World, endpoint, message, received, status
from tests.component.travel import TravelClock

URL = "https://hooks.shop.example/fenliu"


async def test_subscription_secret_is_shown_once(world: World) -> None:
    made = await world.subscribe(URL, "assigned", "resolved")
    assert made["secret"].startswith("whsec_")
    async with world.client("integration") as client:
        one = await client.get(f"/v1/subscriptions/{made['subscription_id']}")
        listed = await client.get("/v1/subscriptions")
    assert one.json() == {k: v for k, v in made.items() if k != "secret"}
    assert listed.json() == {"items": [one.json()], "next": None}
    assert made["secret"] not in one.text + listed.text
    assert one.json()["events"] == ["assigned", "resolved"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": "http://hooks.shop.example/"}, "#/url"),
        ({"url": "https://10.0.0.1/"}, "#/url"),
        ({"url": "https://metadata/"}, "#/url"),
        ({"url": "x" * 3000}, "#/url"),
        ({"url": URL, "events": ["exploded"]}, "#/events/0"),
        ({"url": URL, "events": []}, "#/events"),
        ({"url": URL, "tenant_id": "other"}, "#/tenant_id"),
        ({}, "#/url"),
    ],
)
async def test_subscription_unusable_is_refused_with_a_pointer(world: World, body: Any, pointer: str) -> None:
    async with world.client("integration") as client:
        answered = await client.post("/v1/subscriptions", json=body)
    assert answered.status_code == 422
    assert answered.headers["content-type"] == "application/problem+json"
    assert pointer in [error["pointer"] for error in answered.json()["errors"]]


async def test_subscription_plain_http_to_this_machine_needs_the_setting(database_url: str, clock: TravelClock) -> None:
    world = World(database_url, clock, webhook_allow_loopback=False)
    async with world.client("integration") as client:
        answered = await client.post("/v1/subscriptions", json={"url": "http://127.0.0.1:9000/"})
    await world.db.close()
    assert answered.status_code == 422


async def test_subscription_above_the_tenants_cap_is_refused(database_url: str, clock: TravelClock) -> None:
    world = World(database_url, clock, subscriptions_per_tenant=2)
    for _ in range(2):
        await world.subscribe(URL)
    await world.subscribe(URL, tenant="other")
    async with world.client("integration") as client:
        answered = await client.post("/v1/subscriptions", json={"url": URL})
    await world.db.close()
    assert answered.status_code == 409
    assert answered.json()["type"].endswith("/too-many-subscriptions")


async def test_subscriptions_are_listed_page_by_page(world: World) -> None:
    made = [(await world.subscribe(URL))["subscription_id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    async with world.client("integration") as client:
        for _ in range(3):
            page = (
                await client.get("/v1/subscriptions", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
            ).json()
            seen += [item["subscription_id"] for item in page["items"]]
            cursor = page["next"]
    assert seen == made
    assert cursor is None


async def test_subscription_deleted_takes_what_is_owed_with_it(world: World) -> None:
    async with endpoint() as sink:
        made = await world.subscribe(sink.url)
        await world.handle(status(1, "waiting"))
        async with world.client("integration") as client:
            assert (await client.delete(f"/v1/subscriptions/{made['subscription_id']}")).status_code == 204
            assert (await client.get("/v1/deliveries")).json()["items"] == []
        await world.handle(status(2, "assigned"))
        await world.deliver()
    assert sink.connections == 0


async def test_deliveries_are_filtered_and_paged_newest_first(world: World) -> None:
    made = await world.subscribe(URL)
    for version, ticket in enumerate(("a", "b", "a"), start=1):
        await world.handle(status(version, "waiting", ticket))
    async with world.client("supervisor") as client:
        everything = (await client.get("/v1/deliveries")).json()["items"]
        of_a = (await client.get("/v1/deliveries", params={"ticket_id": "a"})).json()["items"]
        sent = (await client.get("/v1/deliveries", params={"state": "sent"})).json()["items"]
        mine = await client.get("/v1/deliveries", params={"subscription_id": made["subscription_id"], "limit": 2})
        rest = await client.get("/v1/deliveries", params={"limit": 2, "cursor": mine.json()["next"]})
    assert [d["ticket_id"] for d in everything] == ["a", "b", "a"]
    assert (len(of_a), len(sent)) == (2, 0)
    assert [d["delivery_id"] for d in mine.json()["items"] + rest.json()["items"]] == [
        d["delivery_id"] for d in everything
    ]


async def test_foreign_objects_answer_exactly_as_missing_ones(world: World) -> None:
    made = await world.subscribe(URL)
    await world.handle(received(), status(1, "waiting"))
    async with world.client("integration") as client:
        [delivery] = (await client.get("/v1/deliveries")).json()["items"]
    missing = str(uuid4())
    routes = [
        ("GET", "/v1/subscriptions/{}", made["subscription_id"]),
        ("DELETE", "/v1/subscriptions/{}", made["subscription_id"]),
        ("POST", "/v1/subscriptions/{}/test", made["subscription_id"]),
        ("GET", "/v1/deliveries/{}", delivery["delivery_id"]),
        ("POST", "/v1/deliveries/{}/retry", delivery["delivery_id"]),
        ("GET", "/v1/timelines/{}", "k"),
        ("GET", "/v1/timelines/{}/events", "k"),
    ]
    async with world.client("admin", tenant="other") as client:
        for method, path, ours in routes:
            foreign = await client.request(method, path.format(ours))
            absent = await client.request(method, path.format(missing))
            assert foreign.status_code == absent.status_code == 404, path
            alike = [{k: v for k, v in answer.json().items() if k != "request_id"} for answer in (foreign, absent)]
            assert alike[0] == alike[1], path
        for path in ("/v1/subscriptions", "/v1/deliveries", "/v1/deliveries?ticket_id=k"):
            assert (await client.get(path)).json()["items"] == []
    async with world.client("integration") as client:
        assert (await client.get(f"/v1/subscriptions/{made['subscription_id']}")).status_code == 200


@pytest.mark.parametrize("role", ["storefront", "customer", "agent"])
async def test_webhooks_are_for_integrators_only(world: World, role: str) -> None:
    async with world.client(role) as client:
        assert (await client.get("/v1/subscriptions")).status_code == 403
        assert (await client.post("/v1/subscriptions", json={"url": URL})).status_code == 403
        assert (await client.get("/v1/deliveries")).status_code == 403
    async with world.client() as client:
        assert (await client.get("/v1/subscriptions")).status_code == 401


async def test_timeline_is_shown_to_its_customer_and_to_no_other(world: World) -> None:
    await world.handle(received(), status(1, "waiting"), message(2, "hello"))
    async with world.client("customer", subject="c-1") as client:
        shown = (await client.get("/v1/timelines/k")).json()
        later = (await client.get("/v1/timelines/k", params={"after": 1})).json()
    assert shown["step"] == "in_line"
    assert shown["headline"]["zh"] == "正在为您安排客服"
    assert [entry["kind"] for entry in shown["entries"]] == ["received", "in_line", "message_agent"]
    assert [entry["kind"] for entry in later["entries"]] == ["in_line", "message_agent"]
    async with world.client("customer", subject="c-2") as client:
        assert (await client.get("/v1/timelines/k")).status_code == 404


async def test_standard_routes_answer(world: World) -> None:
    async with world.client() as client:
        for path in ("/", "/livez", "/metrics", "/version", "/openapi.json"):
            assert (await client.get(path)).status_code == 200, path
        text = (await client.get("/metrics")).text
    assert "fenliu_notifier_delivery_attempts_total" in text


async def test_payload_has_no_words_of_people(world: World) -> None:
    await world.subscribe(URL)
    await world.handle(received(text="my secret words"), message(2, "my secret answer"), status(1, "waiting"))
    async with world.db.read() as tx:
        [owed] = await store.list_deliveries(tx, "acme", before=None, limit=10)
    assert "secret" not in owed.payload
    assert json.loads(owed.payload)["type"] == "ticket.waiting"
