"""Promise 7: no tenant ever sees a byte of another.

Every route that takes an id is found in the services' own OpenAPI, whether the id stands in the path, the query or the
token. The answer about a foreign tenant's object must be the answer about one that never existed, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from fenliu.chassis.auth import StatusTokens
from fenliu.cli.records import publish
from fenliu.contracts.vocabulary import skills
from tests.stack import SERVICES, STATUS_KEY, Stack, eventually, staff, token

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

ABSENT = "00000000-0000-7000-8000-000000000000"

BODIES: dict[str, Any] = {
    "/v1/tickets/{ticket_id}/messages": {"text": "hello"},
    "/v1/tickets/{ticket_id}/rating": {"score": 5},
    "/v1/agents/{agent_id}/presence": {"presence": "online"},
    "/v1/routing/tickets/{ticket_id}/labels": {"tier": "urgent"},
    "/v1/routing/tickets/{ticket_id}/answer": {"party": "warehouse"},
    "/v1/agents/{agent_id}/efforts": {"category": "order", "complexity": "simple", "prior_min": 5},
}
"""Bodies that a route needs to get as far as looking the object up; other writes take {} or {"fence": 1}."""

QUERIES: dict[str, dict[str, str]] = {"/v1/routing/awaited": {"party": "warehouse"}}
"""Parameters without which a list does not answer."""

ACTIONS: dict[str, Any] = {"hold": {"awaited": "customer"}, "transfer": {"queue_id": "general"}}
"""What an action on an assignment needs besides the fence."""

UPSERTS = {
    ("put", "/v1/agents/{agent_id}"),
    ("put", "/v1/queues/{queue_id}"),
    ("put", "/v1/routing/customers/{customer_id}"),
}
"""Writes that create: a foreign id is simply the caller's own new object. Checked by `test_upsert_…` below."""

Objects = dict[str, str]


class Known:
    """The objects of this run's tenant `owner`, made once."""

    tenants: tuple[str, str] = ("", "")
    objects: Objects | None = None


def admin(tenant: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(tenant, 'admin')}", "X-Request-Id": "fixed-request"}


@pytest.fixture
async def owned(stack: Stack) -> tuple[str, str, Objects]:
    """Names of two tenants, owner and stranger, and one object of the owner for every kind of id."""
    if Known.objects is None:
        run = uuid4().hex[:8]
        Known.tenants = (f"owner-{run}", f"stranger-{run}")
        Known.objects = await make_objects(stack, Known.tenants[0])
    return (*Known.tenants, Known.objects)


async def make_objects(stack: Stack, owner: str) -> Objects:
    intake, router, notifier = (stack.url(name) for name in ("intake", "router", "notifier"))
    agents = await staff(stack, owner, 1, 5, skills())
    order, parcel = f"marker-order-{owner}", f"marker-parcel-{owner}"
    await publish_facts(stack, owner, order, parcel)
    async with httpx2.AsyncClient(headers=admin(owner), timeout=20) as client:
        hook = await client.post(f"{notifier}/v1/subscriptions", json={"url": "http://127.0.0.1:9/marker"})
        assert hook.status_code == 201, hook.text
        queue = await client.put(f"{router}/v1/queues/marker-queue", json={"name": "marker"})
        assert queue.status_code == 200, queue.text
        named = await client.put(
            f"{router}/v1/routing/customers/marker-customer-{owner}", json={"dedicated_agent": agents[0]}
        )
        assert named.status_code == 200, named.text
        created = await client.post(
            f"{intake}/v1/tickets",
            json={"text": "我想取消订单", "customer_id": f"marker-customer-{owner}", "order_id": order},
        )
        assert created.status_code == 202, created.text
        ticket_id = created.json()["ticket_id"]

        async def found(url: str) -> bool:
            return (await client.get(url)).status_code == 200

        async def delivery() -> str | None:
            items = (await client.get(f"{notifier}/v1/deliveries")).json()["items"]
            return items[0]["delivery_id"] if items else None

        await eventually(lambda: found(f"{router}/v1/routing/tickets/{ticket_id}"), 30, "the router knows the ticket")
        await eventually(lambda: found(f"{notifier}/v1/timelines/{ticket_id}"), 30, "the notifier knows the ticket")
        await eventually(lambda: found(f"{intake}/v1/orders/{order}"), 30, "intake knows the order")
        await eventually(lambda: found(f"{intake}/v1/parcels/{parcel}"), 30, "intake knows the parcel")
        delivery_id = await eventually(delivery, 30, "a delivery exists")
    return {
        "ticket_id": ticket_id,
        "agent_id": agents[0],
        "queue_id": "marker-queue",
        "subscription_id": hook.json()["subscription_id"],
        "delivery_id": delivery_id,
        "order_id": order,
        "parcel_id": parcel,
        "customer_id": f"marker-customer-{owner}",
    }


