"""Orders, parcels, charges, promises: views that outside events maintain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, select

from fenliu.chassis.db import Transaction, in_keys
from services.intake.domain.contact import FACT
from services.intake.domain.fact import Charge, Due, Order, OrderChange, Parcel
from services.intake.tables import charges, customers, dues, orders, parcels, requests, tickets

Key = tuple[str, str]

_ORDER = [field.name for field in fields(Order)]
_PARCEL = [field.name for field in fields(Parcel)]
_DUE = [field.name for field in fields(Due)]


async def load_orders(tx: Transaction, keys: Iterable[Key]) -> dict[Key, Order]:
    """The orders that are known, by tenant and id."""
    return {key: Order(*row) for key, row in (await _load(tx, orders, _ORDER, set(keys))).items()}


async def load_parcels(tx: Transaction, keys: Iterable[Key]) -> dict[Key, Parcel]:
    """The parcels that are known, by tenant and number."""
    return {key: Parcel(*row) for key, row in (await _load(tx, parcels, _PARCEL, set(keys))).items()}


async def lock_orders(tx: Transaction, keys: Iterable[Key]) -> dict[Key, Order]:
    """The orders, locked; one that nobody has told of yet is there with version 0.

    Always before lock_parcels: the scan of a parcel and the order that names it must not miss each other when they are
    handled at the same moment, so whoever comes second waits here and then sees what the first one wrote.
    """
    return {key: Order(*row) for key, row in (await _lock(tx, orders, _ORDER, set(keys))).items()}


async def lock_parcels(tx: Transaction, keys: Iterable[Key]) -> dict[Key, Parcel]:
    """The parcels, locked; one that was never scanned is there with version 0."""
    return {key: Parcel(*row) for key, row in (await _lock(tx, parcels, _PARCEL, set(keys))).items()}


async def load_parcels_of(tx: Transaction, order_keys: Iterable[Key]) -> dict[Key, list[Parcel]]:
    """All known parcels of each order, by tenant and order; an order without any is left out."""
    wanted = {key for key in order_keys if key[1]}
    if not wanted:
        return {}
    query = (
        select(*(parcels.c[name] for name in _PARCEL))
        .where(in_keys((parcels.c.tenant_id, parcels.c.order_id), wanted))
        .order_by(parcels.c.tenant_id, parcels.c.parcel_id)
    )
    found: dict[Key, list[Parcel]] = {}
    for row in await tx.execute(query):
        parcel = Parcel(*row)
        found.setdefault((parcel.tenant_id, parcel.order_id), []).append(parcel)
    return found


async def load_charges_of(tx: Transaction, order_keys: Iterable[Key]) -> dict[Key, list[Charge]]:
    """All charges of each order; an order without any is left out."""
    wanted = set(order_keys)
    if not wanted:
        return {}
    query = select(charges).where(in_keys((charges.c.tenant_id, charges.c.order_id), wanted))
    found: dict[Key, list[Charge]] = {}
    for row in await tx.execute(query):
        found.setdefault((row.tenant_id, row.order_id), []).append(Charge(*row))
    return found


async def upsert_orders(tx: Transaction, changed: Iterable[Order]) -> None:
    """Write orders that were locked."""
    await _upsert(tx, orders, ("tenant_id", "order_id"), _ORDER, list(changed))


async def upsert_parcels(tx: Transaction, changed: Iterable[Parcel]) -> None:
    """Write parcels that were locked."""
    await _upsert(tx, parcels, ("tenant_id", "parcel_id"), _PARCEL, list(changed))


async def upsert_dues(tx: Transaction, wanted: Iterable[Due]) -> None:
    """Write promises; a new moment replaces the old one."""
    unique = {(due.tenant_id, due.kind, due.subject_id): due for due in wanted}
    await _upsert(tx, dues, ("tenant_id", "kind", "subject_id"), _DUE, list(unique.values()))


async def insert_charges(tx: Transaction, found: Sequence[Charge]) -> None:
    """Add charges; one that is known stays as it is."""
    rows = [{name.name: getattr(charge, name.name) for name in fields(Charge)} for charge in found]
    if rows:
        rows.sort(key=lambda row: (row["tenant_id"], row["order_id"], row["charge_id"]))
        await tx.insert_rows(charges, rows, new_only=True)


async def upsert_customers(tx: Transaction, changes: Sequence[tuple[str, OrderChange]]) -> None:
    """Keep what order events say about customers. changes: customer id and event, oldest first."""
    facts: dict[Key, dict[str, Any]] = {}
    for customer_id, change in changes:
        if customer_id and (change.yearly_spend_minor or change.customer_class):
            known = facts.setdefault((change.tenant_id, customer_id), {})
            if change.yearly_spend_minor:
                known |= {"yearly_spend_minor": change.yearly_spend_minor, "currency": change.currency}
            if change.customer_class:
                known["customer_class"] = change.customer_class
    for (tenant_id, customer_id), known in sorted(facts.items()):
        insert = tx.insert(customers).values(tenant_id=tenant_id, customer_id=customer_id, **known)
        key = [customers.c.tenant_id, customers.c.customer_id]
        await tx.execute(insert.on_conflict_do_update(index_elements=key, set_=known))


async def claim_due(tx: Transaction, now: datetime, limit: int) -> list[Due]:
    """Take promises whose moment has passed, oldest first; they are gone when the transaction commits."""
    query = (
        select(*(dues.c[name] for name in _DUE))
        .where(dues.c.due_at <= now)
        .order_by(dues.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = [Due(*row) for row in await tx.execute(query)]
    if claimed:
        key = (dues.c.tenant_id, dues.c.kind, dues.c.subject_id)
        taken = [(due.tenant_id, due.kind, due.subject_id) for due in claimed]
        await tx.execute(delete(dues).where(in_keys(key, taken)))
    return claimed


async def load_locales(tx: Transaction, keys: Iterable[Key]) -> dict[Key, str]:
    """The language that each customer's newest ticket was written in; a customer without one is left out."""
    wanted = set(keys)
    if not wanted:
        return {}
    query = (
        select(tickets.c.tenant_id, tickets.c.customer_id, tickets.c.locale)
        .where(in_keys((tickets.c.tenant_id, tickets.c.customer_id), wanted), tickets.c.locale != "")
        .order_by(tickets.c.received_at)
    )
    return {tuple(row[:2]): row.locale for row in await tx.execute(query)}


