"""Promise 5: nothing that anybody sends makes a service answer 500, die, grow, or write down what it was sent.

The corpus of tests/hostile.py against the four real services, over every route that their own OpenAPI names.
"""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from markupsafe import escape

from fenliu.contracts.vocabulary import skills
from tests import hostile
from tests.stack import SERVICES, TOKEN_KEY, Stack, eventually, staff, token

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

RSS_ALLOWANCE = 20 * 1024 * 1024
PATIENCE_S = 10.0  # header_deadline_s and request_deadline_s as shipped
FLOOD_MEGABYTES = 200

WELCOME: dict[str, set[str]] = {
    # an empty text is labelled too, as unclear, and nothing of it is stored or shown
    "/v1/classify": {"text_is_empty", "text_is_blank", "text_has_bell", "text_has_escape"},
    # every setting of a queue, and the reason for a wish, may be left out
    "/v1/queues/{queue_id}": {"empty_object"},
    "/v1/agents/{agent_id}/shifts": {"empty_object"},
    "/v1/tickets/{ticket_id}/cancel": {"empty_object", "just_null"},
    "/v1/tickets/{ticket_id}/help": {"empty_object", "just_null"},
    "/v1/tickets/{ticket_id}/confirm": {"empty_object", "just_null"},
    "/v1/tickets/{ticket_id}/reopen": {"empty_object", "just_null"},
}
"""Bodies of the corpus that a route may take, because they are what it asks for."""

VALID: dict[str, Any] = {
    "/v1/tickets": {
        "text": "hello", "customer_id": "c", "order_id": "o", "parcel_id": "p", "channel": "web", "locale": "en",
        "attributes": {"name": "value"}, "desk": "main",
    },
    "/v1/tickets/reply": {"token": "t", "text": "hello", "action": "reply"},
    "/v1/tickets/{ticket_id}/messages": {"text": "hello", "visibility": "public"},
    "/v1/tickets/{ticket_id}/cancel": {"reason": "r"},
    "/v1/tickets/{ticket_id}/help": {"reason": "r"},
    "/v1/tickets/{ticket_id}/confirm": {"reason": "r"},
    "/v1/tickets/{ticket_id}/reopen": {"reason": "r"},
    "/v1/tickets/{ticket_id}/rating": {"score": 5, "comment": "c"},
    "/v1/classify": {"text": "hello"},
    "/v1/agents": {
        "agents": [
            {
                "agent_id": "a", "name": "A", "skills": {"order": 1.0}, "capacity": 1, "desk": "main",
                "languages": ["en"], "seniority": 1.0, "capacity_min": 60.0,
            }
        ]
    },
    "/v1/agents/{agent_id}": {
        "name": "A", "skills": {"order": 1.0}, "capacity": 1, "desk": "main", "languages": ["en"], "seniority": 1.0,
        "capacity_min": 60.0,
    },
    "/v1/agents/{agent_id}/efforts": {"category": "order", "complexity": "simple", "prior_min": 5.0, "version": 0},
    "/v1/agents/{agent_id}/shifts": {
        "intervals": [{"from_at": "2026-11-20T09:00:00Z", "until_at": "2026-11-20T17:00:00Z"}], "calendar": None,
    },
    "/v1/agents/presence": {"agent_ids": ["agent-00000"], "presence": "online"},
    "/v1/agents/{agent_id}/presence": {"presence": "online"},
    "/v1/queues/{queue_id}": {
        "name": "Q", "name_zh": "队", "skill": "order", "level": 0.5, "mode": "assign", "policy": "longest_idle",
        "offer_timeout_s": 30, "wrap_up_s": 10,
    },
    "/v1/assignments/{ticket_id}/{action}": {
        "fence": 1, "awaited": "customer", "queue_id": "general", "agent_id": "a", "reason": "r",
    },
    "/v1/routing/tickets/{ticket_id}/labels": {
        "category": "order", "tier": "standard", "complexity": "simple", "reason": "r", "version": 1,
    },
    "/v1/routing/tickets/{ticket_id}/answer": {"party": "warehouse", "note": "n"},
    "/v1/routing/customers/{customer_id}": {"dedicated_agent": None},
    "/v1/routing/configuration/rollback": {"revision": 0},
    "/v1/subscriptions": {"url": "http://127.0.0.1:9/x", "events": ["closed"], "description": "d"},
    "/v1/subscriptions/{subscription_id}/rotate": {"overlap_s": 60},
}  # fmt: skip
"""A valid body of every route that takes one, with all fields."""


class Target:
    """The tenant of this run and what the routes' parameters are filled with; made once."""

    tenant = ""
    ticket_id = ""


