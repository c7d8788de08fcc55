"""A ticket that began with a greeting, through intake, classifier and router: what the customer adds labels it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.component.chain import Chain, chained


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with chained(tmp_path) as made:
        yield made


async def test_unclear_ticket_is_labelled_by_the_messages_that_follow(chain: Chain) -> None:
    ticket_id = await chain.opened("在吗")
    ticket = await chain.ticket(ticket_id)
    assert ticket.labels is not None
    assert (ticket.labels.category, ticket.queue_id) == ("unclear", "triage")
    chain.world.clock.jump(minutes=3)
    await chain.write(ticket_id, "一个订单扣了我两次钱")
    ticket = await chain.ticket(ticket_id)
    assert (ticket.labels.category, ticket.labels.tier, ticket.queue_id) == ("payment", "urgent", "payment")  # type: ignore[union-attr]
    assert ticket.first_response_due_at is not None
    assert (ticket.first_response_due_at - ticket.received_at).total_seconds() == 30 * 60, "counted from the greeting"
    assert chain.answers[-1].message_sequence == 2
    assert not chain.answers[-1].HasField("facts")


async def test_unclear_ticket_stays_in_triage_until_something_can_be_acted_on(chain: Chain) -> None:
    ticket_id = await chain.opened("你好")
    await chain.write(ticket_id, "有人吗")
    assert (await chain.ticket(ticket_id)).queue_id == "triage"
    await chain.write(ticket_id, "发票怎么开")
    assert (await chain.ticket(ticket_id)).queue_id == "invoice"


async def test_second_contact_about_the_same_order_labels_the_unclear_ticket_that_it_joins(chain: Chain) -> None:
    first = await chain.opened("在吗", order_id="o1")
    second = await chain.opened("我想把这个订单取消掉", order_id="o1")
    assert first == second
    ticket = await chain.ticket(first)
    assert ticket.labels is not None
    assert (ticket.labels.category, ticket.queue_id, ticket.facts.repeat_contacts) == ("order", "order", 1)


async def test_labelled_ticket_shows_what_later_messages_would_make_of_it_as_a_suggestion(chain: Chain) -> None:
    ticket_id = await chain.opened("发票怎么开")
    await chain.write(ticket_id, "还有一个订单扣了我两次钱 莫名其妙")
    ticket = await chain.ticket(ticket_id)
    assert ticket.labels is not None
    assert (ticket.labels.category, ticket.queue_id) == ("invoice", "invoice")
    assert ticket.suggestion is not None


async def test_unclear_ticket_that_somebody_owns_keeps_its_labels(chain: Chain) -> None:
    await chain.world.hire("ann")
    ticket_id = await chain.opened("在吗")
    await chain.world.settle()
    assert (await chain.ticket(ticket_id)).agent_id == "ann"
    await chain.write(ticket_id, "一个订单扣了我两次钱")
    ticket = await chain.ticket(ticket_id)
    assert (ticket.state, ticket.labels and ticket.labels.category) == ("assigned", "unclear")
    assert ticket.suggestion is not None
    assert ticket.suggestion.category == "payment"


async def test_notes_and_replies_of_agents_label_nothing(chain: Chain) -> None:
    ticket_id = await chain.opened("在吗")
    for visibility in ("internal", "public"):
        body = {"text": "一个订单扣了我两次钱", "visibility": visibility}
        answer = await chain.intake.post(
            f"/v1/tickets/{ticket_id}/messages", body, role="agent", subject="ann", tenant="acme"
        )
        assert answer.status_code == 202
        await chain.carry()
    assert len(chain.answers) == 1
    assert (await chain.ticket(ticket_id)).queue_id == "triage"