async def publish_facts(stack: Stack, tenant: str, order: str, parcel: str) -> None:
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    placed = (
        f'{{"tenant_id":"{tenant}","order_id":"{order}","kind":"ORDER_EVENT_KIND_PLACED","occurred_at":"{moment}",'
        f'"version":"1","customer_id":"marker-customer-{tenant}","parcel_ids":["{parcel}"]}}'
    )
    scanned = (
        f'{{"tenant_id":"{tenant}","parcel_id":"{parcel}","kind":"LOGISTICS_EVENT_KIND_IN_TRANSIT",'
        f'"occurred_at":"{moment}","version":"1","order_id":"{order}","note":"marker"}}'
    )
    await publish(stack.kafka, "order-events", placed)
    await publish(stack.kafka, "logistics-events", scanned)


async def operations(stack: Stack) -> list[tuple[str, str, str, Any]]:
    """Service, method, path and description of every operation of every service."""
    found = []
    async with httpx2.AsyncClient(timeout=20) as client:
        for service in SERVICES:
            paths = (await client.get(f"{stack.url(service)}/openapi.json")).json()["paths"]
            for path, methods in paths.items():
                found += [(service, method, path, described) for method, described in methods.items()]
    return found


def targets(path: str, name: str, described: Any) -> Iterator[tuple[str, Any]]:
    """Address with {name} still in it, and body, for every value that the path's further parameters may have."""
    further = [part for part in re.findall(r"{(\w+)}", path) if part != name]
    if not further:
        yield path, BODIES.get(path, {})
        return
    assert further == ["action"], f"{path}: this test does not know what to write for {further}"
    schema = next(item["schema"] for item in described["parameters"] if item["name"] == "action")
    for action in schema["enum"]:
        yield path.replace("{action}", action), {"fence": 1} | ACTIONS.get(action, {})


async def test_foreign_object_in_a_path_answers_exactly_as_a_missing_one(
    stack: Stack, owned: tuple[str, str, Objects]
) -> None:
    _, stranger, objects = owned
    covered: list[str] = []
    async with httpx2.AsyncClient(headers=admin(stranger), timeout=30) as client:
        for service, method, path, described in await operations(stack):
            names = re.findall(r"{(\w+)}", path)
            if not names or names == ["token"] or (method, path) in UPSERTS:
                continue
            assert names[0] in objects, f"{path}: this test has no object for {{{names[0]}}}; add one"
            for target, body in targets(path, names[0], described):
                await compare(client, stack.url(service), method, target, names[0], objects[names[0]], body)
                covered.append(f"{method} {target}")
    assert len(covered) >= 25, covered


async def compare(
    client: httpx2.AsyncClient, base: str, method: str, path: str, name: str, real: str, body: Any
) -> None:
    answers = []
    for value in (real, ABSENT):
        address = base + path.replace(f"{{{name}}}", value)
        sent = body if method in {"post", "put", "patch"} else None
        answer = await client.request(method, address, json=sent)
        shown = answer.text.replace(value, "<id>")
        assert "marker" not in shown, f"{method} {path} shows a stranger {shown}"
        answers.append((answer.status_code, shown, comparable(answer.headers)))
    assert answers[0] == answers[1], f"{method} {path} tells a foreign object from a missing one: {answers}"
    assert answers[0][0] == 404, f"{method} {path} never looked the object up: {answers[0]}"


def comparable(headers: httpx2.Headers) -> dict[str, str]:
    """What must not differ. Of retry-after only that it is there: its value is drawn by lot."""
    kept = {name: value for name, value in headers.items() if name not in {"date", "content-length", "ratelimit"}}
    return kept | {name: "some" for name in kept if name == "retry-after"}


async def test_owner_sees_every_object_that_strangers_are_asked_about(
    stack: Stack, owned: tuple[str, str, Objects]
) -> None:
    """Without this the test above could pass because nothing is there."""
    owner, _, objects = owned
    async with httpx2.AsyncClient(headers=admin(owner), timeout=30) as client:
        for service, method, path, _described in await operations(stack):
            names = re.findall(r"{(\w+)}", path)
            if method != "get" or len(names) != 1 or names == ["token"]:
                continue
            address = stack.url(service) + path.replace(f"{{{names[0]}}}", objects[names[0]])
            async with client.stream("GET", address) as answer:
                assert answer.status_code == 200, path


async def test_foreign_object_in_a_query_answers_exactly_as_a_missing_one(
    stack: Stack, owned: tuple[str, str, Objects]
) -> None:
    _, stranger, objects = owned
    covered = []
    async with httpx2.AsyncClient(headers=admin(stranger), timeout=30) as client:
        for service, method, path, described in await operations(stack):
            queries = [p["name"] for p in described.get("parameters", ()) if p["in"] == "query"]
            for name in (query for query in queries if query.endswith("_id")):
                assert name in objects, f"{path}?{name}=: this test has no object for it; add one"
                assert "{" not in path, f"{path}: a query of a route with an id in its path; teach this test"
                answers = [
                    await client.request(method, stack.url(service) + path, params={name: value})
                    for value in (objects[name], ABSENT)
                ]
                assert [answer.status_code for answer in answers] == [200, 200], (path, name)
                assert answers[0].json() == answers[1].json() == {"items": [], "next": None}, (path, name)
                covered.append(f"{path}?{name}=")
    assert len(covered) >= 4, covered


