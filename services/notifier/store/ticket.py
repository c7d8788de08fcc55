"""Tickets and their timelines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, and_, func, or_, select

from fenliu.chassis.db import Transaction, in_keys
from services.notifier.domain import Entry, Held, Key, Snapshot, TicketCopy, step_of
from services.notifier.tables import agents, tickets, timeline

CHUNK = 500
"""Most ids in one IN list."""

_SNAPSHOT_COLUMNS = (
    "version",
    "state",
    "step",
    "agent_id",
    "agent_name",
    "awaited",
    "changed_at",
    "first_response_due_at",
    "resolution_due_at",
    "first_responded_at",
)


async def upsert_tickets(
    tx: Transaction, entries: Sequence[Entry], facts: Mapping[Key, dict[str, Any]]
) -> dict[Key, int]:
    """Make sure that the ticket of every entry exists, lock it and reserve a sequence for each of its entries.

    facts: columns that are known now, by ticket: customer_id, order_id, parcel_id, received_at; all four or none.
    Returns the last reserved sequence of each ticket.
    """
    counts = Counter(entry.key for entry in entries)
    plain = [(key, n) for key, n in counts.items() if key not in facts]
    known = [(key, n) for key, n in counts.items() if key in facts]
    reserved: dict[Key, int] = {}
    # two statements, both in the order of ticket ids; a ticket is in one of them only, so writers cannot deadlock
    # unless they hold one and wait for another, which the consumer loop retries
    for group, columns in ((known, ("customer_id", "order_id", "parcel_id", "received_at")), (plain, ())):
        if not group:
            continue
        insert = tx.insert(tickets)
        changes: dict[str, Any] = {name: insert.excluded[name] for name in columns}
        changes["last_sequence"] = tickets.c.last_sequence + insert.excluded.last_sequence
        statement = insert.on_conflict_do_update(
            index_elements=[tickets.c.ticket_id, tickets.c.tenant_id], set_=changes
        ).returning(tickets.c.tenant_id, tickets.c.ticket_id, tickets.c.last_sequence)
        rows = [
            {"tenant_id": key[0], "ticket_id": key[1], "last_sequence": n, **facts.get(key, {})}
            for key, n in sorted(group, key=lambda item: item[0][1])
        ]
        for tenant_id, ticket_id, last in await tx.execute(statement, rows):
            reserved[tenant_id, ticket_id] = last
    return reserved


async def update_snapshots(tx: Transaction, newest: Sequence[Snapshot], counts: Mapping[Key, int]) -> dict[Key, Held]:
    """Replace what is held by `newest` where it is older, and reserve sequences for up to counts[ticket] entries.

    newest: one snapshot a ticket, ordered by ticket. Returns what was held before, for the replaced tickets only.
    """
    insert = tx.insert(tickets)
    new = insert.excluded
    changes: dict[str, Any] = {name: new[name] for name in _SNAPSHOT_COLUMNS}
    for name in ("version", "step", "agent_id"):
        changes[f"previous_{name}"] = tickets.c[name]
    changes["last_sequence"] = tickets.c.last_sequence + new.last_sequence
    changes["received_at"] = func.coalesce(tickets.c.received_at, new.received_at)
    changes["customer_id"] = func.coalesce(func.nullif(tickets.c.customer_id, ""), new.customer_id)
    statement = insert.on_conflict_do_update(
        index_elements=[tickets.c.ticket_id, tickets.c.tenant_id], set_=changes, where=tickets.c.version < new.version
    ).returning(
        tickets.c.tenant_id,
        tickets.c.ticket_id,
        tickets.c.previous_version,
        tickets.c.previous_step,
        tickets.c.previous_agent_id,
        tickets.c.last_sequence,
    )
    rows = await tx.execute(statement, [_snapshot_row(s, counts[s.key]) for s in newest])
    return {(row[0], row[1]): Held(row[2], row[3], row[4], row[5]) for row in rows}


async def insert_entries(tx: Transaction, entries: Sequence[Entry], last: Mapping[Key, int]) -> None:
    """Add entries to their timelines, in the order given. One that is there already is dropped.

    last: the last sequence reserved for each ticket in this transaction.
    """
    if not entries:
        return
    left = Counter(entry.key for entry in entries)
    rows = []
    for entry in entries:
        left[entry.key] -= 1
        rows.append(
            {
                "ticket_id": entry.ticket_id,
                "tenant_id": entry.tenant_id,
                "sequence": last[entry.key] - left[entry.key],
                "kind": entry.kind,
                "at": entry.at,
                "text": entry.text,
                "author_id": entry.author_id,
                "source": entry.source,
                "source_sequence": entry.source_sequence,
            }
        )
    await tx.insert_rows(timeline, rows, new_only=True)


async def update_agents(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep the newest name of each agent. rows: tenant_id, agent_id, version, name; one an agent, ordered by agent."""
    insert = tx.insert(agents)
    statement = insert.on_conflict_do_update(
        index_elements=[agents.c.tenant_id, agents.c.agent_id],
        set_={"version": insert.excluded.version, "name": insert.excluded.name},
        where=agents.c.version < insert.excluded.version,
    )
    await tx.execute(statement, list(rows))


