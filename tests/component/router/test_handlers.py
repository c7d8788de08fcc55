"""What customers, the classifier and agents' replies do to a ticket, in whatever order it arrives."""

from __future__ import annotations

from itertools import permutations

import pytest

from fenliu.contracts import events
from tests.component.router.lab import World


async def test_ticket_received_waits_for_its_labels_and_is_not_announced(world: World) -> None:
    await world.tell(world.received("k"))
    assert await world.state("k") == ("received", "received")
    assert await world.published("TicketStatusChanged", "k") == []


async def test_ticket_classified_is_queued_with_due_times_and_published(world: World) -> None:
    await world.queue("k", category="logistics", tier="urgent")
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.queue_id, ticket.version) == ("waiting", "logistics", 2)
    assert ticket.first_response_due_at is not None
    assert (ticket.first_response_due_at - ticket.received_at).total_seconds() == 30 * 60
    (snapshot,) = await world.published("TicketStatusChanged", "k")
    assert (snapshot.state, snapshot.version, snapshot.labels.tier) == ("waiting", 2, "urgent")


async def test_classification_first_makes_the_ticket_and_the_announcement_adds_the_facts(world: World) -> None:
    await world.tell(world.classified("k"), world.received("k", parcel_id="SF1"))
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.facts.parcel_id, ticket.announced) == ("waiting", "SF1", True)
    assert len(await world.published("TicketStatusChanged", "k")) == 1


async def test_ticket_announced_again_is_answered_with_the_present_state(world: World) -> None:
    await world.queue("k")
    await world.tell(world.received("k"))
    snapshots = await world.published("TicketStatusChanged", "k")
    assert [(s.version, s.repeated) for s in snapshots] == [(2, False), (2, True)]
    assert (await world.ticket("k")).version == 2


async def test_cancel_that_overtakes_the_classification_is_honoured(world: World) -> None:
    await world.hire("ann")
    cancel = world.fact(events.TicketCancelRequested, "k")
    await world.tell(world.received("k"), cancel, world.classified("k"))
    await world.settle()
    assert await world.state("k") == ("cancelled", "cancel_requested")


async def test_received_classified_cancel_in_any_order_ends_cancelled(world: World) -> None:
    await world.hire("ann", capacity=20)
    for number, order in enumerate(permutations(range(3))):
        ticket_id = f"k{number}"
        told = [
            world.received(ticket_id),
            world.classified(ticket_id),
            world.fact(events.TicketCancelRequested, ticket_id),
        ]
        for index in order:
            await world.tell(told[index])
            await world.settle()
        assert (await world.ticket(ticket_id)).state == "cancelled"


async def test_cancel_of_assigned_ticket_frees_the_agent(world: World) -> None:
    await world.hire("ann", capacity=1)
    await world.queue("k1", "k2")
    await world.settle()
    await world.tell(world.fact(events.TicketCancelRequested, "k1"))
    await world.settle()
    assert (await world.ticket("k1")).state == "cancelled"
    assert (await world.ticket("k2")).state == "assigned"


async def test_labels_again_apply_while_unclear_and_are_suggestions_afterwards(world: World) -> None:
    await world.queue("k", category="unclear")
    assert (await world.ticket("k")).queue_id == "triage"
    await world.tell(world.classified("k", 3, category="payment", tier="urgent"))
    ticket = await world.ticket("k")
    assert (ticket.queue_id, ticket.labels and ticket.labels.category) == ("payment", "payment")
    await world.tell(world.classified("k", 4, category="invoice"))
    ticket = await world.ticket("k")
    assert (ticket.queue_id, ticket.suggestion and ticket.suggestion.category) == ("payment", "invoice")


async def test_labels_older_than_those_in_force_are_dropped(world: World) -> None:
    await world.tell(world.received("k"), world.classified("k", 3, category="unclear"))
    await world.tell(world.classified("k", 2, category="payment"))
    assert (await world.ticket("k")).queue_id == "triage"


