"""Dispatchers against the real store: one owner, never over capacity, whoever races."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from fenliu.chassis.db import Database
from fenliu.chassis.notices import Notices
from fenliu.chassis.worker import Loop
from fenliu.contracts import events
from services.router.domain.engine import Decision
from services.router.domain.policies import POLICIES
from services.router.domain.queues import Queue
from services.router.domain.transitions import Change, apply
from services.router.store import decisions, dispatch, tickets
from services.router.store import queues as queue_store
from services.router.tables import desks
from services.router.tables import tickets as tickets_table
from services.router.workers.dispatcher import DispatcherLoop
from services.router.workers.mirror import Mirror
from tests.component.router.lab import TENANT, World


async def test_waiting_ticket_is_assigned_with_fence_history_and_snapshot(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.agent_id, ticket.agent_name, ticket.fence) == ("assigned", "ann", "Ann", 1)
    snapshots = await world.published("TicketStatusChanged", "k")
    assert [(s.state, s.version, s.fence, s.agent_name) for s in snapshots] == [
        ("waiting", 2, 0, ""),
        ("assigned", 3, 1, "Ann"),
    ]


async def test_capacity_that_becomes_free_takes_the_next_ticket(world: World) -> None:
    await world.hire("ann", capacity=1)
    await world.queue("k1", "k2")
    await world.settle()
    owned, other = ("k1", "k2") if (await world.ticket("k1")).state == "assigned" else ("k2", "k1")
    assert (await world.ticket(other)).state == "waiting"
    async with world.client("agent", subject="ann") as client:
        answer = await client.post(f"/v1/assignments/{owned}/resolve", json={"fence": 1})
    assert answer.status_code == 200
    await world.settle()
    assert (await world.ticket(other)).state == "assigned"


@pytest.mark.postgres
@pytest.mark.parametrize("prepared_database", ["postgres"], indirect=True)
async def test_capacity_freed_through_another_process_is_filled_without_waiting_for_a_poll(
    world: World, replica: World
) -> None:
    await world.hire("ann", capacity=1)
    await world.queue("k1", "k2")
    stop = asyncio.Event()
    loops: list[Loop] = []
    async with asyncio.TaskGroup() as group:
        for process in (world, replica):
            dispatching = DispatcherLoop(process.dispatcher, every_s=3600)
            notices = Notices(process.db, "test_desks", dispatching.heard)
            dispatching.elsewhere = notices.send
            process.news.wake_desks = dispatching.notice
            for loop in (dispatching, notices):
                group.create_task(loop.run(stop))
                await asyncio.wait_for(loop.stepped.wait(), 10)
            loops += [dispatching, notices]
        owned, other = ("k1", "k2") if (await world.ticket("k1")).state == "assigned" else ("k2", "k1")
        async with replica.client("agent", subject="ann") as client:
            assert (await client.post(f"/v1/assignments/{owned}/resolve", json={"fence": 1})).status_code == 200
        serving = loops[0]
        while True:
            serving.stepped.clear()
            if (await world.ticket(other)).state == "assigned":
                break
            await asyncio.wait_for(serving.stepped.wait(), 10)  # else only the poll, an hour from now, would find it
        stop.set()
    assert (await world.ticket(other)).agent_id == "ann"


async def test_agent_who_comes_online_takes_what_waits(world: World) -> None:
    await world.hire("ann", online=False)
    await world.queue("k")
    await world.settle()
    assert (await world.ticket("k")).state == "waiting"
    await world.presence("online", "ann")
    await world.settle()
    assert (await world.ticket("k")).state == "assigned"


async def test_two_dispatchers_on_one_desk_never_assign_twice(world: World, replica: World) -> None:
    """Both believe that they hold the desk; the second took the lease while the first was stopped."""
    await world.hire("ann", "bob", "cid", capacity=7)
    await world.settle()
    await world.queue(*[f"k{n:02}" for n in range(25)])
    await world.dispatcher._take_in()
    await _expire(world.db)
    await replica.dispatcher.step()
    mirror = world.dispatcher.mirrors[(TENANT, "main")]
    assert await world.dispatcher._serve(mirror) == 0, "the stopped one has lost the desk and writes nothing"
    assert (TENANT, "main") not in world.dispatcher.mirrors
    await replica.settle()


async def test_marks_read_by_a_dispatcher_that_lost_the_desk_stay_for_its_successor(
    world: World, replica: World
) -> None:
    await world.hire("ann")
    await world.settle()
    await _expire(world.db)
    await replica.dispatcher.step()
    await world.queue("k")
    seen = await world.dispatcher._take_in()
    assert [ticket.ticket_id for ticket in seen[0]] == ["k"]
    await world.dispatcher._clear(*seen)
    await replica.settle()
    assert (await world.ticket("k")).state == "assigned"


async def test_two_dispatchers_that_both_pass_the_lease_check_never_assign_twice(world: World, replica: World) -> None:
    """Even without the lease the writes alone keep one owner: tickets and agents are locked and looked at again."""
    await world.hire("ann", "bob", "cid", capacity=5)
    await world.queue(*[f"k{n:02}" for n in range(25)])
    for each in (world, replica):
        await each.dispatcher._keep_leases()
        await each.dispatcher._take_in()
        await _expire(world.db)
    fence = replica.dispatcher.mirrors[(TENANT, "main")].fence
    world.dispatcher.holder = replica.dispatcher.holder
    mirrors = [each.dispatcher.mirrors[(TENANT, "main")] for each in (world, replica)]
    for mirror in mirrors:
        mirror.fence = fence
    given = await asyncio.gather(world.dispatcher._serve(mirrors[0]), replica.dispatcher._serve(mirrors[1]))
    assert sum(given) == 15
    states = [(await world.ticket(f"k{n:02}")).state for n in range(25)]
    assert states.count("assigned") == 15


async def test_decision_on_an_agent_who_left_meanwhile_is_dropped(world: World) -> None:
    await world.hire("ann")
    await world.settle()
    await world.queue("k")
    await world.dispatcher._take_in()
    await world.presence("away", "ann")
    assert await world.dispatcher._serve(world.dispatcher.mirrors[(TENANT, "main")]) == 0
    assert (await world.ticket("k")).state == "waiting"
    await world.presence("online", "ann")
    await world.settle()
    assert (await world.ticket("k")).state == "assigned"


async def test_decision_on_a_ticket_that_changed_meanwhile_is_dropped_and_made_anew(world: World) -> None:
    await world.hire("ann", skills=("order", "payment"))
    await world.settle()
    await world.queue("k", category="unclear")
    await world.dispatcher._take_in()
    await world.tell(world.classified("k", 2, category="payment"))
    assert await world.dispatcher._serve(world.dispatcher.mirrors[(TENANT, "main")]) == 0
    await world.settle()
    assert (await world.ticket("k")).queue_id == "payment"
    assert (await world.ticket("k")).state == "assigned"


async def test_lowered_capacity_is_respected_by_a_plan_made_before(world: World) -> None:
    await world.hire("ann", capacity=5)
    await world.settle()
    await world.queue("k1", "k2", "k3")
    await world.dispatcher._take_in()
    await world.hire("ann", capacity=1, online=False)
    await world.dispatcher._serve(world.dispatcher.mirrors[(TENANT, "main")])
    await world.settle()
    states = sorted([(await world.ticket(k)).state for k in ("k1", "k2", "k3")])
    assert states == ["assigned", "waiting", "waiting"]


async def test_place_that_a_supervisor_gave_away_meanwhile_is_not_given_twice(world: World) -> None:
    await world.hire("ann", capacity=1)
    await world.settle()
    await world.queue("k1", "k2")
    await world.dispatcher._take_in()
    async with world.client("supervisor") as client:
        given = await client.post("/v1/assignments/k2/transfer", json={"fence": 0, "agent_id": "ann"})
    assert given.status_code == 200
    # k1 is due first, so the plan made before is to give her k1
    assert await world.dispatcher._serve(world.dispatcher.mirrors[(TENANT, "main")]) == 0
    assert (await world.ticket("k1")).state == "waiting"


async def test_ticket_that_is_being_assigned_cannot_be_cancelled_at_the_same_time(world: World, replica: World) -> None:
    await world.queue("k")
    async with world.db.begin() as tx:
        assert await dispatch.lock_waiting(tx, {"k": 2}) == {"k"}
        cancelling = asyncio.create_task(replica.tell(replica.fact(events.TicketCancelRequested, "k")))
        done, _ = await asyncio.wait({cancelling}, timeout=0.3)
        assert not done, "the cancel must wait for the assignment's transaction"
    await cancelling
    assert (await world.ticket("k")).state == "cancelled"


async def test_lease_is_taken_over_when_it_runs_out_and_not_before(world: World, replica: World) -> None:
    await world.hire("ann")
    await world.dispatcher.step()
    await replica.dispatcher.step()
    assert not replica.dispatcher.mirrors
    await _expire(world.db)
    await replica.dispatcher.step()
    assert replica.dispatcher.mirrors[(TENANT, "main")].fence == 2


async def test_released_lease_is_free_at_once(world: World, replica: World) -> None:
    await world.hire("ann")
    await world.dispatcher.step()
    await world.dispatcher.release()
    await replica.dispatcher.step()
    assert replica.dispatcher.mirrors


async def test_queue_in_mode_offer_offers_and_other_tenants_queues_stay(world: World) -> None:
    await world.hire("ann")
    async with world.db.begin() as tx:
        await queue_store.upsert_queue(tx, TENANT, Queue("order", "Orders", skill="order", mode="offer"))
        await queue_store.upsert_queue(tx, "other", Queue("order", "Orders", skill="payment"))
    await world.queue("k")
    await world.settle()
    assert (await world.ticket("k")).state == "offered"


async def test_assignment_keeps_its_grounds_under_the_queues_policy(world: World) -> None:
    await world.hire("ann")
    await world.hire("bob")
    async with world.db.begin() as tx:
        await queue_store.upsert_queue(tx, TENANT, Queue("order", "Orders", skill="order", policy="fenliu"))
    await world.queue("k")
    await world.settle()
    ticket = await world.ticket("k")
    async with world.db.read() as tx:
        grounds = await decisions.load_decisions(tx, "k")
    assert [(one.version, one.policy) for one in grounds] == [(ticket.version, f"fenliu/{POLICIES['fenliu'].version}")]
    assert sorted(one.agent_id for one in grounds[0].candidates) == ["ann", "bob"]
    assert grounds[0].candidates[0].agent_id == ticket.agent_id
    assert "delay_cost_saved" in dict(grounds[0].candidates[0].parts)


async def test_dirty_marks_are_gone_when_nothing_changes_any_more(world: World) -> None:
    await world.hire("ann", capacity=1)
    await world.queue("k1", "k2", "k3")
    await world.settle()
    await world.dispatcher.step()
    async with world.db.read() as tx:
        held = list(world.dispatcher.mirrors)
        assert await dispatch.load_dirty_tickets(tx, held, 10) == []
        assert await dispatch.load_dirty_agents(tx, held, 10) == []


async def test_change_that_the_dispatcher_has_not_read_stays_marked_when_another_follows(world: World) -> None:
    await world.queue("k")
    await world.hire("ann", online=False)
    await world.settle()  # nobody is there: the dispatcher knows that it waits
    for action, who in (("assign", "supervisor"), ("note", "clock")):
        change = apply(await world.ticket("k"), action, who, world.clock.now(), agent_id="ann", agent_name="Ann")
        async with world.db.begin() as tx:
            await tickets.record(tx, [change])
    async with world.db.read() as tx:
        assert [one.state for one in await dispatch.load_dirty_tickets(tx, list(world.dispatcher.mirrors), 10)] == [
            "assigned"
        ]


async def test_place_that_a_lost_decision_leaves_goes_to_the_next_ticket(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.queue("k1", "k2")
    await world.settle()
    await world.hire("ann", capacity=1)
    carry_out = world.dispatcher._carry_out

    async def after_somebody_else(mirror: Mirror, decisions: Sequence[Decision]) -> list[Change]:
        monkeypatch.undo()
        lost = await world.ticket(decisions[0].ticket_id)
        async with world.db.begin() as tx:
            await tickets.record(tx, [apply(lost, "cancel", "customer", world.clock.now())])
            await tx.execute(update(tickets_table).values(dirty=False))
        return await carry_out(mirror, decisions)

    monkeypatch.setattr(world.dispatcher, "_carry_out", after_somebody_else)
    await world.dispatcher.step()
    await world.dispatcher.step()
    assert sorted([(await world.state("k1"))[0], (await world.state("k2"))[0]]) == ["assigned", "cancelled"]


async def test_ticket_changed_twice_from_one_version_is_impossible(world: World) -> None:
    """The wall behind all locks: a second change from the same version meets the history's key."""
    await world.queue("k")
    ticket = await world.ticket("k")
    first = apply(ticket, "cancel", "customer", world.clock.now())
    second = apply(ticket, "note", "clock", world.clock.now())
    async with world.db.begin() as tx:
        await tickets.record(tx, [first])
    with pytest.raises(IntegrityError, match="ticket_history"):
        async with world.db.begin() as tx:
            await tickets.record(tx, [second])


async def _expire(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute(update(desks).values(expires_s=0.0))
