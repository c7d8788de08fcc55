"""The dispatcher alone: how many assignments it commits per second, and how soon freed capacity is filled."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bench.load import Answer, Pool, closed_loop, percentile, post
from bench.platform import Platform, eventually, platform
from bench.texts import body
from fenliu.contracts.vocabulary import skills
from tests.stack import Stack, staff, token

TENANT = "bench"
SEEDS = 500
"""Tickets that go the whole way through intake and classifier; the others that wait are copies of their rows."""

COPY = """
INSERT INTO tickets ({columns}) SELECT {values} FROM tickets, generate_series(1, {copies}) AS n
WHERE state = 'waiting'
"""
MADE = {"ticket_id": "ticket_id || '-' || n", "next_check_at": "now() + random() * interval '5 minutes'"}
"""What differs between copies: they are looked at in turn, as tickets are that came one by one, not all at once."""
RATE = """
SELECT count(*), extract(epoch FROM max(at) - min(at)) FROM ticket_history WHERE action = 'assign' AND at > (
    SELECT min(at) + interval '2 seconds' FROM ticket_history WHERE action = 'assign')
"""
FILLED = """
SELECT extract(epoch FROM (SELECT min(given.at) FROM ticket_history AS given
    WHERE given.action = 'assign' AND given.agent_id = done.agent_id AND given.at > freed.at) - freed.at) * 1000
FROM ticket_history AS freed JOIN tickets AS done ON done.ticket_id = freed.ticket_id WHERE freed.action = 'resolve'
"""


async def dispatch(kind: str, scale: float) -> dict[str, Any]:
    """10,000 agents with room for 100,000 waiting tickets, from the router's start until everything is assigned."""
    if kind == "embedded":
        raise SystemExit("dispatch is measured with PostgreSQL: --on production")
    agents, waiting = int(10_000 * scale), int(100_000 * scale)
    async with platform(kind, start=False) as running:
        await fill(running, agents, waiting, capacity=12)
        running.stack.start("router")
        await running.stack.ready("router")
        assigned = "SELECT count(*) FROM tickets WHERE state = 'assigned'"

        async def finished() -> bool:
            return bool(await running.stack.scalar("router", assigned) >= waiting)

        await eventually(finished, 600, "everything is assigned")
        count, seconds = (await running.stack.query("router", RATE))[0]
    return {
        "agents": agents,
        "waiting": waiting,
        "assignments_per_s": round(count / float(seconds)),
        "measured": "committed, from two seconds after the first assignment",
        "target_per_s": 1000,
    }


async def freed(kind: str, scale: float) -> dict[str, Any]:
    """Everybody is full and 20,000 wait; 200 tickets/s are resolved through a replica that does not serve the desk."""
    if kind == "embedded":
        raise SystemExit("freed needs two replicas, and so PostgreSQL: --on production")
    seconds, agents, capacity = 20 * scale, 2_000, 5
    async with platform(kind, start=False) as running:
        await fill(running, agents, agents * capacity + 20_000, capacity=capacity)
        first = running.stack
        with TemporaryDirectory(prefix="fenliu-bench-") as home:
            second = Stack(Path(home), first.kafka, {"router": first.database_urls["router"]}, first.extra_env)
            try:
                first.start("router")
                await first.ready("router")
                full = f"SELECT count(*) = {agents * capacity} FROM tickets WHERE state = 'assigned'"
                await eventually(lambda: first.scalar("router", full), 300, "everybody is full")
                second.start("router")
                await second.ready("router")
                await resolve(second, first, rate=200, seconds=seconds)
                waits = [float(row[0]) for row in await first.query("router", FILLED) if row[0] is not None]
            finally:
                second.close()
    return {
        "resolved": len(waits),
        "freed_to_assigned_ms": {"p50": round(percentile(waits, 0.5), 1), "p99": round(percentile(waits, 0.99), 1)},
        "measured": "from the time of the transaction that frees to the time of the one that assigns",
        "target": "p99 ≤ 100 ms at 200/s",
    }


async def fill(running: Platform, agents: int, waiting: int, capacity: int) -> None:
    """Agents with room, and tickets that wait for them; nothing runs afterwards."""
    stack = running.stack
    stack.start("intake", "classifier", "router")
    await stack.ready("intake", "classifier", "router")
    await staff(stack, TENANT, agents, 0, skills())
    pool = Pool("127.0.0.1", stack.ports["intake"])
    credential = token(TENANT, "storefront")
    await closed_loop(
        pool, lambda number: post("/v1/tickets", body(number, "fill"), credential), total=SEEDS, workers=16
    )
    ready = f"SELECT count(*) = {SEEDS} FROM tickets WHERE state = 'waiting'"
    await eventually(lambda: stack.scalar("router", ready), 120, "the first tickets wait")
    stack.kill()
    columns = [
        row[0]
        for row in await stack.query(
            "router",
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'tickets' ORDER BY ordinal_position",
        )
    ]
    values = [MADE.get(name, name) for name in columns]
    copies = waiting // SEEDS - 1
    engine = create_async_engine(stack.database_urls["router"])
    async with engine.begin() as connection:
        copy = COPY.format(columns=", ".join(columns), values=", ".join(values), copies=copies)
        for statement in (copy, f"UPDATE agents SET capacity = {capacity}, dirty = true", "ANALYZE"):
            await connection.execute(text(statement))
    await engine.dispose()


async def resolve(through: Stack, holder: Stack, *, rate: float, seconds: float) -> None:
    """Resolve tickets that were assigned before, at a steady rate, through one process."""
    owned = "SELECT ticket_id, fence FROM tickets WHERE state = 'assigned' ORDER BY md5(ticket_id) LIMIT :count"
    chosen = await holder.query("router", owned, count=int(rate * seconds))
    pool = Pool("127.0.0.1", through.ports["router"])
    credential = token(TENANT, "admin")
    asked: list[asyncio.Task[Answer]] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, (ticket, fence) in enumerate(chosen):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        content = json.dumps({"fence": fence}).encode()
        asked.append(asyncio.create_task(pool.ask(post(f"/v1/assignments/{ticket}/resolve", content, credential))))
    for answer in await asyncio.gather(*asked):
        assert answer.status == 200, answer.body
    await asyncio.sleep(2)  # what was freed last is filled