async def test_labels_in_triage_that_somebody_owns_are_a_suggestion(world: World) -> None:
    await world.hire("ann")
    await world.queue("k", category="unclear")
    await world.settle()
    await world.tell(world.classified("k", 2, category="payment"))
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.queue_id) == ("assigned", "triage")
    assert ticket.suggestion is not None


async def test_needs_review_goes_to_triage(world: World) -> None:
    await world.tell(world.received("k"), world.classified("k", needs_review=True))
    assert (await world.ticket("k")).queue_id == "triage"


async def test_public_reply_of_the_owner_starts_work_and_stops_the_first_response_clock(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    await world.tell(_message(world, "k", role="agent", author="ann", visibility="internal"))
    assert (await world.ticket("k")).first_responded_at is None
    await world.tell(_message(world, "k", role="agent", author="ann"))
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.reason) == ("in_progress", "replied")
    assert ticket.first_responded_at is not None


async def test_customers_message_ends_a_hold_that_waits_for_them(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    await _act(world, "k", "hold", awaited="customer")
    await world.tell(_message(world, "k", role="customer", author="c-1"))
    assert await world.state("k") == ("in_progress", "customer_answered")


async def test_reopen_returns_a_resolved_ticket_to_its_queue_and_nothing_else(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    await world.tell(world.fact(events.TicketReopenRequested, "k"))
    assert (await world.ticket("k")).state == "assigned"
    await _act(world, "k", "resolve")
    await world.tell(world.fact(events.TicketReopenRequested, "k"))
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.reopen_count, ticket.queue_id, ticket.agent_id) == ("waiting", 1, "order", "")


@pytest.mark.parametrize(("by", "state"), [("event", "in_progress"), ("customer", "resolved")])
async def test_confirmation_by_an_event_settles_untouched_work_only(world: World, by: str, state: str) -> None:
    await world.hire("ann", capacity=5)
    await world.queue("started", "untouched")
    await world.settle()
    await _act(world, "started", "start")
    for ticket_id in ("started", "untouched"):
        await world.tell(world.fact(events.TicketConfirmed, ticket_id, confirmed_by=by))
    assert (await world.ticket("untouched")).state == "resolved"
    assert (await world.ticket("started")).state == state


async def test_help_request_queues_a_ticket_that_has_no_labels_yet(world: World) -> None:
    await world.tell(world.received("k"), world.fact(events.TicketHelpRequested, "k"))
    assert await world.state("k") == ("waiting", "help_requested")
    assert (await world.ticket("k")).queue_id == "triage"


async def test_rating_is_kept_and_changes_no_state(world: World) -> None:
    await world.queue("k")
    await world.tell(world.fact(events.TicketRated, "k", score=2))
    ticket = await world.ticket("k")
    assert (ticket.rating, ticket.version) == (2, 2)


async def test_requests_without_effect_are_answered_with_the_present_state(world: World) -> None:
    await world.queue("k")
    await world.tell(world.fact(events.TicketCancelRequested, "k"), world.fact(events.TicketCancelRequested, "k"))
    snapshots = await world.published("TicketStatusChanged", "k")
    assert [(s.state, s.repeated) for s in snapshots] == [("waiting", False), ("cancelled", False), ("cancelled", True)]


def _message(
    world: World, ticket_id: str, *, role: str, author: str, visibility: str = "public"
) -> events.TicketMessageAdded:
    event: events.TicketMessageAdded = world.fact(
        events.TicketMessageAdded, ticket_id, message_id="m", author_role=role, author_id=author, visibility=visibility
    )
    event.added_at.FromDatetime(world.clock.now())
    return event


async def _act(world: World, ticket_id: str, action: str, **fields: object) -> None:
    ticket = await world.ticket(ticket_id)
    async with world.client("agent", subject=ticket.agent_id) as client:
        answer = await client.post(f"/v1/assignments/{ticket_id}/{action}", json={"fence": ticket.fence, **fields})
    assert answer.status_code == 200, answer.text
