"""What intake publishes: domain values in, contract events out. Nothing here decides anything."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fenliu.chassis.db import Transaction
from fenliu.contracts.events import (
    Labels,
    TicketCancelRequested,
    TicketConfirmed,
    TicketHelpRequested,
    TicketMessageAdded,
    TicketRated,
    TicketReceived,
    TicketReopenRequested,
)
from services.intake.domain.contact import Contact
from services.intake.domain.ticket import Held


def received(
    tx: Transaction, contact: Contact, at: datetime, customer: Any, repeats: int, *, event_id: str | None = None
) -> None:
    """A ticket was opened. customer: its row, or None where no order event has told of the customer."""
    event = TicketReceived(
        tenant_id=contact.tenant_id,
        ticket_id=contact.ticket_id,
        sequence=1,
        text=contact.text,
        customer_id=contact.customer_id,
        channel=contact.channel,
        language_hint=contact.locale,
        order_id=contact.order_id,
        parcel_id=contact.parcel_id,
        region=contact.region,
        desk_id=contact.desk_id,
        received_at=at,
        origin=contact.origin,
        fact=contact.fact,
        repeat_contacts=repeats,
    )
    if customer is not None:
        event.yearly_spend_minor = customer.yearly_spend_minor
        event.currency = customer.currency
        event.customer_class = customer.customer_class
    if labels := contact.labels:
        event.fact_labels.CopyFrom(
            Labels(
                category=labels.category,
                tier=labels.tier,
                complexity=labels.complexity,
                sentiment=labels.sentiment,
                intent=labels.intent,
                language=labels.language,
            )
        )
    tx.emit(event, key=contact.ticket_id, sequence=1, event_id=event_id)


def message_added(
    tx: Transaction,
    tenant_id: str,
    ticket_id: str,
    sequence: int,
    message_id: str,
    *,
    author: tuple[str, str],
    text: str,
    again: str = "",
    visibility: str = "public",
    repeat_contact: bool = False,
) -> None:
    """A message was added. author: role and id. again: the text to be labelled again. Internal text stays here."""
    event = TicketMessageAdded(
        tenant_id=tenant_id,
        ticket_id=ticket_id,
        sequence=sequence,
        message_id=message_id,
        author_role=author[0],
        author_id=author[1],
        visibility=visibility,
        text="" if visibility == "internal" else text,
        joined_text=again,
        added_at=tx.now,
        repeat_contact=repeat_contact,
    )
    tx.emit(event, key=ticket_id, sequence=sequence)


def cancel_requested(tx: Transaction, held: Held, reason: str) -> None:
    """The customer asked to cancel."""
    event = TicketCancelRequested(**_about(held), requested_at=tx.now, reason=reason)
    tx.emit(event, key=held.ticket_id, sequence=held.sequence)


def reopen_requested(tx: Transaction, held: Held, reason: str) -> None:
    """The customer says that it is not solved."""
    event = TicketReopenRequested(**_about(held), requested_at=tx.now, reason=reason)
    tx.emit(event, key=held.ticket_id, sequence=held.sequence)


def help_requested(tx: Transaction, held: Held) -> None:
    """The customer asked for a human."""
    event = TicketHelpRequested(**_about(held), requested_at=tx.now)
    tx.emit(event, key=held.ticket_id, sequence=held.sequence)


def confirmed(tx: Transaction, held: Held, by: str) -> None:
    """The customer, or a fact, says that it is solved."""
    event = TicketConfirmed(**_about(held), confirmed_at=tx.now, confirmed_by=by)
    tx.emit(event, key=held.ticket_id, sequence=held.sequence)


def rated(tx: Transaction, held: Held, score: int) -> None:
    """The customer rated the service."""
    event = TicketRated(**_about(held), score=score, rated_at=tx.now)
    tx.emit(event, key=held.ticket_id, sequence=held.sequence)


def _about(held: Held) -> dict[str, Any]:
    return {"tenant_id": held.tenant_id, "ticket_id": held.ticket_id, "sequence": held.sequence}