async def load_ticket(tx: Transaction, tenant_id: str, ticket_id: str) -> TicketCopy | None:
    """The copy of one ticket; None where no event about it has arrived, or where it belongs to another tenant."""
    names = TicketCopy.__dataclass_fields__
    statement = select(*(tickets.c[name] for name in names)).where(
        tickets.c.ticket_id == ticket_id, tickets.c.tenant_id == tenant_id
    )
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else TicketCopy(*row)


async def load_entries(
    tx: Transaction, tenant_id: str, ticket_id: str, *, after: int = 0, limit: int = 200, newest_first: bool = False
) -> list[Entry]:
    """Entries of one ticket above `after`, by sequence; the newest `limit` of them where newest_first."""
    order = timeline.c.sequence.desc() if newest_first else timeline.c.sequence.asc()
    statement = (
        _entries()
        .where(
            timeline.c.ticket_id == ticket_id,
            timeline.c.tenant_id == tenant_id,
            timeline.c.sequence > after,
        )
        .order_by(order)
        .limit(limit)
    )
    return [_entry(row) for row in await tx.execute(statement)]


async def load_new_entries(tx: Transaction, after: Mapping[Key, int]) -> list[Entry]:
    """Entries above the given sequence of each ticket, by ticket and sequence; at most CHUNK tickets."""
    if not after:
        return []
    wanted = or_(
        *(
            and_(timeline.c.ticket_id == ticket_id, timeline.c.tenant_id == tenant_id, timeline.c.sequence > sequence)
            for (tenant_id, ticket_id), sequence in after.items()
        )
    )
    statement = _entries().where(wanted).order_by(timeline.c.ticket_id, timeline.c.tenant_id, timeline.c.sequence)
    return [_entry(row) for row in await tx.execute(statement)]


async def load_sequences(tx: Transaction, keys: Sequence[Key]) -> dict[Key, int]:
    """The last sequence of each ticket that exists; at most CHUNK keys."""
    statement = select(tickets.c.tenant_id, tickets.c.ticket_id, tickets.c.last_sequence).where(
        in_keys((tickets.c.tenant_id, tickets.c.ticket_id), keys)
    )
    return {(row[0], row[1]): row[2] for row in await tx.execute(statement)}


def _entries() -> Any:
    joined = timeline.outerjoin(
        agents, and_(agents.c.tenant_id == timeline.c.tenant_id, agents.c.agent_id == timeline.c.author_id)
    )
    return select(timeline, func.coalesce(agents.c.name, "").label("author")).select_from(joined)


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        row.tenant_id,
        row.ticket_id,
        row.kind,
        row.at,
        row.source,
        row.source_sequence,
        row.text,
        row.author_id,
        row.author,
        row.sequence,
    )


def _snapshot_row(snapshot: Snapshot, count: int) -> dict[str, Any]:
    return {
        "tenant_id": snapshot.tenant_id,
        "ticket_id": snapshot.ticket_id,
        "version": snapshot.version,
        "state": snapshot.state,
        "step": step_of(snapshot.state, snapshot.awaited),
        "agent_id": snapshot.agent_id,
        "agent_name": snapshot.agent_name,
        "awaited": snapshot.awaited,
        "customer_id": snapshot.customer_id,
        "received_at": snapshot.received_at,
        "changed_at": snapshot.changed_at,
        "first_response_due_at": snapshot.first_response_due_at,
        "resolution_due_at": snapshot.resolution_due_at,
        "first_responded_at": snapshot.first_responded_at,
        "last_sequence": count,
    }
