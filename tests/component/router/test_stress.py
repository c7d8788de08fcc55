"""Many seeds of everything at once: two dispatchers, the clock, agents and customers, in random interleavings."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
from sqlalchemy import update

from fenliu.contracts import events
from services.router.tables import desks
from tests.component.router.lab import TENANT, World

SEEDS = int(os.environ.get("FENLIU_TEST_ROUTER_SEEDS", "4"))
"""Rounds per test run and database; each is 50 seeded actors' steps. `make soak` raises it."""

AGENTS = ("ann", "bob", "cid")
ACTIONS = ("start", "hold", "resume", "resolve", "decline", "accept", "transfer")


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_random_interleavings_keep_every_invariant(world: World, replica: World, seed: int) -> None:
    rng = random.Random(seed)
    ids = [f"k{n:02}" for n in range(12)]
    await world.hire(*AGENTS, capacity=2, skills=("order", "payment"))
    await asyncio.gather(
        *(_customer(each, ids[n::2], random.Random(rng.random())) for n, each in enumerate((world, replica))),
        *(_dispatch(each, random.Random(rng.random())) for each in (world, replica)),
        *(_agent(world, name, random.Random(rng.random())) for name in AGENTS),
        _clock(replica, random.Random(rng.random())),
    )
    for name in AGENTS:
        await world.presence("online", name)
    await _take_lease_from_everybody(world)
    for _ in range(3):
        await world.due.step()
        await world.settle()
    await world.check()
    free = [name for name in AGENTS if len(await _held(world, name)) < 2]
    for ticket_id in ids:
        ticket = await world.ticket(ticket_id)
        asked = set(free) - set(ticket.declined_by)
        held = ticket.facts.known_agent in set(AGENTS) - set(free) - set(ticket.declined_by)
        assert ticket.state != "waiting" or not asked or held, f"{ticket_id} waits while {asked} have room"


async def _customer(world: World, ids: list[str], rng: random.Random) -> None:
    """Every event twice, labels sometimes first, now and then a cancel, a help or a reopen."""
    told: list[object] = []
    for ticket_id in ids:
        labels = world.classified(ticket_id, category=rng.choice(["order", "payment", "unclear", "logistics"]))
        told += [world.received(ticket_id), labels, labels, world.received(ticket_id)]
        for kind in (events.TicketCancelRequested, events.TicketHelpRequested, events.TicketReopenRequested):
            if rng.random() < 0.3:
                told.append(world.fact(kind, ticket_id))
    rng.shuffle(told)
    for event in told:
        await world.tell(event)  # type: ignore[arg-type]
        await asyncio.sleep(0)


async def _dispatch(world: World, rng: random.Random) -> None:
    for _ in range(12):
        await world.dispatcher.step()
        if rng.random() < 0.3:
            await _take_lease_from_everybody(world)
        await asyncio.sleep(rng.random() * 0.005)


async def _agent(world: World, name: str, rng: random.Random) -> None:
    """Works on what it holds, sometimes with a fence from the past, and comes and goes."""
    fences: list[tuple[str, int]] = []
    async with world.client("agent", subject=name) as client:
        for _ in range(10):
            found = (await client.get(f"/v1/agents/{name}/assignments")).json()["items"]
            fences += [(item["ticket_id"], item["fence"]) for item in found]
            if fences:
                ticket_id, fence = rng.choice(fences)
                action = rng.choice(ACTIONS)
                body: dict[str, object] = {"fence": fence}
                if action == "hold":
                    body["awaited"] = "customer"
                if action == "transfer":
                    body |= rng.choice([{"queue_id": "payment"}, {"agent_id": rng.choice(AGENTS)}])
                answer = await client.post(f"/v1/assignments/{ticket_id}/{action}", json=body)
                assert answer.status_code in (200, 403, 409), answer.text
            if rng.random() < 0.3:
                await client.put(f"/v1/agents/{name}/presence", json={"presence": rng.choice(["online", "away"])})
            await asyncio.sleep(rng.random() * 0.005)


async def _clock(world: World, rng: random.Random) -> None:
    for _ in range(10):
        await world.due.step()
        await asyncio.sleep(rng.random() * 0.005)


async def _held(world: World, name: str) -> list[object]:
    async with world.client("agent", subject=name) as client:
        held: list[object] = (await client.get(f"/v1/agents/{name}/assignments")).json()["items"]
    return held


async def _take_lease_from_everybody(world: World) -> None:
    async with world.db.begin() as tx:
        await tx.execute(update(desks).where(desks.c.tenant_id == TENANT).values(expires_s=0.0))
