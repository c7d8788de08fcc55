"""Labels by people: PUT /v1/routing/tickets/{id}/labels, and what the classifier may still change afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fenliu.contracts import events
from services.router import metrics
from services.router.domain.ticket import Ticket
from tests.component.router.lab import World


async def put(world: World, ticket_id: str, *roles: str, tenant: str = "acme", **body: Any) -> httpx2.Response:
    async with world.client(*(roles or ("supervisor",)), subject="sue", tenant=tenant) as client:
        return await client.put(f"/v1/routing/tickets/{ticket_id}/labels", json=body)


def promised_min(ticket: Ticket) -> float:
    """Minutes from the receipt to the first response's due time."""
    assert ticket.first_response_due_at is not None
    return (ticket.first_response_due_at - ticket.received_at) / timedelta(minutes=1)


async def test_correction_of_a_waiting_ticket_moves_it_to_the_queue_and_times_of_its_labels(world: World) -> None:
    event = world.classified("k", category="order", tier="standard", complexity="complex", intent="cancel_order")
    event.model_version = "m1"
    await world.tell(world.received("k"), event)
    assert promised_min(await world.ticket("k")) == 240
    counted = metrics.corrections.value(label="complexity", before="complex", after="simple")
    answer = await put(world, "k", category="payment", tier="urgent", complexity="simple", reason="charged twice")
    assert answer.status_code == 200, answer.text
    assert answer.json()["labels"]["category"] == "payment"
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.queue_id, ticket.version, ticket.predicted_min) == ("waiting", "payment", 3, 4)
    assert promised_min(ticket) == 30, "counted from the receipt, not from the correction"
    assert metrics.corrections.value(label="complexity", before="complex", after="simple") == counted + 1
    (told,) = await world.published("TicketRelabelled", "k")
    assert (told.tenant_id, told.version, told.corrected_by, told.corrected_by_role) == ("acme", 3, "sue", "supervisor")
    assert (told.reason, told.model_version) == ("charged twice", "m1")
    before, after = told.labels_before, told.labels_after
    assert (before.category, before.tier, before.complexity, before.intent) == (
        "order",
        "standard",
        "complex",
        "cancel_order",
    )
    assert (after.category, after.tier, after.complexity, after.intent) == ("payment", "urgent", "simple", "")
    snapshots = await world.published("TicketStatusChanged", "k")
    assert [s.labels.category for s in snapshots] == ["order", "payment"]


async def test_correction_by_a_person_wins_over_later_classifications(world: World) -> None:
    await world.queue("k", category="unclear")
    assert (await put(world, "k", "agent", category="unclear", tier="priority")).status_code == 200
    await world.tell(world.classified("k", 5, category="payment", tier="urgent"))
    ticket = await world.ticket("k")
    assert ticket.labels is not None
    assert (ticket.labels.category, ticket.labels.tier, ticket.queue_id) == ("unclear", "priority", "triage")
    assert ticket.suggestion is not None
    assert ticket.suggestion.category == "payment"


async def test_correction_of_a_ticket_before_the_classifier_spoke_queues_it_and_stands(world: World) -> None:
    await world.tell(world.received("k"))
    assert (await put(world, "k", category="logistics", tier="urgent", complexity="simple")).status_code == 200
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.queue_id, promised_min(ticket)) == ("waiting", "logistics", 30)
    await world.tell(world.classified("k", category="order"))
    assert (await world.ticket("k")).queue_id == "logistics"
    (told,) = await world.published("TicketRelabelled", "k")
    assert (told.HasField("labels_before"), told.labels_after.category) == (False, "logistics")


async def test_correction_of_the_tier_alone_of_an_unlabelled_ticket_leaves_the_queue_to_triage(world: World) -> None:
    await world.tell(world.received("k"))
    await put(world, "k", tier="priority")
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.queue_id, promised_min(ticket)) == ("waiting", "triage", 120)


async def test_confirmation_takes_a_ticket_out_of_triage_and_is_published(world: World) -> None:
    await world.tell(world.received("k"), world.classified("k", category="order", needs_review=True))
    confirmed = metrics.confirmations.value()
    assert (await put(world, "k", category="order")).status_code == 200
    assert (await world.ticket("k")).queue_id == "order"
    assert metrics.confirmations.value() == confirmed + 1
    (told,) = await world.published("TicketRelabelled", "k")
    assert told.labels_before == told.labels_after


async def test_correction_twice_changes_and_publishes_once(world: World) -> None:
    await world.queue("k")
    first = await put(world, "k", tier="urgent")
    second = await put(world, "k", tier="urgent")
    assert first.json() == second.json()
    assert len(await world.published("TicketRelabelled", "k")) == 1