@pytest.fixture
async def target(stack: Stack) -> AsyncIterator[Stack]:
    """The stack with something to aim at; afterwards every service must live, serve, and not have failed a request."""
    if not Target.ticket_id:
        Target.tenant = f"hostile-{uuid4().hex[:8]}"
        await staff(stack, Target.tenant, 1, 2, skills())
        async with httpx2.AsyncClient(base_url=stack.url("intake"), headers=admin(), timeout=20) as client:
            made = await client.post("/v1/tickets", json={"text": "hello", "customer_id": "c"})
            assert made.status_code == 202, made.text
            Target.ticket_id = made.json()["ticket_id"]
    written = {service: (stack.home / f"{service}.log").stat().st_size for service in SERVICES}
    yield stack
    async with httpx2.AsyncClient(timeout=20) as client:
        for service in SERVICES:
            assert stack.processes[service].poll() is None, f"{service} died:\n{stack.log(service)}"
            assert (await client.get(f"{stack.url(service)}/livez")).status_code == 200, service
            log = log_since(stack, service, written[service])
            assert "request_failed" not in log, f"{service} failed a request:\n{log[-3000:]}"
            assert "Traceback" not in log, f"{service} met an unexpected error:\n{log[-3000:]}"


def log_since(stack: Stack, service: str, offset: int) -> str:
    with (stack.home / f"{service}.log").open("rb") as log:
        log.seek(offset)
        return log.read().decode("utf-8", "replace")


def admin(tenant: str = "") -> dict[str, str]:
    return {"Authorization": f"Bearer {token(tenant or Target.tenant, 'admin')}"}


async def operations(stack: Stack, *methods: str) -> list[tuple[str, str, str, Any]]:
    """Service, method, path and description of every operation with one of `methods`."""
    found = []
    async with httpx2.AsyncClient(timeout=20) as client:
        for service in SERVICES:
            paths = (await client.get(f"{stack.url(service)}/openapi.json")).json()["paths"]
            for path, described in paths.items():
                found += [(service, method, path, described[method]) for method in methods if method in described]
    return found


def filled(path: str) -> str:
    known = {"ticket_id": Target.ticket_id, "agent_id": "agent-00000", "queue_id": "general", "action": "hold"}
    return re.sub(r"{(\w+)}", lambda found: known.get(found[1], "nothing"), path)


def check_refusal(answer: httpx2.Response, what: str) -> None:
    assert 400 <= answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:300]}"
    check_problem(answer, what)