async def load_fact_tickets(tx: Transaction, names: Iterable[Key]) -> dict[Key, str]:
    """The ticket that each fact (tenant, name) opened or joined; a fact without one is left out."""
    wanted = {(tenant_id, FACT, name) for tenant_id, name in names}
    if not wanted:
        return {}
    key = (requests.c.tenant_id, requests.c.operation, requests.c.key)
    query = select(*key, requests.c.ticket_id).where(in_keys(key, wanted))
    return {(row.tenant_id, row.key): row.ticket_id for row in await tx.execute(query)}


async def _load(
    tx: Transaction, table: Table, columns: list[str], wanted: set[Key], *, lock: bool = False
) -> dict[Key, Any]:
    if not wanted:
        return {}
    key = (table.c[columns[0]], table.c[columns[1]])
    query = select(*(table.c[name] for name in columns)).where(in_keys(key, wanted)).order_by(*key)
    rows = await tx.execute(query.with_for_update() if lock else query)
    return {(row[0], row[1]): row for row in rows}


async def _lock(tx: Transaction, table: Table, columns: list[str], wanted: set[Key]) -> dict[Key, Any]:
    found = await _load(tx, table, columns, wanted, lock=True)
    missing = sorted(wanted - set(found))
    if missing:
        rows = [{columns[0]: tenant_id, columns[1]: name, "version": 0} for tenant_id, name in missing]
        await tx.insert_rows(table, rows, new_only=True)
        found |= await _load(tx, table, columns, set(missing), lock=True)
    return found


async def _upsert(tx: Transaction, table: Table, key: tuple[str, ...], columns: list[str], values: list[Any]) -> None:
    if not values:
        return
    rows = [{name: getattr(value, name) for name in columns} for value in values]
    rows.sort(key=lambda row: tuple(row[name] for name in key))
    insert = tx.insert(table)
    statement = insert.on_conflict_do_update(
        index_elements=[table.c[name] for name in key],
        set_={name: insert.excluded[name] for name in columns if name not in key},
    )
    await tx.execute(statement, rows)
