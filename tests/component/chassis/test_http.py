"""The HTTP boundary as callers, browsers, load balancers and operators see it."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from fenliu.chassis.errors import Transient
from fenliu.chassis.http import Health
from tests import hostile
from tests.component.chassis.serving import ORIGIN, bearer, serving

PROBLEM = "application/problem+json"


async def test_create_and_read_back() -> None:
    async with serving() as served:
        body = {"text": "我的包裹还没到", "due_at": "2026-01-01T08:00:00+08:00", "attributes": {"a": 1}}
        created = await served.client.post("/v1/things", json=body, headers=bearer())
        read = await served.client.get(f"/v1/things/{created.json()['thing_id']}", headers=bearer())

        assert created.status_code == 202
        assert read.json() == created.json()


async def test_foreign_thing_answers_exactly_like_a_missing_one() -> None:
    async with serving() as served:
        made = (await served.client.post("/v1/things", json={"text": "a"}, headers=bearer())).json()
        foreign = await served.client.get(f"/v1/things/{made['thing_id']}", headers=bearer(tenant="other"))
        missing = await served.client.get("/v1/things/nothing", headers=bearer(tenant="other"))

        assert foreign.status_code == missing.status_code == 404
        assert {**foreign.json(), "request_id": ""} == {**missing.json(), "request_id": ""}


async def test_list_pages_cover_everything_once() -> None:
    async with serving() as served:
        for n in range(7):
            await served.client.post("/v1/things", json={"text": str(n)}, headers=bearer())
        seen, cursor = [], None
        while True:
            query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
            answer = (await served.client.get("/v1/things", params=query, headers=bearer())).json()
            seen += [item["thing_id"] for item in answer["items"]]
            cursor = answer["next"]
            if cursor is None:
                break
        assert seen == [f"t{n}" for n in range(7)]


async def test_roles_decide_who_may_call() -> None:
    async with serving() as served:
        expected = {"agent": 403, "supervisor": 409, "admin": 409, "customer": 403}
        for role, status in expected.items():
            answer = await served.client.delete("/v1/things/t0", headers=bearer(role))
            assert answer.status_code == status, role
            assert answer.headers["content-type"] == PROBLEM
        anonymous = await served.client.delete("/v1/things/t0")
        assert anonymous.status_code == 401
        assert anonymous.json()["type"].endswith("/missing-token")


async def test_conflict_keeps_its_slug_and_extra_fields() -> None:
    async with serving() as served:
        problem = (await served.client.delete("/v1/things/t0", headers=bearer("supervisor"))).json()

        assert problem["type"] == "https://fenliu.dev/problems/conflict"
        assert problem["holder"] == "somebody"
        assert problem["detail"] == "It is in use."


async def test_schema_errors_point_at_every_field() -> None:
    async with serving() as served:
        body = {"number": "1", "attributes": {"a/b": []}, "extra": 1}
        answer = await served.client.post("/v1/things", json=body, headers=bearer())

        assert answer.status_code == 422
        pointers = {error["pointer"] for error in answer.json()["errors"]}
        assert {"#/text", "#/number", "#/extra"} <= pointers
        assert any(pointer.startswith("#/attributes/a~1b") for pointer in pointers)


async def test_unknown_address_and_method_are_problems_too() -> None:
    async with serving() as served:
        nowhere = await served.client.get("/v1/nowhere")
        wrong = await served.client.patch("/v1/things")

        assert (nowhere.status_code, nowhere.headers["content-type"]) == (404, PROBLEM)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST")
        assert (await served.client.get("/v1/things/")).status_code == 404


@pytest.mark.allows_errors
async def test_bug_answers_500_without_detail_and_logs_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:
        answer = await served.client.get("/broken", headers={"X-Request-Id": "trace-me"})

        assert answer.status_code == 500
        assert answer.json()["request_id"] == "trace-me"
        assert "secret" not in answer.text
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(errors) == 1
        assert "trace-me" in str(errors[0].msg)


async def test_transient_answers_503_with_retry_after() -> None:
    async with serving() as served:
        answer = await served.client.get("/away")

        assert answer.status_code == 503
        assert 3 <= int(answer.headers["retry-after"]) <= 8


async def test_request_id_is_taken_over_only_if_harmless() -> None:
    async with serving() as served:
        for given, kept in (("abc-1.2:3", True), ("a" * 65, False), ("a b", False), ('"', False)):
            answer = await served.client.get("/version", headers={"X-Request-Id": given})
            assert (answer.headers["x-request-id"] == given) is kept


async def test_trace_context_is_echoed_only_if_valid() -> None:
    async with serving() as served:
        good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        assert (await served.client.get("/version", headers={"traceparent": good})).headers["traceparent"] == good
        bad = await served.client.get("/version", headers={"traceparent": good.replace("0af", "XYZ")})
        assert "traceparent" not in bad.headers


async def test_answers_carry_security_headers() -> None:
    async with serving() as served:
        for path in ("/version", "/v1/nowhere", "/"):
            headers = (await served.client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "server" not in headers


async def test_deadline_answers_503_and_frees_the_request() -> None:
    async with serving(request_deadline_s=0.2) as served:
        answer = await served.client.get("/held")

        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/deadline-exceeded")
        assert served.app.state.guard._in_flight == 0


async def test_overload_answers_503_at_once_but_health_still_answers() -> None:
    async with serving(max_in_flight=1) as served:
        held = asyncio.create_task(served.client.get("/held"))
        await served.things.entered.wait()

        refused = await served.client.get("/v1/nowhere")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert (await served.client.get("/livez")).status_code == 200

        served.things.release.set()
        assert (await held).status_code == 200
        assert (await served.client.get("/v1/nowhere")).status_code == 404


async def test_long_poll_counts_as_a_stream_and_outlives_the_usual_deadline() -> None:
    async with serving(request_deadline_s=0.2, max_in_flight=1, max_streams=1) as served:
        poll = asyncio.create_task(served.client.get("/poll"))
        await served.things.entered.wait()

        assert (await served.client.get("/v1/nowhere")).status_code == 404
        assert (await served.client.get("/poll")).status_code == 503
        await asyncio.wait({poll}, timeout=0.5)
        assert not poll.done()
        served.things.release.set()
        assert (await poll).json() == {"news": "some"}


async def test_end_streams_ends_them_regularly() -> None:
    async with serving() as served, served.client.stream("GET", "/stream") as answer:
        await served.things.entered.wait()
        served.app.state.guard.end_streams()
        assert b"".join([part async for part in answer.aiter_bytes()]) == b"data: first\n\n"


async def test_tenant_above_its_rate_gets_429_and_others_do_not() -> None:
    async with serving(tenant_rate_per_s=0.5, tenant_burst=2) as served:
        statuses = [(await served.client.get("/v1/things", headers=bearer())).status_code for _ in range(3)]
        refused = await served.client.get("/v1/things", headers=bearer())
        other = await served.client.get("/v1/things", headers=bearer(tenant="other"))

        assert statuses == [200, 200, 429]
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["ratelimit-policy"] == '"tenant";q=2;w=4'
        assert other.status_code == 200


async def test_browser_key_may_create_from_its_origin_only() -> None:
    async with serving() as served:
        key = {"Authorization": "Bearer pk_shop"}
        body = {"text": "a"}
        at_home = await served.client.post("/v1/things", json=body, headers=key | {"Origin": ORIGIN})
        elsewhere = await served.client.post("/v1/things", json=body, headers=key | {"Origin": "https://evil.example"})
        nowhere = await served.client.post("/v1/things", json=body, headers=key)
        reading = await served.client.get("/v1/things", headers=key | {"Origin": ORIGIN})

        assert at_home.status_code == 202
        assert at_home.headers["access-control-allow-origin"] == ORIGIN
        assert "Location" in at_home.headers["access-control-expose-headers"]
        assert elsewhere.status_code == nowhere.status_code == 401
        assert "access-control-allow-origin" not in elsewhere.headers
        assert reading.status_code == 403


async def test_preflight_is_answered_for_known_origins_only() -> None:
    async with serving(page_origins=("https://status.example",)) as served:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for origin, allowed in ((ORIGIN, True), ("https://status.example", True), ("https://evil.example", False)):
            answer = await served.client.options("/v1/things", headers=asked | {"Origin": origin})
            assert (answer.status_code == 204) is allowed
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
            assert ("access-control-allow-headers" in answer.headers) is allowed


async def test_readyz_names_the_check_that_fails_and_advice_does_not_count() -> None:
    async def away() -> str:
        raise Transient("It is away.")

    async def well() -> str:
        return "well"

    health = Health(checks={"database": well, "broker": away}, advisory={"broker"})
    async with serving(health=health) as served:
        ready = await served.client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["checks"]["broker"]["detail"] == "It is away."

        health.checks["database"] = away
        assert (await served.client.get("/readyz")).status_code == 503
        assert (await served.client.get("/healthz")).status_code == 503
        assert (await served.client.get("/livez")).status_code == 200

        health.checks["database"] = well
        health.draining = True
        assert (await served.client.get("/readyz")).json()["status"] == "stopping"
        assert (await served.client.get("/v1/things", headers=bearer())).status_code == 200


async def test_livez_fails_when_a_watchdog_barks() -> None:
    health = Health(watchdogs={"consumer": lambda: "no progress for 60 s"})
    async with serving(health=health) as served:
        answer = await served.client.get("/livez")
        assert answer.status_code == 503
        assert answer.json()["wrong"] == {"consumer": "no progress for 60 s"}


async def test_index_speaks_to_programs_and_to_people() -> None:
    async with serving() as served:
        program = await served.client.get("/")
        person = await served.client.get("/", headers={"Accept": "text/html,*/*"})

        assert program.json()["links"]["/v1/things"] == "all things"
        assert person.headers["content-type"].startswith("text/html")
        assert "/v1/things" in person.text


async def test_metrics_count_by_route_template_never_by_address() -> None:
    async with serving() as served:
        await served.client.get("/v1/things/secret-id", headers=bearer())
        text = (await served.client.get("/metrics")).text

        assert 'route="/v1/things/{thing_id}",status="404"' in text
        assert "secret-id" not in text


async def test_openapi_documents_problems_and_security() -> None:
    async with serving() as served:
        schema = (await served.client.get("/openapi.json")).json()
        create = schema["paths"]["/v1/things"]["post"]

        assert schema["openapi"].startswith("3.1")
        assert {"401", "403", "413", "415", "422", "429", "503"} <= create["responses"].keys()
        assert create["security"] == [{"bearer": []}]
        assert list(create["responses"]["422"]["content"]) == [PROBLEM]
        assert "404" in schema["paths"]["/v1/things/{thing_id}"]["get"]["responses"]
        assert "security" not in schema["paths"]["/livez"]["get"]
        assert "HTTPValidationError" not in json.dumps(schema)


async def test_keep_alive_serves_many_requests_and_pipelines() -> None:
    async with serving(header_deadline_s=5) as served:
        request = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await hostile.exchange(served.host, served.port, request * 5 + last)
        assert answer.count(b"HTTP/1.1 200") == 6
