"""What the classifier answers to records of ticket-inbound."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from google.protobuf.message import Message

from fenliu.chassis.errors import Malformed
from fenliu.chassis.messaging.envelope import Envelope, Received
from fenliu.contracts.events import (
    Labels,
    TicketCancelRequested,
    TicketClassified,
    TicketMessageAdded,
    TicketReceived,
)
from services.classifier import handlers, metrics
from services.classifier.domain.label import Prediction
from services.classifier.model.predict import Predictor

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


class StoppedClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def received(event: Message, event_id: str = "e1") -> Received:
    kind = event.DESCRIPTOR.name
    return Received(event, Envelope(event_id, kind, "intake", "acme", event.ticket_id, NOW))  # type: ignore[attr-defined]


def ticket(text: str = "我要退货", **fields: object) -> TicketReceived:
    return TicketReceived(
        tenant_id="acme",
        ticket_id="t1",
        sequence=1,
        text=text,
        customer_id="c1",
        **fields,  # type: ignore[arg-type]
    )


def at_once(predictor: Predictor) -> handlers.Label:
    async def label(texts: Sequence[str]) -> list[Prediction]:
        return predictor.predict(texts)

    return label


async def answers(predictor: Predictor, *items: Received) -> list[TicketClassified]:
    outgoing = await handlers.on_ticket_inbound(items, label=at_once(predictor), clock=StoppedClock())
    return [item.event for item in outgoing if isinstance(item.event, TicketClassified)]


async def test_ticket_received_is_labelled_with_its_facts(predictor: Predictor) -> None:
    (answer,) = await answers(predictor, received(ticket(order_id="o9", yearly_spend_minor=600_000, desk_id="vip")))
    assert (answer.tenant_id, answer.ticket_id, answer.message_sequence) == ("acme", "t1", 1)
    assert (answer.labels.category, answer.labels.tier, answer.labels.language) == ("returns_refunds", "standard", "zh")
    assert (answer.facts.customer_id, answer.facts.order_id, answer.facts.desk_id) == ("c1", "o9", "vip")
    assert answer.facts.yearly_spend_minor == 600_000
    assert answer.model_version == predictor.weights.version
    assert answer.classified_at.ToDatetime(UTC) == NOW
    assert all(one.probability >= handlers.SHOWN_FROM for one in answer.probabilities)


async def test_same_source_event_twice_gives_the_same_event_id(predictor: Predictor) -> None:
    twice = [received(ticket(), "source-1"), received(ticket(), "source-1"), received(ticket(), "source-2")]
    outgoing = await handlers.on_ticket_inbound(twice, label=at_once(predictor), clock=StoppedClock())
    first, second, other = outgoing
    assert (first.event_id, first.event) == (second.event_id, second.event)
    assert other.event_id != first.event_id
    assert (first.key, first.causation_id) == ("t1", "source-1")


async def test_customers_message_is_labelled_from_the_joined_text(predictor: Predictor) -> None:
    added = TicketMessageAdded(
        tenant_id="acme",
        ticket_id="t1",
        sequence=4,
        author_role="customer",
        text="开不了",
        joined_text="在吗\n我的发票怎么开\n开不了",
    )
    (answer,) = await answers(predictor, received(added))
    assert (answer.message_sequence, answer.labels.category) == (4, "invoice")
    assert not answer.HasField("facts")


@pytest.mark.parametrize("role", ["agent", "system"])
async def test_messages_of_others_are_passed_over(predictor: Predictor, role: str) -> None:
    added = TicketMessageAdded(tenant_id="acme", ticket_id="t1", sequence=2, author_role=role, text="退款已办理")
    cancel = TicketCancelRequested(tenant_id="acme", ticket_id="t1", sequence=3)
    assert await answers(predictor, received(added), received(cancel)) == []


async def test_ticket_opened_by_a_fact_keeps_its_labels(predictor: Predictor) -> None:
    labels = Labels(category="logistics", tier="priority", complexity="moderate", sentiment="neutral")
    event = ticket("", origin="event", fact="fact:parcel_lost:SF1", fact_labels=labels)
    (answer,) = await answers(predictor, received(event))
    assert answer.labels == labels
    assert (answer.confidence, answer.needs_review) == (1.0, False)
    assert list(answer.reasons) == [handlers.FACT_REASON]


async def test_ticket_opened_by_an_event_without_labels_is_read(predictor: Predictor) -> None:
    (answer,) = await answers(predictor, received(ticket("快递丢了 一直没更新", origin="event")))
    assert answer.labels.category == "logistics"


async def test_event_without_a_ticket_is_malformed(predictor: Predictor) -> None:
    with pytest.raises(Malformed, match="names no ticket"):
        await answers(predictor, received(TicketReceived(tenant_id="acme", text="退货")))


async def test_labels_are_counted(predictor: Predictor) -> None:
    before = metrics.texts.value(category="invoice", language="zh", origin="ticket")
    await answers(predictor, received(ticket("发票怎么开")))
    assert metrics.texts.value(category="invoice", language="zh", origin="ticket") == before + 1
