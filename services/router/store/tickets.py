"""Tickets: made once, locked by id, changed only through `record`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, case, or_, select, update

from fenliu.chassis.db import Transaction, in_keys, padded
from services.router import metrics
from services.router.domain.sla import PARTIES
from services.router.domain.ticket import Facts, Ticket
from services.router.domain.transitions import Change
from services.router.store.customers import load_wishes, note_resolvers
from services.router.store.efforts import add_outcomes
from services.router.store.rows import TICKET_COLUMNS, TICKET_FIELDS, column_values, ticket_of
from services.router.store.snapshots import emit_ticket
from services.router.tables import agents, desks, ticket_history, tickets

_INSERTED = (
    "tenant_id",
    "ticket_id",
    "desk_id",
    "received_at",
    "state",
    "version",
    "reason",
    "facts",
    "announced",
    "changed_at",
    "next_check_at",
)


async def load_ticket(tx: Transaction, tenant_id: str, ticket_id: str) -> Ticket | None:
    """A ticket of this tenant, or None; another tenant's ticket does not exist."""
    query = select(*TICKET_COLUMNS).where(tickets.c.ticket_id == ticket_id, tickets.c.tenant_id == tenant_id)
    row = (await tx.execute(query)).one_or_none()
    return ticket_of(row) if row else None


async def lock_tickets(tx: Transaction, ticket_ids: Collection[str], *, skip: bool = False) -> dict[str, Ticket]:
    """Lock these tickets in the order of their ids. Ids without a row are left out; with `skip`, locked ones too."""
    if not ticket_ids:
        return {}
    query = select(*TICKET_COLUMNS).where(tickets.c.ticket_id.in_(padded(ticket_ids))).order_by(tickets.c.ticket_id)
    rows = await tx.execute(query.with_for_update(skip_locked=skip))
    return {ticket.ticket_id: ticket for ticket in map(ticket_of, rows)}


async def lock_or_insert(tx: Transaction, fresh: Mapping[str, Ticket]) -> tuple[dict[str, Ticket], set[str]]:
    """Lock these tickets; those without a row are made as `fresh` says. Returns all of them, and the ids made now.

    Two transactions may make the same ticket at once: the second waits, finds the row, and locks it like any other.
    """
    known = await lock_tickets(tx, fresh.keys())
    missing = sorted(fresh.keys() - known.keys())
    if not missing:
        return known, set()
    wishes = await load_wishes(tx, [fresh[ticket_id] for ticket_id in missing])
    fresh = {**fresh, **{ticket_id: replace(fresh[ticket_id], facts=facts) for ticket_id, facts in wishes.items()}}
    rows = [column_values(fresh[ticket_id], _INSERTED) for ticket_id in missing]
    made = {row[0] for row in await tx.insert_rows(tickets, rows, new_only=True, returning=[tickets.c.ticket_id])}
    known |= await lock_tickets(tx, set(missing) - made)
    known |= {ticket_id: fresh[ticket_id] for ticket_id in made}
    if made:
        await _insert_history(tx, [(known[ticket_id], "receive") for ticket_id in sorted(made)])
        await insert_desks(tx, {known[ticket_id].desk for ticket_id in made})
    return known, made


async def insert_desks(tx: Transaction, found: Collection[tuple[str, str]]) -> None:
    """Make the rows of (tenant, desk) that do not exist yet, so that a dispatcher can take their lease."""
    # Looked up first: an insert that conflicts waits for the dispatcher, which holds its desk's row.
    key = (desks.c.tenant_id, desks.c.desk_id)
    known = {tuple(row) for row in await tx.execute(select(*key).where(in_keys(key, found)))}
    rows = [{"tenant_id": tenant_id, "desk_id": desk_id} for tenant_id, desk_id in sorted(set(found) - known)]
    await tx.insert_rows(desks, rows, new_only=True)


async def record(tx: Transaction, changes: Sequence[Change], *, by_dispatcher: bool = False) -> None:
    """Carry out changes of tickets that this transaction has locked: rows, history, load of agents, snapshots.

    changes        in order; several of one ticket follow one another.
    by_dispatcher  its own changes need not be told to it.
    """
    if not changes:
        return
    spans: dict[str, Change] = {}
    for change in changes:
        first = spans.get(change.after.ticket_id)
        spans[change.after.ticket_id] = Change(first.before, change.after, change.action) if first else change
    folded = [spans[ticket_id] for ticket_id in sorted(spans)]
    await _update_tickets(tx, folded, by_dispatcher)
    await _insert_history(tx, [(change.after, change.action) for change in changes])
    await _update_agents(tx, folded, by_dispatcher)
    await add_outcomes(tx, folded)
    await note_resolvers(tx, folded)
    for change in changes:
        emit_ticket(tx, change.after)
    if ended := [change for change in changes if _ends_hold(change)]:
        tx.after_commit(_count_awaited, ended)


def _ends_hold(change: Change) -> bool:
    return change.before.state == "on_hold" and change.after.awaited_since != change.before.awaited_since


def _count_awaited(ended: Sequence[Change]) -> None:
    for change in ended:
        before, at = change.before, change.after.changed_at
        if before.awaited in PARTIES and before.awaited_since is not None and at is not None:
            metrics.awaited_seconds.inc((at - before.awaited_since).total_seconds(), party=before.awaited)


