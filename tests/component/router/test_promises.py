"""Service levels over a real store: holds by party, answers, escalations, work given by hand, silent agents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fenliu.contracts import events
from services.router import metrics
from services.router.domain.sla import DEPARTMENTS
from tests.component.router.lab import World


async def act(world: World, ticket_id: str, action: str, status: int = 200, **body: Any) -> dict[str, Any]:
    ticket = await world.ticket(ticket_id)
    async with world.client("agent", subject=ticket.agent_id) as client:
        answer = await client.post(f"/v1/assignments/{ticket_id}/{action}", json={"fence": ticket.fence, **body})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def post(world: World, role: str, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    async with world.client(role, subject="sue") as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def listed(world: World, role: str, path: str) -> list[dict[str, Any]]:
    async with world.client(role) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def catch_up(world: World) -> None:
    while await world.due.step():
        pass


async def given(world: World, **labels: str) -> None:
    """Ticket k with ann, who stays online however far the clock is set ahead."""
    await world.hire("ann")
    await world.queue("k", **labels)
    await world.settle()
    await act(world, "k", "start")


@pytest.mark.parametrize("party", ["warehouse", "finance"])
async def test_department_that_is_awaited_answers_by_rest_and_the_agent_goes_on(world: World, party: str) -> None:
    await given(world)
    await act(world, "k", "hold", awaited=party, note="Where is the parcel?")
    (owed,) = await listed(world, "integration", f"/v1/routing/awaited?party={party}")
    assert (owed["ticket_id"], owed["owner"], owed["note"]) == ("k", party, "Where is the parcel?")
    assert await listed(world, "integration", "/v1/routing/awaited?party=sales") == []
    world.clock.jump(minutes=10)
    before = metrics.awaited_seconds.value(party=party)
    await post(world, "integration", "/v1/routing/tickets/k/answer", 409, party="sales")
    out = await post(world, "integration", "/v1/routing/tickets/k/answer", party=party, note="Shelf 9")
    assert (out["state"], out["reason"], out["note"]) == ("in_progress", f"{party}_answered", "Shelf 9")
    await post(world, "integration", "/v1/routing/tickets/k/answer", 409, party=party)
    assert metrics.awaited_seconds.value(party=party) - before >= 600


@pytest.mark.parametrize("party", DEPARTMENTS[:2])
async def test_department_answers_by_event(world: World, party: str) -> None:
    await given(world)
    await act(world, "k", "hold", awaited=party)
    note = {"author_role": "agent", "visibility": "internal"}
    await world.tell(world.fact(events.TicketMessageAdded, "k", author_id="somebody", **note))
    assert (await world.ticket("k")).state == "on_hold"
    await world.tell(world.fact(events.TicketMessageAdded, "k", author_id=party, **note))
    assert await world.state("k") == ("in_progress", f"{party}_answered")


async def test_hold_can_be_handed_on_to_another_party_with_a_time_of_its_own(world: World) -> None:
    await given(world)
    await act(world, "k", "hold", awaited="warehouse")
    first = (await world.ticket("k")).awaited_since
    world.clock.jump(hours=5)
    await catch_up(world)
    assert (await world.ticket("k")).reminded
    await act(world, "k", "hold", awaited="carrier")
    ticket = await world.ticket("k")
    assert (ticket.awaited, ticket.reminded) == ("carrier", False)
    assert first is not None
    assert ticket.awaited_since is not None
    assert ticket.awaited_since - first >= timedelta(hours=5)


async def test_party_that_does_not_answer_brings_the_ticket_back_and_a_supervisor_takes_it_on(world: World) -> None:
    await given(world, tier="standard")
    await world.tell(
        world.fact(events.TicketMessageAdded, "k", author_role="agent", author_id="ann", visibility="public")
    )
    await act(world, "k", "hold", awaited="warehouse")
    assert await listed(world, "supervisor", "/v1/routing/escalations") == []
    world.clock.jump(hours=8, seconds=1)
    await world.presence("online", "ann")
    await catch_up(world)
    assert await world.state("k") == ("in_progress", "hold_expired")
    (raised,) = await listed(world, "supervisor", "/v1/routing/escalations")
    assert (raised["ticket_id"], raised["escalation"]) == ("k", "notify")
    for _ in range(2):
        out = await post(world, "supervisor", "/v1/routing/tickets/k/acknowledge")
        assert out["acknowledged_by"] == "sue"
    assert await listed(world, "supervisor", "/v1/routing/escalations") == []
    await post(world, "agent", "/v1/routing/tickets/k/acknowledge", 403)


async def test_ladder_moves_a_waiting_ticket_to_the_second_line_where_somebody_takes_it(world: World) -> None:
    await world.hire("bob", skills=("payment",))
    await world.hire("ann", skills=("order",), online=False)
    await world.queue("k", tier="urgent", category="order")
    await world.settle()
    assert (await world.ticket("k")).state == "waiting"  # ann alone has the skill, so she is waited for
    world.clock.jump(minutes=46)
    await world.presence("online", "bob")
    await catch_up(world)
    ticket = await world.ticket("k")
    assert (ticket.queue_id, ticket.missed) == ("second_line", ("first_response",))
    await world.settle()
    assert (await world.ticket("k")).agent_id == "bob"


async def test_widened_ticket_goes_to_a_weaker_agent_when_the_stronger_one_is_away(world: World) -> None:
    await world.hire("ann", online=False)
    await world.hire("bob")
    async with world.client("admin") as client:
        weak = {"name": "Bob", "skills": {"order": 0.1}, "capacity": 1, "seniority": 0.0}
        assert (await client.put("/v1/agents/bob", json=weak)).status_code == 200
    await world.queue("k", tier="urgent", complexity="complex")
    await world.settle()
    assert (await world.ticket("k")).state == "waiting"
    world.clock.jump(minutes=28)
    await world.presence("online", "bob")
    await catch_up(world)
    await world.settle()
    ticket = await world.ticket("k")
    assert (ticket.agent_id, ticket.missed) == ("bob", ())


async def test_assigned_then_silence_returns_the_ticket_to_somebody_else(world: World) -> None:
    await world.hire("ann")
    await world.queue("k", tier="urgent")
    await world.settle()
    await world.hire("bob")
    world.clock.jump(minutes=15, seconds=1)
    await world.presence("online", "ann", "bob")
    await catch_up(world)
    assert await world.state("k") == ("waiting", "agent_silent")
    await world.settle()
    assert (await world.ticket("k")).agent_id == "bob"


async def test_manual_assignment_is_never_overridden_by_the_machine(world: World) -> None:
    await world.hire("ann", "bob")
    await world.queue("k", tier="urgent")
    await world.settle()
    ticket = await world.ticket("k")
    other = "bob" if ticket.agent_id == "ann" else "ann"
    path = "/v1/assignments/k/transfer"
    await post(world, "supervisor", path, fence=ticket.fence, agent_id=other, note="She knows the case")
    fence = (await world.ticket("k")).fence
    world.clock.jump(minutes=29)
    await world.presence("offline", other)
    await catch_up(world)
    await world.settle()
    found = await world.ticket("k")
    assert (found.agent_id, found.fence, found.pinned, found.note) == (other, fence, True, "She knows the case")
    await post(world, "supervisor", path, fence=fence, queue_id="order")
    assert not (await world.ticket("k")).pinned


async def test_returned_work_carries_its_note_to_the_next_agent(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    await act(world, "k", "decline", reason="conflict of interest", note="Customer is my neighbour")
    await world.hire("bob")
    await world.settle()
    ticket = await world.ticket("k")
    assert (ticket.agent_id, ticket.declined_by, ticket.note) == ("bob", ("ann",), "Customer is my neighbour")


async def test_timer_fires_within_a_second_and_survives_a_restart(world: World, replica: World) -> None:
    await world.queue("k", tier="urgent")
    ticket = await world.ticket("k")
    world.clock.jump(seconds=6)
    await catch_up(world)
    ticket = await world.ticket("k")
    expected = ticket.received_at + timedelta(minutes=22.5)
    assert ticket.next_check_at is not None
    assert ticket.next_check_at <= expected
    world.clock.jump(seconds=(expected - world.clock.now()).total_seconds() - 0.2)
    await catch_up(replica)  # the process that queued it is gone; another one finds the time in the row
    assert (await replica.ticket("k")).escalation == 0
    world.clock.jump(seconds=1)
    await catch_up(replica)
    assert (await replica.ticket("k")).escalation == 1
