"""Which agent knows a customer, and which one serves them by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, select, update

from fenliu.chassis.db import Transaction, in_keys
from services.router.domain.customer import Customer, is_entitled, wish
from services.router.domain.ticket import Facts, Ticket
from services.router.domain.transitions import Change
from services.router.tables import customers

_COLUMNS = tuple(customers.c[name] for name in Customer.__slots__)
_KEY = (customers.c.tenant_id, customers.c.customer_id)


async def load_wishes(tx: Transaction, fresh: Sequence[Ticket]) -> dict[str, Facts]:
    """Facts of those new tickets whose customer somebody knows, with the agent whom they should have.

    Customers who may have a dedicated agent are locked and counted; the others are only read.
    """
    counted = {(t.tenant_id, t.facts.customer_id) for t in fresh if t.facts.customer_id and is_entitled(t.facts)}
    others = {(t.tenant_id, t.facts.customer_id) for t in fresh if t.facts.customer_id} - counted
    known = await _load(tx, others, lock=False) | await _load(tx, counted, lock=True)
    before = dict(known)
    found: dict[str, Facts] = {}
    for ticket in fresh:
        key = (ticket.tenant_id, ticket.facts.customer_id)
        if key in known:
            found[ticket.ticket_id], known[key] = wish(ticket.facts, known[key], tx.now)
    await _update_used(tx, {key: customer for key, customer in known.items() if customer != before[key]})
    return found


async def _load(tx: Transaction, keys: set[tuple[str, str]], *, lock: bool) -> dict[tuple[str, str], Customer]:
    if not keys:
        return {}
    query = select(customers.c.tenant_id, *_COLUMNS).where(in_keys(_KEY, keys)).order_by(*_KEY)
    rows = await tx.execute(query.with_for_update() if lock else query)
    return {(row[0], row[1]): Customer(*row[1:]) for row in rows}


async def _update_used(tx: Transaction, counted: Mapping[tuple[str, str], Customer]) -> None:
    if counted:
        statement = update(customers).where(
            customers.c.tenant_id == bindparam("tenant"), customers.c.customer_id == bindparam("customer")
        )
        rows = [
            {"tenant": key[0], "customer": key[1], "new_month": customer.month, "new_used": customer.used}
            for key, customer in sorted(counted.items())
        ]
        await tx.execute(statement.values(month=bindparam("new_month"), used=bindparam("new_used")), rows)


async def note_resolvers(tx: Transaction, changes: Sequence[Change]) -> None:
    """Note who resolved their customers' tickets: one statement, whatever the number of tickets."""
    solved = {
        (change.after.tenant_id, change.after.facts.customer_id): change.after.agent_id
        for change in changes
        if change.action == "resolve" and change.after.agent_id and change.after.facts.customer_id
    }
    if not solved:
        return
    statement = tx.insert(customers)
    statement = statement.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={"known_agent": statement.excluded.known_agent},
        where=customers.c.known_agent != statement.excluded.known_agent,
    )
    rows = [
        {"tenant_id": key[0], "customer_id": key[1], "known_agent": agent_id}
        for key, agent_id in sorted(solved.items())
    ]
    await tx.execute(statement, rows)


async def load_customer(tx: Transaction, tenant_id: str, customer_id: str) -> Customer | None:
    """What is known of a customer; None where nothing is."""
    found = await _load(tx, {(tenant_id, customer_id)}, lock=False)
    return found.get((tenant_id, customer_id))


async def upsert_dedicated(tx: Transaction, tenant_id: str, customer_id: str, agent_id: str) -> None:
    """Name the customer's dedicated agent; "" takes the name back."""
    statement = tx.insert(customers)
    statement = statement.on_conflict_do_update(
        index_elements=list(_KEY), set_={"dedicated_agent": statement.excluded.dedicated_agent}
    )
    row = {"tenant_id": tenant_id, "customer_id": customer_id, "dedicated_agent": agent_id}
    await tx.execute(statement, row)