async def _update_tickets(tx: Transaction, changes: Sequence[Change], by_dispatcher: bool) -> None:
    touched = tuple(
        name
        for name in TICKET_FIELDS
        if any(getattr(change.before, name) is not getattr(change.after, name) for change in changes)
    )
    rows = []
    for change in changes:
        row = column_values(change.after, touched)
        row["tier"] = change.after.labels.tier if change.after.labels else ""
        row["dirty"] = not by_dispatcher and "waiting" in (change.before.state, change.after.state)
        rows.append(({"ticket_id": change.before.ticket_id, "version": change.before.version}, row))
    # What somebody else changed stays marked until the dispatcher has read it; itself it has just locked what it read.
    await tx.update_rows(tickets, rows, sticky=() if by_dispatcher else ("dirty",))


async def _insert_history(tx: Transaction, steps: Sequence[tuple[Ticket, str]]) -> None:
    rows = [
        {
            "ticket_id": ticket.ticket_id,
            "version": ticket.version,
            "action": action,
            "state": ticket.state,
            "fence": ticket.fence,
            "agent_id": ticket.agent_id if ticket.owned else "",
            "queue_id": ticket.queue_id,
            "reason": ticket.reason,
            "at": ticket.changed_at,
        }
        for ticket, action in steps
    ]
    await tx.insert_rows(ticket_history, rows)


_MOVE_LOAD = (
    update(agents)
    .where(agents.c.tenant_id == bindparam("tenant"), agents.c.agent_id == bindparam("agent"))
    .values(
        load=agents.c.load + bindparam("delta"),
        load_min=agents.c.load_min + bindparam("minutes", type_=agents.c.load_min.type),
        revision=agents.c.revision + 1,
        dirty=or_(and_(agents.c.dirty, bindparam("keeps_dirty")), bindparam("makes_dirty")),
        wrap_until=case(
            (bindparam("wraps"), bindparam("until", type_=agents.c.wrap_until.type)), else_=agents.c.wrap_until
        ),
        last_assigned_at=case(
            (bindparam("given") > 0, bindparam("at", type_=agents.c.last_assigned_at.type)),
            else_=agents.c.last_assigned_at,
        ),
    )
)


async def _update_agents(tx: Transaction, changes: Sequence[Change], by_dispatcher: bool) -> None:
    """Move the counters. Owners whose count stays get a new revision too, by which their long polls notice."""
    deltas: dict[tuple[str, str], int] = {}
    given: dict[tuple[str, str], int] = {}
    minutes: dict[tuple[str, str], float] = {}
    wrap_up_s: dict[tuple[str, str], int] = {}
    for change in changes:
        tenant_id = change.after.tenant_id
        if change.action == "resolve" and change.after.wrap_up_s:
            key = (tenant_id, change.after.agent_id)
            wrap_up_s[key] = max(change.after.wrap_up_s, wrap_up_s.get(key, 0))
        for agent_id, moved in change.minute_deltas().items():
            minutes[(tenant_id, agent_id)] = minutes.get((tenant_id, agent_id), 0.0) + moved
        if change.after.owned:
            deltas.setdefault((tenant_id, change.after.agent_id), 0)
        for agent_id, delta in change.load_deltas().items():
            key = (tenant_id, agent_id)
            deltas[key] = deltas.get(key, 0) + delta
            given[key] = given.get(key, 0) + max(delta, 0)
    if not deltas:
        return
    rows = [
        {
            "tenant": key[0],
            "agent": key[1],
            "delta": delta,
            "minutes": minutes.get(key, 0.0),
            "given": given.get(key, 0),
            "at": tx.now,
            "wraps": key in wrap_up_s,
            "until": tx.now + timedelta(seconds=wrap_up_s.get(key, 0)),
            "makes_dirty": not by_dispatcher and (delta != 0 or minutes.get(key, 0.0) != 0),
            "keeps_dirty": not by_dispatcher,
        }
        for key, delta in sorted(deltas.items())
    ]
    await tx.execute(_MOVE_LOAD, rows)


async def update_checks(tx: Transaction, times: Mapping[str, datetime | None]) -> None:
    """Set when these tickets must be looked at next. Not a change: nobody is told. The rows must be locked."""
    await tx.update_rows(tickets, [({"ticket_id": key}, {"next_check_at": at}) for key, at in times.items()])


async def update_announced(tx: Transaction, found: Mapping[str, tuple[Facts, datetime]]) -> None:
    """Note facts and time of receipt of tickets that something else had made before their opening record. The rows must
    be locked."""
    rows = [
        ({"ticket_id": key}, column_values(_facts_only(facts, at), ("facts", "received_at")) | {"announced": True})
        for key, (facts, at) in found.items()
    ]
    await tx.update_rows(tickets, rows)


def _facts_only(facts: Facts, at: datetime) -> Ticket:
    return Ticket("", "", "", at, facts=facts)


async def update_ratings(tx: Transaction, scores: Mapping[str, int]) -> None:
    """Note how customers rated these tickets. Unknown tickets are passed over."""
    if scores:
        statement = update(tickets).where(tickets.c.ticket_id == bindparam("id")).values(rating=bindparam("score"))
        await tx.execute(statement, [{"id": key, "score": score} for key, score in sorted(scores.items())])


def with_check(change: Change, at: datetime | None) -> Change:
    """The change with its ticket's next time to look."""
    return Change(change.before, replace(change.after, next_check_at=at), change.action)


def keys_of(changes: Sequence[Change]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """(desks, agents) that changes concern, both with their tenant; for wake-ups after the commit."""
    owners = {
        (ticket.tenant_id, ticket.agent_id)
        for change in changes
        for ticket in (change.before, change.after)
        if ticket.agent_id
    }
    return {change.after.desk for change in changes}, owners
