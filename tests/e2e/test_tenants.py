"""Promise 7: no tenant ever sees a byte of another. Every route that takes an id, found in the services' own OpenAPI."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest

from tests.stack import SERVICES, Stack, eventually, staff, token

ABSENT = "00000000-0000-7000-8000-000000000000"

BODIES: dict[str, Any] = {
    "/v1/tickets/{ticket_id}/messages": {"text": "hello"},
    "/v1/tickets/{ticket_id}/rating": {"score": 5},
    "/v1/agents/{agent_id}/presence": {"presence": "online"},
    "/v1/assignments/{ticket_id}/hold": {"fence": 1, "awaited": "customer"},
    "/v1/assignments/{ticket_id}/transfer": {"fence": 1, "queue_id": "general"},
}
"""Bodies that a route needs to get as far as looking the object up; other writes take {} or {"fence": 1}."""

UPSERTS = {("put", "/v1/agents/{agent_id}"), ("put", "/v1/queues/{queue_id}")}
"""Writes that create: a foreign id is simply the caller's own new object. Checked by `test_upsert_…` below."""


@pytest.fixture
async def objects(stack: Stack) -> dict[str, str]:
    """One object of tenant `owner` for every kind of id that stands in a path."""
    headers = {"Authorization": f"Bearer {token('owner', 'admin')}"}
    async with httpx2.AsyncClient(headers=headers, timeout=20) as client:
        agents = await staff(stack, "owner", 1, 5, ["order", "product", "logistics"])
        created = await client.post(
            f"{stack.url('intake')}/v1/tickets",
            json={"text": "我想取消订单", "customer_id": "marker-customer", "order_id": "marker-order"},
        )
        assert created.status_code == 202, created.text
        ticket_id = created.json()["ticket_id"]
        hook = await client.post(f"{stack.url('notifier')}/v1/subscriptions", json={"url": "http://127.0.0.1:9/marker"})
        assert hook.status_code == 201, hook.text
        subscription_id = hook.json()["subscription_id"]

        async def known(service: str, path: str) -> bool:
            return (await client.get(f"{stack.url(service)}{path}")).status_code == 200

        await eventually(lambda: known("router", f"/v1/routing/tickets/{ticket_id}"), 20, "the router knows the ticket")
        await eventually(lambda: known("notifier", f"/v1/timelines/{ticket_id}"), 20, "the notifier knows the ticket")

        async def delivery() -> str | None:
            items = (await client.get(f"{stack.url('notifier')}/v1/deliveries")).json()["items"]
            return items[0]["delivery_id"] if items else None

        delivery_id = await eventually(delivery, 20, "a delivery exists")
    return {
        "ticket_id": ticket_id,
        "agent_id": agents[0],
        "queue_id": "general",
        "subscription_id": subscription_id,
        "delivery_id": delivery_id,
        "order_id": "marker-order",
        "number": "marker-parcel",
    }


async def test_every_route_with_an_id_answers_a_foreign_object_exactly_as_a_missing_one(
    stack: Stack, objects: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {token('stranger', 'admin')}", "X-Request-Id": "fixed-request"}
    covered: list[str] = []
    async with httpx2.AsyncClient(headers=headers, timeout=30) as client:
        for service in SERVICES:
            paths = (await client.get(f"{stack.url(service)}/openapi.json")).json()["paths"]
            for path, operations in paths.items():
                names = re.findall(r"{(\w+)}", path)
                if not names or names == ["token"]:
                    continue
                assert names[0] in objects, f"{path}: this test has no object for {{{names[0]}}}; add one"
                if names[0] == "queue_id":
                    continue  # default queues exist for every tenant under the same names
                for method in operations:
                    if (method, path) not in UPSERTS and not path.endswith("/events"):
                        await compare(client, stack.url(service), method, path, names[0], objects[names[0]])
                        covered.append(f"{method} {path}")
    assert len(covered) >= 20, covered


async def compare(client: httpx2.AsyncClient, base: str, method: str, path: str, name: str, real: str) -> None:
    answers = []
    for value in (real, ABSENT):
        target = path.replace(f"{{{name}}}", value)
        body = BODIES.get(path, {"fence": 1} if "/assignments/" in path else {})
        answer = await client.request(method, base + target, json=body if method in {"post", "put", "patch"} else None)
        answers.append((answer.status_code, answer.text.replace(value, "<id>")))
        assert "marker" not in answer.text
    assert answers[0] == answers[1], f"{method} {path} tells a foreign object from a missing one: {answers}"
    assert answers[0][0] == 404, f"{method} {path} never looked the object up: {answers[0]}"


async def test_upsert_under_a_foreign_id_leaves_the_owners_object_alone(stack: Stack, objects: dict[str, str]) -> None:
    url = f"{stack.url('router')}/v1/agents/{objects['agent_id']}"
    async with httpx2.AsyncClient(timeout=20) as client:
        owner = {"Authorization": f"Bearer {token('owner', 'admin')}"}
        before = (await client.get(url, headers=owner)).json()
        written = await client.put(
            url,
            json={"name": "intruder", "skills": {"order": 1.0}, "capacity": 1},
            headers={"Authorization": f"Bearer {token('stranger', 'admin')}"},
        )
        assert written.status_code in {200, 201}, written.text
        assert (await client.get(url, headers=owner)).json()["name"] == before["name"] != "intruder"


async def test_lists_show_a_stranger_nothing(stack: Stack, objects: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {token('blank', 'admin')}"}
    paths = {
        "intake": ["/v1/tickets?customer_id=marker-customer", "/v1/tickets?order_id=marker-order", "/v1/feedback"],
        "router": ["/v1/agents", "/v1/queues/general/tickets"],
        "notifier": ["/v1/subscriptions", "/v1/deliveries"],
    }
    async with httpx2.AsyncClient(headers=headers, timeout=20) as client:
        for service, targets in paths.items():
            for target in targets:
                answer = await client.get(stack.url(service) + target)
                assert answer.status_code == 200, f"{target}: {answer.text}"
                assert answer.json()["items"] == [], target
