"""Events in every order and number make one timeline."""

import pytest

from fenliu.chassis.errors import Malformed
from fenliu.contracts.events import (
    AgentChanged,
    TicketCancelRequested,
    TicketConfirmed,
    TicketHelpRequested,
    TicketRated,
    TicketReopenRequested,
    TicketStatusChanged,
)
from services.notifier import store
from services.notifier.domain import Entry, TicketCopy
from tests.component.notifier.lab import START, World, message, received, stamp, status


async def lines(world: World, ticket: str = "k", tenant: str = "acme") -> list[Entry]:
    async with world.db.read() as tx:
        return await store.load_entries(tx, tenant, ticket)


async def copy(world: World, ticket: str = "k") -> TicketCopy:
    async with world.db.read() as tx:
        found = await store.load_ticket(tx, "acme", ticket)
    assert found is not None
    return found


async def test_every_fact_makes_its_line(world: World) -> None:
    at = {"tenant_id": "acme", "ticket_id": "k", "requested_at": stamp(START)}
    await world.handle(
        received(),
        message(2, "answer"),
        message(3, "question", author_role="customer", author_id="c-1"),
        message(4, "machine", author_role="system"),
        message(5, "note", visibility="internal"),
        TicketHelpRequested(sequence=6, **at),
        TicketCancelRequested(sequence=7, **at),
        TicketReopenRequested(sequence=8, **at),
        TicketConfirmed(
            tenant_id="acme", ticket_id="k", sequence=9, confirmed_at=stamp(START), confirmed_by="customer"
        ),
        TicketConfirmed(tenant_id="acme", ticket_id="k", sequence=10, confirmed_at=stamp(START), confirmed_by="event"),
        TicketRated(tenant_id="acme", ticket_id="k", sequence=11, score=5, rated_at=stamp(START)),
    )
    kinds = [entry.kind for entry in await lines(world)]
    assert kinds == [
        "received", "message_agent", "message_customer", "message_system", "help_requested", "cancel_requested",
        "reopen_requested", "confirmed", "settled", "rated",
    ]  # fmt: skip


async def test_everything_handled_again_changes_nothing(world: World) -> None:
    events = [received(), status(1, "waiting"), message(2, "hello"), status(2, "assigned", agent_id="a-1")]
    await world.handle(*events)
    before = [(e.sequence, e.kind) for e in await lines(world)]
    for _ in range(2):
        await world.handle(*events)
    assert [(e.sequence, e.kind) for e in await lines(world)] == before
    assert (await copy(world)).version == 2


async def test_snapshot_that_is_late_never_undoes_a_newer_one(world: World) -> None:
    await world.handle(status(5, "resolved"), status(3, "waiting"), status(4, "assigned"))
    assert ((await copy(world)).state, (await copy(world)).version) == ("resolved", 5)
    assert [e.kind for e in await lines(world)] == ["solved"]


async def test_snapshot_before_the_ticket_was_announced_loses_neither(world: World) -> None:
    await world.handle(status(1, "waiting", customer_id="c-1"), received(order_id="SO-1"))
    held = await copy(world)
    assert (held.state, held.order_id, held.customer_id) == ("waiting", "SO-1", "c-1")
    assert sorted(e.kind for e in await lines(world)) == ["in_line", "received"]


async def test_batch_of_500_tickets_with_several_snapshots_each(world: World) -> None:
    tickets = [f"k-{n:03}" for n in range(125)]
    await world.handle_batch([received(ticket) for ticket in tickets])
    states = ["waiting", "offered", "assigned", "in_progress"]
    await world.handle_batch([status(v, s, t) for v, s in enumerate(states, 1) for t in reversed(tickets)])
    for ticket in (tickets[0], tickets[-1]):
        assert (await copy(world, ticket)).version == 4
        entries = await lines(world, ticket)
        assert [e.kind for e in entries] == ["received", "in_line", "with_agent", "being_handled"]
        assert [e.sequence for e in entries] == sorted({e.sequence for e in entries})


async def test_same_ticket_id_of_two_tenants_are_two_tickets(world: World) -> None:
    await world.handle(received(), received(tenant="other"), message(2, "ours"), message(2, "theirs", tenant="other"))
    assert [e.text for e in await lines(world)] == ["", "ours"]
    assert [e.text for e in await lines(world, tenant="other")] == ["", "theirs"]


async def test_agents_name_is_the_newest(world: World) -> None:
    await world.handle(received(), message(2, "hello"))
    for version, name in ((2, "Newest"), (1, "Older")):
        await world.handle(AgentChanged(tenant_id="acme", agent_id="a-1", version=version, name=name))
    assert (await lines(world))[-1].author == "Newest"


@pytest.mark.parametrize(
    "event",
    [
        received(""),
        received(tenant=""),
        received(received_at=None),
        status(0, "waiting"),
        status(1, ""),
        TicketStatusChanged(tenant_id="acme", ticket_id="k", version=1, state="waiting"),
    ],
)
async def test_event_without_what_it_needs_is_malformed(world: World, event: object) -> None:
    with pytest.raises(Malformed):
        await world.handle(event)


async def test_hostile_strings_are_stored_as_they_are(world: World) -> None:
    hostile = "'; DROP TABLE timeline; -- \u202e \U0001f468\u200d\U0001f469\u200d\U0001f467 " + "e\u0301" * 50
    await world.handle(received("k'); --"), message(2, hostile, "k'); --"))
    assert (await lines(world, "k'); --"))[-1].text == hostile
