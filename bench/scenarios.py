"""What is measured. Every scenario returns figures as plain data; bench/__main__.py stores them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from bench import dispatch
from bench.load import Answer, Pool, closed_loop, open_loop, percentile, post
from bench.platform import Platform, cpu_per_ticket_ms, eventually, platform
from bench.tap import StatusTap
from bench.texts import body
from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions
from fenliu.contracts.vocabulary import skills
from tests.stack import ROOT, free_port, staff, token

TENANT = "bench"


def requests(run: str) -> Any:
    """Builder of the POST of ticket `number`."""
    credential = token(TENANT, "storefront")
    return lambda number: post("/v1/tickets", body(number, run), credential)


async def intake(kind: str, scale: float) -> dict[str, Any]:
    """POST to 202 against a bare endpoint that only validates, in alternating rounds of one run."""
    port = free_port()
    bare = subprocess.Popen([sys.executable, "-m", "bench.bare", str(port)], cwd=ROOT)  # noqa: ASYNC220
    rounds: dict[str, list[float]] = {"bare": [], "intake": []}
    try:
        async with platform(kind, start=False) as running:
            running.stack.start("intake")
            await running.stack.ready("intake")
            pools = {"bare": Pool("127.0.0.1", port), "intake": Pool("127.0.0.1", running.stack.ports["intake"])}
            for index in range(6):
                for name, pool in pools.items():
                    began = time.perf_counter()
                    total = int((4000 if index else 500) * scale)
                    answers = await closed_loop(pool, requests(f"{name}{index}"), total=total, workers=64)
                    assert_accepted(answers)
                    if index:  # the first round warms up
                        rounds[name].append(total / (time.perf_counter() - began))
    finally:
        bare.kill()
        bare.wait()
    ratios = sorted(i / b for i, b in zip(rounds["intake"], rounds["bare"], strict=True))
    return {
        "bare_per_s": [round(v) for v in rounds["bare"]],
        "intake_per_s": [round(v) for v in rounds["intake"]],
        "ratio_median": round(ratios[len(ratios) // 2], 3),
        "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "target_ratio": 0.55,
    }


def assert_accepted(answers: list[Answer]) -> None:
    wrong = [answer for answer in answers if answer.status != 202]
    assert not wrong, (
        f"{len(wrong)} of {len(answers)} were not accepted, such as {wrong[0].status} {wrong[0].body[:300]!r}"
    )


async def assign(kind: str, scale: float) -> dict[str, Any]:
    """POST to assigned in mode `assign`, 10,000 agents with room for the whole run."""
    figures: dict[str, Any] = {"agents": 10_000}
    async with platform(kind) as running:
        await staff(running.stack, TENANT, 10_000, 50, skills())
        await phase(running, 50, 5)  # warm-up
        figures["at_50_per_s"] = await phase(running, 50, 20 * scale)
        figures["at_200_per_s"] = await phase(running, 200, 30 * scale)
        figures["at_400_per_s"] = await phase(running, 400, 60 * scale)
    figures["targets"] = {"at_50_per_s": "p50 ≤ 150 ms", "at_200_per_s": "p99 ≤ 2000 ms", "at_400_per_s": "sustained"}
    return figures


async def phase(running: Platform, rate: float, seconds: float) -> dict[str, Any]:
    """One open-loop load at `rate`; waits until every accepted ticket was seen assigned."""
    pool = Pool("127.0.0.1", running.stack.ports["intake"], size=128)
    async with StatusTap(running.stack.kafka) as tap:
        before, mine = running.cpu(), time.process_time()
        began = time.time()
        answers = await open_loop(pool, requests(uuid4().hex[:8]), rate=rate, seconds=seconds)
        accepted = {json.loads(a.body)["ticket_id"]: a for a in answers if a.status == 202}
        posted_s = time.time() - began
        backlog = len(accepted) - len(tap.assigned_at)
        await eventually(lambda: accepted.keys() <= tap.assigned_at.keys(), 120, "every accepted ticket is assigned")
        took = max(tap.assigned_at[ticket] for ticket in accepted) - began
        after = running.cpu()
        costs = cpu_per_ticket_ms(before, after, len(accepted))
        generator = round(1000 * (time.process_time() - mine) / len(accepted), 3)
    pool.close()
    waits = [1000 * (tap.assigned_at[ticket] - answer.planned) for ticket, answer in accepted.items()]
    replies = [1000 * (answer.ended - answer.planned) for answer in answers]
    return {
        "planned_per_s": rate,
        "seconds": round(seconds, 1),
        "accepted": len(accepted),
        "refused": len(answers) - len(accepted),
        "accepted_per_s": round(len(accepted) / posted_s, 1),
        "assigned_per_s": round(len(accepted) / took, 1),
        "backlog_when_posting_ended": backlog,
        "post_to_202_ms": {"p50": round(percentile(replies, 0.5), 1), "p99": round(percentile(replies, 0.99), 1)},
        "post_to_assigned_ms": {
            "p50": round(percentile(waits, 0.5), 1),
            "p95": round(percentile(waits, 0.95), 1),
            "p99": round(percentile(waits, 0.99), 1),
            "max": round(max(waits), 1),
        },
        "cpu_ms_per_ticket": costs | {"load generator": generator},
    }


async def life(kind: str, scale: float) -> dict[str, Any]:
    """The full life over HTTP: post, (assigned), start (it accepts), public reply, resolve; finished tickets per s."""
    total = int(4000 * scale)
    async with platform(kind) as running:
        stack = running.stack
        await staff(stack, TENANT, 500, 50, skills())
        intake_pool, router_pool = (Pool("127.0.0.1", stack.ports[s], size=48) for s in ("intake", "router"))
        credential = token(TENANT, "admin")
        began = time.perf_counter()
        async with StatusTap(stack.kafka) as tap:
            posted = await closed_loop(intake_pool, requests("life"), total=total, workers=32)
            assert_accepted(posted)
            tickets = [json.loads(answer.body)["ticket_id"] for answer in posted]
            await eventually(lambda: set(tickets) <= tap.assigned_at.keys(), 120, "all assigned")
            assigned_s = time.perf_counter() - began
            await finish(tickets, intake_pool, router_pool, credential)
        took = time.perf_counter() - began
    return {
        "tickets": total,
        "post_and_assign_s": round(assigned_s, 2),
        "whole_life_s": round(took, 2),
        "lives_per_s": round(total / took, 1),
        "target_per_s": 100,
    }


async def finish(tickets: list[str], intake_pool: Pool, router_pool: Pool, credential: str) -> None:
    queue = iter(tickets)
    reply = json.dumps({"text": "已为您处理，请留意后续通知。"}).encode()
    work = json.dumps({"fence": 1}).encode()

    async def worker() -> None:
        for ticket in queue:
            for pool, path, content in (
                (router_pool, f"/v1/assignments/{ticket}/start", work),
                (intake_pool, f"/v1/tickets/{ticket}/messages", reply),
                (router_pool, f"/v1/assignments/{ticket}/resolve", work),
            ):
                answer = await pool.ask(post(path, content, credential))
                assert answer.status in {200, 202}, f"{path}: {answer.status} {answer.body!r}"

    await asyncio.gather(*(worker() for _ in range(32)))


async def order_event(kind: str, scale: float) -> dict[str, Any]:
    """Order event sent → visible at GET /v1/orders/{id}, while 50 tickets/s arrive."""
    waits: list[float] = []
    async with platform(kind) as running:
        pool = Pool("127.0.0.1", running.stack.ports["intake"], size=16)
        producer = AIOKafkaProducer(bootstrap_servers=running.stack.kafka, acks="all", linger_ms=0)
        await producer.start()
        load = asyncio.create_task(open_loop(pool, requests("orders"), rate=50, seconds=20 * scale))
        number = 0
        while not load.done():
            waits.append(await visible_after(producer, pool, f"order-{number}"))
            number += 1
        await producer.stop()
    return {
        "events": len(waits),
        "event_to_visible_ms": {"p50": round(percentile(waits, 0.5), 1), "p99": round(percentile(waits, 0.99), 1)},
        "target": "p99 ≤ 500 ms",
    }


async def visible_after(producer: AIOKafkaProducer, pool: Pool, order_id: str) -> float:
    event = {
        "tenantId": TENANT,
        "orderId": order_id,
        "kind": "ORDER_EVENT_KIND_PLACED",
        "occurredAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "customerId": "buyer",
    }
    headers = [("content-type", b"application/json"), ("tenant", TENANT.encode()), ("ce_type", b"OrderEvent")]
    credential = token(TENANT, "admin")
    get = f"GET /v1/orders/{order_id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {credential}\r\n\r\n".encode()
    began = time.perf_counter()
    await producer.send("order-events", json.dumps(event).encode(), key=order_id.encode(), headers=headers)
    while (await pool.ask(get)).status != 200:
        assert time.perf_counter() - began < 30, f"{order_id} never became visible"
        await asyncio.sleep(0.003)
    return 1000 * (time.perf_counter() - began)


async def consumers(kind: str, scale: float) -> dict[str, Any]:
    """Records per second of each service's consumers, working off a backlog alone on the machine."""
    total = int(20_000 * scale)
    figures: dict[str, Any] = {"tickets": total}
    async with platform(kind, start=False) as running:
        stack = running.stack
        stack.start("intake", "router")
        await stack.ready("intake", "router")
        await staff(stack, TENANT, 2_000, 50, skills())
        await eventually(lambda: outbox_is_empty(running, "router"), 120, "router has published the agents")
        stack.kill("router")
        pool = Pool("127.0.0.1", stack.ports["intake"])
        assert_accepted(await closed_loop(pool, requests("backlog"), total=total, workers=64))
        await eventually(lambda: outbox_is_empty(running, "intake"), 120, "intake has published everything")
        stack.kill("intake")
        for service, topics in CONSUMED.items():
            figures[service] = await work_off(running, service, topics)
    return figures