async def test_foreign_id_in_a_body_answers_exactly_as_a_missing_one(
    stack: Stack, owned: tuple[str, str, Objects]
) -> None:
    _, stranger, objects = owned
    url = f"{stack.url('router')}/v1/agents/presence"
    async with httpx2.AsyncClient(headers=admin(stranger), timeout=30) as client:
        answers = []
        for agent_id in (objects["agent_id"], "agent-99999"):
            answer = await client.put(url, json={"agent_ids": [agent_id], "presence": "offline"})
            answers.append((answer.status_code, answer.text.replace(agent_id, "<id>")))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


async def test_link_of_another_tenant_opens_nothing(stack: Stack, owned: tuple[str, str, Objects]) -> None:
    """Links are made by intake alone; even so, one that names a foreign ticket must show nothing of it."""
    _, stranger, objects = owned
    now = datetime.now(UTC)
    pages, replies = [], []
    async with httpx2.AsyncClient(timeout=20, headers={"X-Request-Id": "fixed-request"}) as client:
        for ticket_id in (objects["ticket_id"], ABSENT):
            link = StatusTokens(STATUS_KEY).issue(stranger, ticket_id, now, now + timedelta(days=1))
            shown = await client.get(f"{stack.url('notifier')}/s/{link}?lang=en")
            assert shown.status_code == 200
            pages.append(
                re.sub(
                    r"(?s)<time.*?</time>|<style.*?</style>", "", shown.text.replace(link, "").replace(ticket_id, "")
                )
            )
            written = await client.post(
                f"{stack.url('intake')}/v1/tickets/reply", json={"token": link, "text": "let me in"}
            )
            replies.append((written.status_code, written.text))
    assert pages[0] == pages[1]
    assert "marker" not in pages[0]
    assert replies[0] == replies[1]
    assert replies[0][0] == 404


async def test_stream_of_another_tenants_link_stays_silent_while_the_owners_speaks(
    stack: Stack, owned: tuple[str, str, Objects]
) -> None:
    owner, stranger, objects = owned
    now = datetime.now(UTC)

    def stream(tenant: str) -> str:
        link = StatusTokens(STATUS_KEY).issue(tenant, objects["ticket_id"], now, now + timedelta(days=1))
        return f"{stack.url('notifier')}/s/{link}/events"

    async with httpx2.AsyncClient(timeout=20) as client, client.stream("GET", stream(stranger)) as theirs:
        assert theirs.status_code == 200
        chunks = theirs.aiter_bytes()
        heard = await anext(chunks)
        async with client.stream("GET", stream(owner)) as ours:
            lines = ours.aiter_lines()
            async for line in lines:
                if line.startswith("data:"):
                    break
            written = await client.post(
                f"{stack.url('intake')}/v1/tickets/{objects['ticket_id']}/messages",
                json={"text": "marker-message"},
                headers=admin(owner),
            )
            assert written.status_code == 202, written.text
            async for line in lines:
                if "marker-message" in line:
                    break
        heard += await anext(chunks)  # the comment of its next heartbeat
    assert b"data:" not in heard, heard


async def test_upsert_under_a_foreign_id_leaves_the_owners_object_alone(
    stack: Stack, owned: tuple[str, str, Objects]
) -> None:
    owner, stranger, objects = owned
    router = stack.url("router")
    async with httpx2.AsyncClient(timeout=20) as client:

        async def read() -> Any:
            agent = (await client.get(f"{router}/v1/agents/{objects['agent_id']}", headers=admin(owner))).json()
            queues = (await client.get(f"{router}/v1/queues", headers=admin(owner))).json()["items"]
            queue = next(item for item in queues if item["queue_id"] == objects["queue_id"])
            return agent["name"], agent["capacity"], queue["name"], queue["version"]

        before = await read()
        body = {"name": "intruder", "skills": {"order": 1.0}, "capacity": 1}
        intruder = admin(f"{stranger}-writer")
        for path, sent in (("agents/" + objects["agent_id"], body), ("queues/marker-queue", {"name": "intruder"})):
            written = await client.put(f"{router}/v1/{path}", json=sent, headers=intruder)
            assert written.status_code in {200, 201}, written.text
        assert await read() == before


async def test_lists_show_a_stranger_nothing(stack: Stack, owned: tuple[str, str, Objects]) -> None:
    _, stranger, _ = owned
    covered = []
    async with httpx2.AsyncClient(headers=admin(stranger), timeout=20) as client:
        for service, method, path, _described in await operations(stack):
            if method == "get" and path.startswith("/v1/") and "{" not in path:
                answer = await client.get(stack.url(service) + path, params=QUERIES.get(path))
                assert answer.status_code == 200, f"{path}: {answer.text}"
                assert "marker" not in answer.text, path
                covered.append(path)
                if path not in {"/v1/queues", "/v1/models"}:  # these come with the product
                    assert answer.json()["items"] == [], path
    assert len(covered) >= 6, covered
