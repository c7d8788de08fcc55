"""What is written and asked for on a ticket that exists: messages, cancel, help, confirm, reopen, rating."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from fenliu.chassis.db import Transaction
from services.intake.domain.contact import joined_text, message_id_for
from services.intake.domain.ticket import Held
from services.intake.store import events
from services.intake.store.receiving import load_customer_texts
from services.intake.tables import messages, ratings, requests, tickets


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes. role: customer, agent or system."""

    role: str
    author_id: str


async def advance(
    tx: Transaction, tenant_id: str, ticket_id: str, *, customer_id: str | None = None, **marks: Any
) -> Held | None:
    """Lock the ticket and give it the next sequence; None where there is no such ticket of this tenant and customer.

    customer_id  None for a caller who may see every customer's tickets.
    marks        columns to set at the same time.
    """
    change = (
        update(tickets)
        .where(tickets.c.tenant_id == tenant_id, tickets.c.ticket_id == ticket_id)
        .values(sequence=tickets.c.sequence + 1, **marks)
        .returning(
            tickets.c.tenant_id,
            tickets.c.ticket_id,
            tickets.c.customer_id,
            tickets.c.state,
            tickets.c.origin,
            tickets.c.sequence,
            tickets.c.received_at,
            tickets.c.cancel_requested_at,
        )
    )
    if customer_id is not None:
        change = change.where(tickets.c.customer_id == customer_id)
    row = (await tx.execute(change)).one_or_none()
    return Held(*row) if row else None


async def insert_message(tx: Transaction, held: Held, author: Author, text: str, *, visibility: str = "public") -> str:
    """Write a message under the sequence that `held` carries, and publish it. Returns the message's id."""
    again = ""
    if author.role == "customer":
        where = (held.tenant_id, held.ticket_id)
        again = joined_text((await load_customer_texts(tx, [where]))[where], text)
    row = {
        "tenant_id": held.tenant_id,
        "ticket_id": held.ticket_id,
        "sequence": held.sequence,
        "author_role": author.role,
        "author_id": author.author_id,
        "visibility": visibility,
        "text": text,
        "added_at": tx.now,
    }
    await tx.execute(messages.insert(), [row])
    message_id = message_id_for(held.ticket_id, held.sequence)
    events.message_added(
        tx,
        held.tenant_id,
        held.ticket_id,
        held.sequence,
        message_id,
        author=(author.role, author.author_id),
        text=text,
        again=again,
        visibility=visibility,
    )
    return message_id


async def insert_request(
    tx: Transaction, tenant_id: str, operation: str, key: str, fingerprint: str, held: Held
) -> None:
    """Remember that a message was written under this key. The ticket is locked, so nobody else does the same now."""
    row = {
        "tenant_id": tenant_id,
        "operation": operation,
        "key": key,
        "fingerprint": fingerprint,
        "ticket_id": held.ticket_id,
        "sequence": held.sequence,
        "state": held.state,
        "received_at": tx.now,
    }
    await tx.execute(requests.insert(), [row])


async def lock_ticket(
    tx: Transaction, tenant_id: str, ticket_id: str, *, customer_id: str | None = None
) -> Held | None:
    """Lock the ticket as it is; None where there is no such ticket of this tenant and customer."""
    query = (
        select(
            tickets.c.tenant_id,
            tickets.c.ticket_id,
            tickets.c.customer_id,
            tickets.c.state,
            tickets.c.origin,
            tickets.c.sequence,
            tickets.c.received_at,
            tickets.c.cancel_requested_at,
        )
        .where(tickets.c.tenant_id == tenant_id, tickets.c.ticket_id == ticket_id)
        .with_for_update()
    )
    if customer_id is not None:
        query = query.where(tickets.c.customer_id == customer_id)
    row = (await tx.execute(query)).one_or_none()
    return Held(*row) if row else None


async def upsert_rating(tx: Transaction, held: Held, score: int, comment: str) -> None:
    """Keep the customer's verdict; a second one replaces the first."""
    row: dict[str, Any] = {"score": score, "comment": comment, "rated_at": tx.now}
    insert = tx.insert(ratings).values(tenant_id=held.tenant_id, ticket_id=held.ticket_id, **row)
    await tx.execute(insert.on_conflict_do_update(index_elements=[ratings.c.tenant_id, ratings.c.ticket_id], set_=row))


async def count_replies(tx: Transaction, tenant_id: str, ticket_id: str) -> int:
    """How many messages of customers and agents a ticket has; those of the system do not count."""
    query = select(func.count()).where(
        messages.c.tenant_id == tenant_id, messages.c.ticket_id == ticket_id, messages.c.author_role != "system"
    )
    return int((await tx.execute(query)).scalar_one())


async def load_rating(tx: Transaction, tenant_id: str, ticket_id: str) -> tuple[int, str, datetime] | None:
    """Score, comment and time of a ticket's rating; None where there is none."""
    query = select(ratings.c.score, ratings.c.comment, ratings.c.rated_at).where(
        ratings.c.tenant_id == tenant_id, ratings.c.ticket_id == ticket_id
    )
    row = (await tx.execute(query)).one_or_none()
    return (row.score, row.comment, row.rated_at) if row else None