CONSUMED = {
    "classifier": ["ticket-inbound"],
    "router": ["ticket-inbound", "ticket-classified"],
    "notifier": ["ticket-inbound", "ticket-status"],
    "intake": ["ticket-status"],
}
"""Each service's topics with a backlog, in an order in which every one finds what the one before has published."""


async def outbox_is_empty(running: Platform, service: str) -> bool:
    return await running.stack.scalar(service, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0


async def work_off(running: Platform, service: str, topics: list[str]) -> dict[str, Any]:
    """From the first committed offset until the groups have read everything, and what that cost the service."""
    inspector = Inspector(KafkaOptions(running.stack.kafka))
    before = await committed(inspector, service, topics)

    async def handled() -> int:
        return await committed(inspector, service, topics) - before

    async def finished() -> bool:
        return before + await handled() >= sum((await inspector.end_offsets(topics)).values())

    running.stack.start(service)
    await eventually(handled, 60, f"{service} has begun")
    first, began, used = await handled(), time.perf_counter(), running.cpu()
    await eventually(finished, 300, f"{service} has worked off the backlog")
    took, done = time.perf_counter() - began, await handled() - first
    costs = cpu_per_ticket_ms(used, running.cpu(), max(done, 1))
    if service == "router":
        await eventually(lambda: outbox_is_empty(running, "router"), 300, "router has published everything")
    await inspector.close()
    running.stack.kill(service)
    return {"topics": topics, "records_per_s": round(done / took), "cpu_ms_per_record": costs}


async def committed(inspector: Inspector, service: str, topics: list[str]) -> int:
    return sum([sum((await inspector.committed(f"{service}.{topic}", topic)).values()) for topic in topics])


SCENARIOS = {
    "intake": intake,
    "assign": assign,
    "life": life,
    "order-event": order_event,
    "consumers": consumers,
    "dispatch": dispatch.dispatch,
    "freed": dispatch.freed,
}
KINDS = ("embedded", "production")
CORES = os.cpu_count()
