"""What the classifier does with records of ticket-inbound: reads texts, answers with labels. It keeps nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fenliu.chassis.clock import Clock
from fenliu.chassis.errors import Malformed
from fenliu.chassis.messaging.envelope import Outgoing, Received, event_id_of
from fenliu.contracts.events import (
    Labels,
    Probability,
    TicketClassified,
    TicketFacts,
    TicketMessageAdded,
    TicketReceived,
)
from services.classifier import metrics
from services.classifier.domain.label import Prediction

Label = Callable[[Sequence[str]], Awaitable[list[Prediction]]]
"""Labels for any number of texts, in order and all of one model version; does not block the event loop."""

SHOWN_FROM = 0.01
"""Probabilities below this are left out of the event."""

FACT_REASON = "opened by an order or logistics fact / 由订单或物流事件触发"


async def on_ticket_inbound(received: Sequence[Received], *, label: Label, clock: Clock) -> list[Outgoing]:
    """Label new tickets, and tickets to which a customer wrote again. Messages of others are passed over.

    A ticket that facts opened keeps the labels that the facts imply. The answer's id follows from the source event's,
    so that reading a record again repeats the answer instead of adding one. All texts of one call get their labels
    from one model version.
    Raises Malformed where an event names no ticket (dead letter).
    """
    wanted = [item for item in received if _is_to_be_labelled(item)]
    to_read = [item for item in wanted if not _has_fact_labels(item.event)]
    predictions = await label([_text_of(item.event) for item in to_read])
    found = {id(item): prediction for item, prediction in zip(to_read, predictions, strict=True)}
    return [_answer(item, found.get(id(item)), clock) for item in wanted]


def _is_to_be_labelled(item: Received) -> bool:
    event = item.event
    if not isinstance(event, TicketReceived | TicketMessageAdded):
        return False
    if not event.ticket_id:
        raise Malformed(f"{item.envelope.event_type} names no ticket, so its labels would belong to nothing.")
    return isinstance(event, TicketReceived) or event.author_role == "customer"


def _has_fact_labels(event: object) -> bool:
    return isinstance(event, TicketReceived) and event.origin == "event" and bool(event.fact_labels.category)


def _text_of(event: object) -> str:
    if isinstance(event, TicketMessageAdded):
        return event.joined_text or event.text
    return event.text if isinstance(event, TicketReceived) else ""


def _answer(item: Received, prediction: Prediction | None, clock: Clock) -> Outgoing:
    event = item.event
    assert isinstance(event, TicketReceived | TicketMessageAdded)
    answer = TicketClassified(tenant_id=event.tenant_id, ticket_id=event.ticket_id, message_sequence=event.sequence)
    if prediction is None:
        answer.labels.CopyFrom(event.fact_labels)  # type: ignore[union-attr]
        answer.confidence = 1.0
        answer.reasons.append(FACT_REASON)
        metrics.texts.inc(category=answer.labels.category, language=answer.labels.language or "none", origin="fact")
    else:
        _fill(answer, prediction)
        metrics.observe(prediction, "ticket" if isinstance(event, TicketReceived) else "message")
    if isinstance(event, TicketReceived):
        answer.facts.CopyFrom(_facts_of(event))
    answer.classified_at.FromDatetime(clock.now())
    return Outgoing(
        answer,
        key=event.ticket_id,
        event_id=event_id_of("classifier", "TicketClassified", item.envelope.event_id, event.sequence),
        causation_id=item.envelope.event_id,
    )


def _fill(answer: TicketClassified, prediction: Prediction) -> None:
    answer.labels.CopyFrom(
        Labels(
            category=prediction.category,
            tier=prediction.tier,
            complexity=prediction.complexity,
            sentiment=prediction.sentiment,
            intent=prediction.intent,
            language=prediction.language,
        )
    )
    for label, slugs in prediction.probabilities.items():
        for slug, probability in sorted(slugs.items(), key=lambda pair: -pair[1]):
            if probability >= SHOWN_FROM:
                answer.probabilities.append(Probability(label=label, slug=slug, probability=round(probability, 4)))
    answer.confidence = round(prediction.confidence, 4)
    answer.needs_review = prediction.needs_review
    answer.reasons.extend(prediction.reasons)
    answer.model_version = prediction.model_version


def _facts_of(event: TicketReceived) -> TicketFacts:
    return TicketFacts(
        customer_id=event.customer_id,
        channel=event.channel,
        language_hint=event.language_hint,
        order_id=event.order_id,
        parcel_id=event.parcel_id,
        yearly_spend_minor=event.yearly_spend_minor,
        currency=event.currency,
        customer_class=event.customer_class,
        region=event.region,
        desk_id=event.desk_id,
        received_at=event.received_at,
        repeat_contacts=event.repeat_contacts,
    )
