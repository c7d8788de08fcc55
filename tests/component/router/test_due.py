"""The clock: triage, offers, absences, breaches, holds, closing. Restarts lose nothing, because times are rows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.router.domain.queues import Queue
from services.router.store import queues as queue_store
from tests.component.router.lab import TENANT, World


async def test_ticket_without_labels_goes_to_triage_after_thirty_seconds(world: World) -> None:
    await world.tell(world.received("k"))
    await world.due.step()
    assert (await world.ticket("k")).state == "received"
    world.clock.jump(seconds=31)
    await world.due.step()
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.queue_id, ticket.reason) == ("waiting", "triage", "not_labelled")
    assert ticket.first_response_due_at == ticket.received_at + timedelta(hours=4)


@pytest.mark.parametrize("presence", ["away", "offline"])
async def test_agent_who_leaves_loses_untouched_work_at_once_and_started_work_after_the_grace(
    world: World, presence: str
) -> None:
    await world.hire("ann", capacity=3)
    await world.queue("untouched", "started", "held")
    await world.settle()
    for ticket_id, action in (("started", "start"), ("held", "hold")):
        await _act(world, ticket_id, action)
    await world.presence(presence, "ann")
    await world.due.step()
    assert await world.state("untouched") == ("waiting", f"agent_{presence}")
    assert (await world.ticket("started")).state == "in_progress"
    world.clock.jump(minutes=10, seconds=1)
    await world.due.step()
    assert await world.state("started") == ("waiting", f"agent_{presence}")
    assert (await world.ticket("held")).state == "on_hold"


async def test_agent_who_returns_within_the_grace_keeps_started_work(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    await _act(world, "k", "start")
    await world.presence("away", "ann")
    await world.due.step()
    await world.presence("online", "ann")
    world.clock.jump(minutes=11)
    await world.due.step()
    assert (await world.ticket("k")).state == "in_progress"


async def test_requeued_ticket_keeps_its_age_and_goes_to_somebody_else(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    since = (await world.ticket("k")).waiting_since
    await world.settle()
    await world.presence("offline", "ann")
    await world.hire("bob")
    await world.due.step()
    await world.settle()
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.agent_id, ticket.fence, ticket.waiting_since) == ("assigned", "bob", 3, since)


async def test_offer_not_answered_lapses_and_goes_to_the_next(world: World) -> None:
    await _offers(world)
    await world.hire("ann", "bob")
    await world.queue("k")
    await world.settle()
    first = (await world.ticket("k")).agent_id
    world.clock.jump(seconds=61)
    await world.due.step()
    assert await world.state("k") == ("waiting", "offer_lapsed")
    await world.settle()
    ticket = await world.ticket("k")
    assert ticket.state == "offered"
    assert ticket.agent_id != first


async def test_ticket_that_everybody_declined_says_so_and_is_offered_again_a_quarter_of_an_hour_later(
    world: World,
) -> None:
    await _offers(world)
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    await _act(world, "k", "decline")
    await world.settle()
    assert (await world.ticket("k")).state == "waiting"
    for seconds in (6, 60, 600):
        world.clock.jump(seconds=seconds)
        await world.due.step()
        await world.settle()
        assert await world.state("k") == ("waiting", "all_declined")
    await world.presence("online", "ann")  # a sign of life, as a quarter of an hour without one means gone
    world.clock.jump(seconds=300)
    await world.due.step()
    await world.settle()
    assert (await world.ticket("k")).state == "offered"


async def test_ticket_transferred_to_another_queue_does_not_come_straight_back_to_who_gave_it_away(
    world: World,
) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    async with world.client("agent", subject="ann") as client:
        body = {"fence": (await world.ticket("k")).fence, "queue_id": "payment"}
        assert (await client.post("/v1/assignments/k/transfer", json=body)).status_code == 200
    await world.settle()
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.queue_id) == ("waiting", "payment")
    await world.hire("bob")
    await world.settle()
    assert (await world.ticket("k")).agent_id == "bob"


async def test_waiting_ticket_tells_why_after_some_seconds(world: World) -> None:
    await world.hire("ann", capacity=1)
    await world.queue("k1", "k2")
    await world.settle()
    waiting = "k1" if (await world.ticket("k1")).state == "waiting" else "k2"
    world.clock.jump(seconds=6)
    await world.due.step()
    assert await world.state(waiting) == ("waiting", "all_agents_full")


async def test_breach_is_counted_once_and_stops_no_clock_twice(world: World) -> None:
    await world.queue("k", tier="urgent")
    world.clock.jump(minutes=31)
    while await world.due.step():
        pass
    assert (await world.ticket("k")).missed == ("first_response",)
    version = (await world.ticket("k")).version
    world.clock.jump(minutes=5)
    await world.due.step()
    assert (await world.ticket("k")).version == version


async def test_hold_that_lasts_too_long_comes_back_and_resolved_is_closed(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    await _act(world, "k", "hold", awaited="carrier")
    world.clock.jump(hours=25)
    await world.presence("online", "ann")
    await world.due.step()
    assert await world.state("k") == ("in_progress", "hold_expired")
    await _act(world, "k", "resolve")
    world.clock.jump(hours=73)
    await world.due.step()
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.reason, ticket.next_check_at) == ("closed", "not_reopened", None)


async def test_agent_of_whom_nothing_is_heard_counts_as_offline(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    world.clock.jump(minutes=16)
    while await world.due.step():
        pass
    assert (await world.ticket("k")).state == "waiting"
    changed = await world.published("AgentChanged", "ann")
    assert [event.presence for event in changed] == ["offline", "online", "offline"]


async def _offers(world: World) -> None:
    async with world.db.begin() as tx:
        await queue_store.upsert_queue(tx, TENANT, Queue("order", "Orders", skill="order", mode="offer"))


async def _act(world: World, ticket_id: str, action: str, awaited: str = "carrier") -> None:
    ticket = await world.ticket(ticket_id)
    body = {"fence": ticket.fence} | ({"awaited": awaited} if action == "hold" else {})
    async with world.client("agent", subject=ticket.agent_id) as client:
        answer = await client.post(f"/v1/assignments/{ticket_id}/{action}", json=body)
    assert answer.status_code == 200, answer.text