def check_problem(answer: httpx2.Response, what: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json", f"{what}: {answer.headers}"
    problem = answer.json()
    assert problem["status"] == answer.status_code, what
    assert problem["type"].startswith("https://fenliu.dev/problems/"), what
    assert {"title", "detail", "request_id"} <= problem.keys(), what


async def test_hostile_bodies_get_problem_details_on_every_route_that_writes(target: Stack) -> None:
    async with httpx2.AsyncClient(headers=admin(), timeout=30) as client:
        writing = await operations(target, "post", "put", "patch")
        assert len(writing) >= 16
        for service, method, path, described in writing:
            for body in hostile.BODIES:
                answer = await client.request(
                    method, target.url(service) + filled(path), content=body.raw, headers=body.headers()
                )
                what = f"{service}: {method} {path} with {body.name}"
                takes_none = "requestBody" not in described
                if answer.is_success and (takes_none or body.name in WELCOME.get(path, ())):
                    continue
                check_refusal(answer, what)


async def test_hostile_bodies_without_token_get_problem_details_too(target: Stack) -> None:
    async with httpx2.AsyncClient(timeout=30) as client:
        for service, method, path, _ in await operations(target, "post", "put", "patch"):
            for body in hostile.BODIES:
                answer = await client.request(
                    method, target.url(service) + filled(path), content=body.raw, headers=body.headers()
                )
                check_refusal(answer, f"{service}: {method} {path} with {body.name}")


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where texts stand in a body; ("key", name) is the name of a field that the caller chooses."""
    if isinstance(value, str):
        yield at
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*at, index))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*at, name))
            if at and at[-1] in {"attributes", "skills"}:
                yield (*at, ("key", name))


def planted(body: Any, place: tuple[Any, ...], text: str) -> Any:
    changed = copy.deepcopy(body)
    inner = changed
    for part in place[:-1]:
        inner = inner[part]
    if isinstance(place[-1], tuple):
        inner[text] = inner.pop(place[-1][1])
    else:
        inner[place[-1]] = text
    return changed


async def test_injection_strings_in_every_field_do_no_harm(target: Stack) -> None:
    async with httpx2.AsyncClient(headers=admin(), timeout=30) as client:
        fields = 0
        for service, method, path, described in await operations(target, "post", "put", "patch"):
            if "requestBody" not in described:
                continue
            assert path in VALID, f"{path}: this test has no valid body for it; add one"
            for place in places(VALID[path]):
                fields += 1
                for name, text in hostile.STRINGS.items():
                    answer = await client.request(
                        method, target.url(service) + filled(path), json=planted(VALID[path], place, text)
                    )
                    what = f"{service}: {method} {path} with {name} at {place}"
                    assert answer.status_code < 500, f"{what}: {answer.status_code} {answer.text}"
                    assert "set-cookie" not in answer.headers, what
                    if not answer.is_success:
                        check_refusal(answer, what)
    assert fields >= 30
    for service in target.database_urls:
        tables = {row[0] for row in await target.query(service, TABLES)}
        assert {"outbox", "inbox"} <= tables, f"{service}: tables are gone, {tables}"


TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


async def test_accepted_strings_come_back_verbatim_and_stand_escaped_on_the_page(target: Stack) -> None:
    intake = target.url("intake")
    kept = ["hello"]
    async with httpx2.AsyncClient(headers=admin(), timeout=30) as client:
        made = await client.post(f"{intake}/v1/tickets", json={"text": "hello", "customer_id": "c-strings"})
        ticket = made.json()
        messages = f"{intake}/v1/tickets/{ticket['ticket_id']}/messages"
        for name, text in {**hostile.STRINGS, "last": "the very last message"}.items():
            written = await client.post(messages, json={"text": text})
            if written.is_success:
                kept.append(text)
            else:
                check_refusal(written, name)
        assert len(kept) >= 20
        read = await client.get(messages, params={"limit": 200})
        assert [item["text"] for item in read.json()["items"]] == kept

        async def page() -> str | None:
            shown = await client.get(ticket["status_url"])
            return shown.text if kept[-1] in shown.text else None

        shown = await eventually(page, 30, "the page shows the last message")
    assert {hostile.STRINGS["script"], hostile.STRINGS["attribute"]} <= set(kept)
    for text in kept[1:]:  # the first one opened the ticket and is not repeated to who wrote it
        assert str(escape(text)) in shown, f"{text!r} does not stand on the page as it was written"
        assert str(escape(text)) == text or text not in shown, f"{text!r} stands on the page unescaped"


async def test_hostile_ids_in_paths_are_refused(target: Stack) -> None:
    async with httpx2.AsyncClient(headers=admin(), timeout=30) as client:
        asked = 0
        for service, method, path, _ in await operations(target, "get", "delete", "post"):
            names = re.findall(r"{(\w+)}", path)
            if not names:
                continue
            for value in hostile.IDS:
                address = filled(path.replace(f"{{{names[0]}}}", value))
                answer = await client.request(
                    method, target.url(service) + address, json=VALID.get(path, {}) if method == "post" else None
                )
                what = f"{service}: {method} {path} with {value[:40]}"
                assert 400 <= answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:300]}"
                if names != ["token"]:  # people open those in a browser and get a page that explains
                    check_problem(answer, what)
                asked += 1
    assert asked >= 20 * len(hostile.IDS)


async def test_hostile_ids_of_new_objects_are_refused_or_made(target: Stack) -> None:
    # A tenant of its own: what is made here must not be found by the test that asks for what does not exist.
    async with httpx2.AsyncClient(headers=admin(f"{Target.tenant}-made"), timeout=30) as client:
        for service, method, path, _ in await operations(target, "put"):
            for value in hostile.IDS:
                address = re.sub(r"{\w+}", lambda _, value=value: value, path)
                answer = await client.request(method, target.url(service) + address, json=VALID[path])
                if not answer.is_success:
                    check_refusal(answer, f"{service}: {method} {path} with {value[:40]}")


async def test_hostile_queries_are_refused_by_every_list(target: Stack) -> None:
    async with httpx2.AsyncClient(headers=admin(), timeout=30) as client:
        lists = 0
        for service, method, path, described in await operations(target, "get"):
            if not any(item["name"] == "cursor" for item in described.get("parameters", ())):
                continue
            lists += 1
            for query in hostile.QUERIES:
                answer = await client.request(method, f"{target.url(service)}{filled(path)}?{query}")
                check_refusal(answer, f"{service}: {path}?{query[:40]}")
    assert lists >= 6


async def test_forged_tokens_open_nothing_on_any_service(target: Stack) -> None:
    doors = {"intake": "/v1/tickets", "classifier": "/v1/models", "router": "/v1/agents", "notifier": "/v1/deliveries"}
    forged = hostile.forged_tokens(TOKEN_KEY, datetime.now(UTC))
    async with httpx2.AsyncClient(timeout=30) as client:
        for service, door in doors.items():
            for name, credential in forged.items():
                answer = await client.get(
                    target.url(service) + door, headers={"Authorization": f"Bearer {credential}".encode()}
                )
                assert answer.status_code in {401, 431}, f"{service}: {name}: {answer.status_code} {answer.text[:200]}"
                check_problem(answer, f"{service}: {name}")


@pytest.mark.parametrize("service", SERVICES)
async def test_broken_http_is_refused_or_cut_off(target: Stack, service: str) -> None:
    for name, raw in hostile.BROKEN_HTTP.items():
        answer = await hostile.exchange("127.0.0.1", target.ports[service], raw, within_s=15)
        status = answer.split(b" ", 2)[1:2]
        assert not answer or b"400" <= status[0] < b"500", f"{service}: {name}: {answer[:200]!r}"
        assert not answer or b"application/problem+json" in answer.lower(), f"{service}: {name}: {answer[:200]!r}"


@pytest.mark.parametrize("service", SERVICES)
async def test_flood_of_200_megabytes_is_cut_off_and_not_kept(target: Stack, service: str) -> None:
    path = {
        "intake": "/v1/tickets",
        "classifier": "/v1/classify",
        "router": "/v1/assignments/x/accept",
        "notifier": "/v1/subscriptions",
    }[service]
    process = Path("/proc") / str(target.processes[service].pid)
    for headers in ({}, admin()):
        (process / "clear_refs").write_text("5")  # the peak counts from now
        before = memory(process, "VmRSS")
        answer = await hostile.flood(
            "127.0.0.1",
            target.ports[service],
            path,
            headers | {"Content-Type": "application/json"},
            megabytes=FLOOD_MEGABYTES,
        )
        assert not answer or answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 401")), answer[:200]
        grown = memory(process, "VmHWM") - before
        assert grown <= RSS_ALLOWANCE, f"{service} grew by {grown // 1024} kB"


def memory(process: Path, name: str) -> int:
    """Bytes of a line of /proc/<pid>/status."""
    found = re.search(rf"^{name}:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


async def test_slow_senders_are_cut_off_while_others_are_served(target: Stack) -> None:
    async def cut_off(service: str, opening: bytes) -> bool:
        return await hostile.closes_within("127.0.0.1", target.ports[service], opening, PATIENCE_S + 6)

    async def slow_body(service: str) -> bytes:
        request = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        path = {"intake": b"tickets", "classifier": b"classify", "router": b"agents/presence"}
        request = request.replace(b"/v1/x", b"/v1/" + path.get(service, b"subscriptions"))
        if service == "router":
            request = request.replace(b"POST", b"PUT")
        return await hostile.exchange("127.0.0.1", target.ports[service], request, within_s=PATIENCE_S + 6)

    closed = asyncio.gather(
        *(cut_off(service, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ") for service in SERVICES for _ in range(50)),
        *(cut_off(service, b"") for service in SERVICES),
    )
    bodies = asyncio.gather(*(slow_body(service) for service in SERVICES))
    async with httpx2.AsyncClient(timeout=5) as client:
        for service in SERVICES:
            assert (await client.get(f"{target.url(service)}/version")).status_code == 200
    assert all(await closed)
    for service, answer in zip(SERVICES, await bodies, strict=True):
        assert answer.startswith((b"HTTP/1.1 408", b"HTTP/1.1 401")), f"{service}: {answer[:200]!r}"


async def test_nothing_that_was_sent_stands_in_a_log(target: Stack) -> None:
    canary = f"canary{uuid4().hex}"
    sent = {"text": f"{canary} 1e999", "customer_id": f"{canary}-id", "attributes": {canary: canary}}
    credential = token(Target.tenant, "admin", subject=canary)
    headers = {"Authorization": f"Bearer {credential}", "Idempotency-Key": canary, "X-Canary": canary}
    async with httpx2.AsyncClient(timeout=20) as client:
        for service, method, path, _ in await operations(target, "post", "put", "get", "delete"):
            if path.endswith("/events"):
                continue
            address = target.url(service) + filled(path)
            for known in (headers, headers | {"Authorization": f"Bearer {credential}x"}):
                body = sent if method in {"post", "put"} else None
                await client.request(method, address, json=body, params={"q": canary}, headers=known)
                raw = b'{"' + canary.encode() if body else None
                await client.request(method, address, content=raw, headers=known)
        made = await client.post(f"{target.url('intake')}/v1/tickets", json=sent, headers=headers)
        assert made.status_code == 202, made.text
        link = made.json()["status_token"]
        assert (await client.get(made.json()["status_url"])).status_code == 200
    for service in SERVICES:
        log = (target.home / f"{service}.log").read_text(errors="replace")
        for secret in (canary, credential.rpartition(".")[2], link):
            assert secret not in log, f"{service} wrote down what it was sent"
