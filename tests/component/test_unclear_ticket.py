"""A ticket that began with a greeting, through intake, classifier and router: what the customer adds labels it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from fenliu.chassis.messaging.envelope import Envelope, Received, event_id_of
from fenliu.chassis.migrations import folder_of, upgrade_database
from fenliu.contracts.events import TicketClassified, TicketMessageAdded, TicketReceived
from services.classifier import handlers as classifier
from services.classifier.model.current import CurrentModel
from services.intake.main import build as build_intake
from services.router.domain.ticket import Ticket
from services.router.store import tickets
from tests.component.intake.conftest import Intake, client_of, settings_for
from tests.component.router.lab import World
from tests.component.travel import TravelClock


@dataclass
class Chain:
    """Three services without a broker: whatever intake publishes is labelled, and the router told of both."""

    intake: Intake
    world: World
    model: CurrentModel
    carried: int = 0
    answers: list[TicketClassified] = field(default_factory=list)

    async def carry(self) -> None:
        """Hand what intake has published since the last time to the others, in order."""
        published = await self.intake.published()
        for event in published[self.carried :]:
            if isinstance(event, TicketReceived | TicketMessageAdded):
                await self.world.tell(event)
                await self._label([event])
        self.carried = len(published)

    async def _label(self, events: Sequence[Any]) -> None:
        received = [Received(event, _envelope(event)) for event in events]
        for outgoing in await classifier.on_ticket_inbound(received, label=self.model.label, clock=self.world.clock):
            assert isinstance(outgoing.event, TicketClassified)
            self.answers.append(outgoing.event)
            await self.world.tell(outgoing.event)

    async def write(self, ticket_id: str, text: str) -> None:
        answer = await self.intake.post(f"/v1/tickets/{ticket_id}/messages", {"text": text}, tenant="acme")
        assert answer.status_code == 202, answer.text
        await self.carry()

    async def ticket(self, ticket_id: str) -> Ticket:
        async with self.world.db.read() as tx:
            found = await tickets.load_ticket(tx, "acme", ticket_id)
        assert found is not None
        return found


def _envelope(event: Any) -> Envelope:
    kind = event.DESCRIPTOR.name
    event_id = event_id_of("intake", kind, event.ticket_id, event.sequence)
    at = event.received_at if kind == "TicketReceived" else event.added_at
    return Envelope(event_id, kind, "intake", event.tenant_id, event.ticket_id, at.ToDatetime(UTC))


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    urls = {name: f"sqlite+aiosqlite:///{tmp_path}/{name}.db" for name in ("intake", "router")}
    for name, url in urls.items():
        await upgrade_database(url, folder_of(name))
    clock = TravelClock()
    service = build_intake(settings_for(urls["intake"]), clock)
    assert service.db is not None
    world = World(urls["router"], clock)
    async with client_of(service) as http:
        yield Chain(Intake(service, service.db, clock, http), world, CurrentModel())  # type: ignore[arg-type]
    await service.db.close()
    await world.check()
    await world.db.close()


async def opened(chain: Chain, text: str, **more: Any) -> str:
    ticket_id: str = (await chain.intake.open(text=text, tenant="acme", **more))["ticket_id"]
    await chain.carry()
    return ticket_id


async def test_unclear_ticket_is_labelled_by_the_messages_that_follow(chain: Chain) -> None:
    ticket_id = await opened(chain, "在吗")
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
    ticket_id = await opened(chain, "你好")
    await chain.write(ticket_id, "有人吗")
    assert (await chain.ticket(ticket_id)).queue_id == "triage"
    await chain.write(ticket_id, "发票怎么开")
    assert (await chain.ticket(ticket_id)).queue_id == "invoice"


async def test_second_contact_about_the_same_order_labels_the_unclear_ticket_that_it_joins(chain: Chain) -> None:
    first = await opened(chain, "在吗", order_id="o1")
    second = await opened(chain, "我想把这个订单取消掉", order_id="o1")
    assert first == second
    ticket = await chain.ticket(first)
    assert ticket.labels is not None
    assert (ticket.labels.category, ticket.queue_id, ticket.facts.repeat_contacts) == ("order", "order", 1)


async def test_labelled_ticket_shows_what_later_messages_would_make_of_it_as_a_suggestion(chain: Chain) -> None:
    ticket_id = await opened(chain, "发票怎么开")
    await chain.write(ticket_id, "还有一个订单扣了我两次钱 莫名其妙")
    ticket = await chain.ticket(ticket_id)
    assert ticket.labels is not None
    assert (ticket.labels.category, ticket.queue_id) == ("invoice", "invoice")
    assert ticket.suggestion is not None


async def test_unclear_ticket_that_somebody_owns_keeps_its_labels(chain: Chain) -> None:
    await chain.world.hire("ann")
    ticket_id = await opened(chain, "在吗")
    await chain.world.settle()
    assert (await chain.ticket(ticket_id)).agent_id == "ann"
    await chain.write(ticket_id, "一个订单扣了我两次钱")
    ticket = await chain.ticket(ticket_id)
    assert (ticket.state, ticket.labels and ticket.labels.category) == ("assigned", "unclear")
    assert ticket.suggestion is not None
    assert ticket.suggestion.category == "payment"


async def test_notes_and_replies_of_agents_label_nothing(chain: Chain) -> None:
    ticket_id = await opened(chain, "在吗")
    for visibility in ("internal", "public"):
        body = {"text": "一个订单扣了我两次钱", "visibility": visibility}
        answer = await chain.intake.post(
            f"/v1/tickets/{ticket_id}/messages", body, role="agent", subject="ann", tenant="acme"
        )
        assert answer.status_code == 202
        await chain.carry()
    assert len(chain.answers) == 1
    assert (await chain.ticket(ticket_id)).queue_id == "triage"