async def test_correction_leaves_a_ticket_in_the_queue_to_which_a_person_moved_it(world: World) -> None:
    await world.queue("k", category="order")
    fence = (await world.ticket("k")).fence
    async with world.client("supervisor") as client:
        moved = await client.post("/v1/assignments/k/transfer", json={"fence": fence, "queue_id": "complaint"})
    assert moved.status_code == 200, moved.text
    await put(world, "k", complexity="moderate")
    assert (await world.ticket("k")).queue_id == "complaint"
    await put(world, "k", category="invoice")
    assert (await world.ticket("k")).queue_id == "invoice"


async def test_correction_of_owned_work_keeps_owner_and_queue_and_moves_the_due_times(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    before = await world.ticket("k")
    assert (await put(world, "k", "agent", category="payment", tier="urgent")).status_code == 200
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.agent_id, ticket.queue_id) == ("assigned", "ann", "order")
    assert (ticket.fence, promised_min(ticket)) == (before.fence, 30)
    assert ticket.next_check_at <= ticket.first_response_due_at


async def test_correction_to_a_slower_tier_lifts_a_breach_that_is_none_any_more(world: World) -> None:
    await world.queue("k", tier="urgent")
    world.clock.jump(minutes=31)
    while await world.due.step():
        pass
    assert (await world.ticket("k")).missed == ("first_response",)
    await put(world, "k", tier="standard")
    ticket = await world.ticket("k")
    assert (ticket.missed, ticket.escalation, promised_min(ticket)) == ((), 0, 240)


async def test_correction_of_a_resolved_ticket_is_feedback_and_moves_nothing(world: World) -> None:
    await world.hire("ann")
    await world.queue("k")
    await world.settle()
    await world.tell(world.fact(events.TicketConfirmed, "k", confirmed_by="customer"))
    before = await world.ticket("k")
    assert (await put(world, "k", complexity="complex")).status_code == 200
    after = await world.ticket("k")
    assert (after.state, after.resolution_due_at, after.next_check_at) == (
        "resolved",
        before.resolution_due_at,
        before.next_check_at,
    )
    assert len(await world.published("TicketRelabelled", "k")) == 1


async def test_correction_of_what_is_over_or_has_changed_is_refused(world: World) -> None:
    await world.queue("k", "gone")
    await world.tell(world.fact(events.TicketCancelRequested, "gone"))
    over = await put(world, "gone", tier="urgent")
    assert (over.status_code, over.json()["type"].rsplit("/")[-1]) == (409, "ticket-over")
    stale = await put(world, "k", tier="urgent", version=1)
    assert (stale.status_code, stale.json()["type"].rsplit("/")[-1]) == (409, "stale-version")
    assert stale.json()["current"]["version"] == 2
    assert (await world.ticket("k")).version == 2
    assert (await put(world, "k", tier="urgent", version=2)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"reason": "why not"}, {"tier": "soon"}, {"category": ""}, {"sentiment": "negative"}, {"tier": None}],
)
async def test_correction_without_a_known_label_is_refused(world: World, body: dict[str, Any]) -> None:
    await world.queue("k")
    answer = await put(world, "k", **body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await world.ticket("k")).version == 2


async def test_correction_of_another_tenants_ticket_finds_none_and_needs_the_role(world: World) -> None:
    await world.queue("k")
    foreign, missing = await put(world, "k", tenant="other", tier="urgent"), await put(world, "nix", tier="urgent")
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json()["type"] == missing.json()["type"]
    for role in ("storefront", "customer", "integration"):
        assert (await put(world, "k", role, tier="urgent")).status_code == 403
    assert (await put(world, "k", "admin", tier="urgent")).status_code == 200
    (told,) = await world.published("TicketRelabelled", "k")
    assert told.corrected_by_role == "admin"


@pytest.mark.parametrize(("tier", "minutes"), [("urgent", 30), ("priority", 120), ("standard", 240)])
async def test_needs_review_goes_to_triage_with_the_service_level_of_its_labels(
    world: World, tier: str, minutes: int
) -> None:
    counted = metrics.triaged.value(reason="needs_review")
    received = world.received("k")
    world.clock.jump(minutes=2)
    await world.tell(received, world.classified("k", category="payment", tier=tier, needs_review=True))
    ticket = await world.ticket("k")
    assert (ticket.state, ticket.queue_id) == ("waiting", "triage")
    assert promised_min(ticket) == minutes
    assert metrics.triaged.value(reason="needs_review") == counted + 1


async def test_not_labelled_in_time_goes_to_triage_counts_and_takes_the_labels_that_come_late(world: World) -> None:
    counted = metrics.triaged.value(reason="not_labelled")
    await world.tell(world.received("k"))
    world.clock.jump(seconds=31)
    await world.due.step()
    ticket = await world.ticket("k")
    assert (ticket.queue_id, promised_min(ticket)) == ("triage", 240)
    assert metrics.triaged.value(reason="not_labelled") == counted + 1
    await world.tell(world.classified("k", category="payment", tier="urgent"))
    ticket = await world.ticket("k")
    assert (ticket.queue_id, promised_min(ticket)) == ("payment", 30)
