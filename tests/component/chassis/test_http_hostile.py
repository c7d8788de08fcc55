"""The hostile corpus against a small service on a real port."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psutil
import pytest
import uvloop

from fenliu.chassis import http_server
from tests import hostile
from tests.component.chassis.serving import KEY, bearer, serving

PROBLEM = "application/problem+json"


async def test_create_with_hostile_body_is_refused_with_a_problem() -> None:
    async with serving() as served:
        for body in hostile.BODIES:
            answer = await served.client.post("/v1/things", content=body.raw, headers=bearer() | body.headers())

            assert 400 <= answer.status_code < 500, f"{body.name}: {answer.text}"
            assert answer.headers["content-type"] == PROBLEM, body.name
            assert answer.json()["request_id"] == answer.headers["x-request-id"], body.name
            assert served.things.kept == {}, body.name


async def test_create_with_injection_strings_keeps_them_verbatim_or_refuses() -> None:
    async with serving() as served:
        for name, text in hostile.STRINGS.items():
            answer = await served.client.post("/v1/things", json={"text": text}, headers=bearer())

            assert answer.status_code in {202, 422}, name
            if answer.status_code == 202:
                assert answer.json()["text"] == text, name
        assert len(served.things.kept) >= len(hostile.STRINGS) - 3


async def test_unicode_of_every_kind_survives_the_round_trip() -> None:
    async with serving() as served:
        for name in ("emoji_family", "flag", "right_to_left", "combining", "decomposed", "beyond_the_basic_plane"):
            answer = await served.client.post("/v1/things", json={"text": hostile.STRINGS[name]}, headers=bearer())
            assert answer.json()["text"] == hostile.STRINGS[name]


async def test_read_with_hostile_id_is_refused() -> None:
    async with serving() as served:
        head = f"Host: x\r\nConnection: close\r\nAuthorization: {bearer()['Authorization']}\r\n\r\n"
        for segment in hostile.IDS:
            request = f"GET /v1/things/{segment} HTTP/1.1\r\n{head}"
            answer = await hostile.exchange(served.host, served.port, request.encode())

            assert answer.startswith(b"HTTP/1.1 4"), f"{segment}: {answer[:200]!r}"
            assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0], segment


async def test_list_with_hostile_query_is_refused() -> None:
    async with serving() as served:
        for query in hostile.QUERIES:
            answer = await served.client.get(f"/v1/things?{query}", headers=bearer())

            assert 400 <= answer.status_code < 500, f"{query}: {answer.text}"
            assert answer.headers["content-type"] == PROBLEM, query


async def test_forged_tokens_open_nothing_and_are_refused_quickly() -> None:
    tokens = hostile.forged_tokens(KEY, datetime.now(UTC))
    assert len(tokens) >= 40
    async with serving() as served:
        for name, token in tokens.items():
            started = time.perf_counter()
            answer = await served.client.get("/v1/things", headers={"Authorization": f"Bearer {token}"})

            assert answer.status_code == 401, name
            assert answer.headers["www-authenticate"].startswith("Bearer"), name
            assert time.perf_counter() - started < 1, name


async def test_broken_http_is_refused_or_closed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "uvicorn.error")
    async with serving() as served:
        for name, request in hostile.BROKEN_HTTP.items():
            answer = await hostile.exchange(served.host, served.port, request)

            assert not answer or answer.startswith(b"HTTP/1.1 4"), f"{name}: {answer[:200]!r}"
            assert (await served.client.get("/livez")).status_code == 200, name


async def test_chunked_flood_of_200_megabytes_is_cut_off_without_being_kept() -> None:
    async with serving() as served:
        await served.client.get("/livez")
        before = psutil.Process().memory_info().rss

        answer = await hostile.flood(
            served.host, served.port, "/v1/things", {"Content-Type": "application/json", **bearer()}, 200
        )

        grown = psutil.Process().memory_info().rss - before
        assert answer.startswith(b"HTTP/1.1 413") or answer == b""
        assert grown < 20 * 2**20
        assert (await served.client.get("/livez")).status_code == 200


async def test_chunked_body_beyond_the_limit_gets_413() -> None:
    async with serving() as served:

        async def parts():
            for _ in range(10):
                yield b" " * 30_000

        answer = await served.client.post(
            "/v1/things", content=parts(), headers=bearer() | {"Content-Type": "application/json"}
        )

        assert answer.status_code == 413


async def test_slow_header_and_idle_connections_are_closed() -> None:
    async with serving(header_deadline_s=0.2) as served:
        for opening in (b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"):
            assert await hostile.closes_within(served.host, served.port, opening, 5), opening


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_request_that_arrived_while_the_service_was_busy_is_answered(
    loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under thousands of requests at once, one turn of the loop is longer than the patience with a header."""

    monkeypatch.setattr(http_server, "SWEEP_S", 0.001)

    def ask(address: tuple[str, int]) -> bytes:
        with socket.create_connection(address, 10) as line:
            time.sleep(0.05)  # the service has taken up the connection, and is busy with others
            line.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            return line.recv(15)

    async def ask_a_busy_service() -> list[bytes]:
        async with serving(header_deadline_s=0.1) as served:

            async def be_busy() -> None:
                while True:
                    time.sleep(0.15)  # noqa: ASYNC251 - that is the point
                    await asyncio.sleep(0)

            busy = asyncio.create_task(be_busy())
            answers = [await asyncio.to_thread(ask, (served.host, served.port)) for _ in range(3)]
            busy.cancel()
            return answers

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(ask_a_busy_service()) == [b"HTTP/1.1 200 OK"] * 3


async def test_slow_body_gets_408() -> None:
    async with serving(request_deadline_s=0.3) as served:
        head = f"POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\nAuthorization: {bearer()['Authorization']}\r\n\r\n"
        answer = await hostile.exchange(served.host, served.port, head.encode() + b'{"te', within_s=5)

        assert answer.startswith(b"HTTP/1.1 408")


async def test_form_with_nul_is_refused() -> None:
    async with serving() as served:
        answer = await served.client.post(
            "/raw", content=b"token=a%00b", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code == 400


async def test_route_that_reads_the_body_itself_is_strict_too() -> None:
    async with serving() as served:
        answer = await served.client.post("/raw", content=b'{"a":NaN}', headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["type"].endswith("/malformed-json")


async def test_raw_multipart_broken_is_refused() -> None:
    async with serving() as served:
        for content_type in (
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "multipart/form-data; boundary=",
        ):
            answer = await served.client.post("/raw", content=b"--y\r\n", headers={"Content-Type": content_type})
            assert answer.status_code < 500
