"""What agents' finished work teaches about their minutes. Sums are moved in place, so replicas lose none of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import case, func, select, update

from fenliu.chassis.db import Transaction
from services.router.domain.effort import REMEMBERED, Effort, Kind, outcome_of
from services.router.domain.transitions import Change
from services.router.tables import efforts

_COLUMNS = tuple(efforts.c[name] for name in Effort.__slots__)
_KEY = (efforts.c.tenant_id, efforts.c.agent_id, efforts.c.category, efforts.c.complexity)


async def add_outcomes(tx: Transaction, changes: Sequence[Change]) -> None:
    """Add the minutes of what was resolved to its agents' cells: one statement, whatever the number of tickets."""
    sums: dict[tuple[str, str, str, str], tuple[int, float]] = {}
    for change in changes:
        if (outcome := outcome_of(change)) is not None:
            key = (change.after.tenant_id, outcome.agent_id, *outcome.kind)
            held = sums.get(key, (0, 0.0))
            sums[key] = (held[0] + 1, held[1] + outcome.minutes)
    if not sums:
        return
    statement = tx.insert(efforts)
    new = statement.excluded
    count, minutes = efforts.c.count + new.count, efforts.c.minutes + new.minutes
    full = count > REMEMBERED
    statement = statement.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={
            "count": case((full, REMEMBERED), else_=count),
            "minutes": case((full, minutes * REMEMBERED / count), else_=minutes),
            "changed_at": new.changed_at,
        },
    )
    names = [column.name for column in _KEY]
    rows = [
        dict(zip(names, key, strict=True)) | {"count": value[0], "minutes": value[1], "changed_at": tx.now}
        for key, value in sorted(sums.items())
    ]
    await tx.execute(statement, rows)


async def update_prior(
    tx: Transaction, tenant_id: str, agent_id: str, kind: Kind, prior_min: float | None, seen: int | None
) -> Effort | None:
    """Set what a supervisor expects; None takes it back. seen: version that it must still have; None is any.

    Returns the cell as it is then, or None where it has another version.
    """
    key = (tenant_id, agent_id, *kind)
    row = dict(zip([column.name for column in _KEY], key, strict=True)) | {"changed_at": tx.now}
    await tx.insert_rows(efforts, [row], new_only=True)
    statement = update(efforts).where(*(column == value for column, value in zip(_KEY, key, strict=True)))
    if seen is not None:
        statement = statement.where(efforts.c.version == seen)
    changed = {"prior_min": prior_min, "version": efforts.c.version + 1, "changed_at": tx.now}
    found = (await tx.execute(statement.values(changed).returning(*_COLUMNS))).one_or_none()
    return Effort(*found) if found else None


async def load_efforts(tx: Transaction, tenant_id: str, agent_id: str) -> list[Effort]:
    """An agent's cells, by category and complexity."""
    query = select(*_COLUMNS).where(efforts.c.tenant_id == tenant_id, efforts.c.agent_id == agent_id)
    return [Effort(*row) for row in await tx.execute(query.order_by(efforts.c.category, efforts.c.complexity))]


async def load_kinds(tx: Transaction, tenant_id: str) -> dict[Kind, tuple[float, int]]:
    """(minutes, count) of all agents together, by kind."""
    sums = (efforts.c.category, efforts.c.complexity, func.sum(efforts.c.minutes), func.sum(efforts.c.count))
    query = select(*sums).where(efforts.c.tenant_id == tenant_id).group_by(efforts.c.category, efforts.c.complexity)
    return {(row[0], row[1]): (float(row[2]), int(row[3])) for row in await tx.execute(query)}


async def load_changed(tx: Transaction, tenants: Collection[str], since: datetime | None) -> dict[str, list[Effort]]:
    """Cells of these tenants that were changed at or after `since` (None: all), by tenant."""
    query = select(efforts.c.tenant_id, *_COLUMNS).where(efforts.c.tenant_id.in_(sorted(tenants)))
    if since is not None:
        query = query.where(efforts.c.changed_at >= since)
    found: dict[str, list[Effort]] = {}
    for row in await tx.execute(query):
        found.setdefault(row[0], []).append(Effort(*row[1:]))
    return found
