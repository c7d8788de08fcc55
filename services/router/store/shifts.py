"""Agents' shifts: the plan as it was given, and the present or next shift of it on the agent's row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select, update

from fenliu.chassis.db import Transaction, in_keys
from services.router.domain.calendar import Calendar
from services.router.domain.shift import Span, shift_at
from services.router.domain.ticket import Agent
from services.router.store.rows import AGENT_COLUMNS, agent_of
from services.router.tables import agents

_KEY = (agents.c.tenant_id, agents.c.agent_id)


@dataclass(frozen=True, slots=True)
class Plan:
    """When an agent works. spans: in order, apart. calendar: a name in sla.toml that goes first; "" is none.

    With neither, presence alone counts.
    """

    spans: tuple[Span, ...] = ()
    calendar: str = ""

    def at(self, calendars: Mapping[str, Calendar], now: datetime) -> Span | None:
        """The present or next shift. A calendar that is gone from sla.toml has none."""
        return shift_at(self.spans, calendars.get(self.calendar), now)


async def load_plan(tx: Transaction, tenant_id: str, agent_id: str) -> Plan:
    """The agent's plan; empty where none was given."""
    query = select(agents.c.shifts).where(agents.c.tenant_id == tenant_id, agents.c.agent_id == agent_id)
    return _unpacked((await tx.execute(query)).scalar_one_or_none() or "")


async def update_plan(
    tx: Transaction, tenant_id: str, agent_id: str, plan: Plan, calendars: Mapping[str, Calendar]
) -> Agent | None:
    """Replace the agent's plan; it counts at once. None where there is no such agent."""
    values = {"shifts": _packed(plan), **_present(plan, plan.at(calendars, tx.now))}
    return await _update(tx, tenant_id, agent_id, values)


async def turn_shifts(tx: Transaction, calendars: Mapping[str, Calendar], limit: int = 200) -> list[Agent]:
    """Give agents whose shift has ended their next one, and have their work looked at. Returns them."""
    query = (
        select(*_KEY, agents.c.shifts, agents.c.shift_ends_at)
        .where(agents.c.shift_turn_at <= tx.now)
        .order_by(*_KEY)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = []
    for tenant_id, agent_id, packed, ended_at in (await tx.execute(query)).all():
        plan = _unpacked(packed)
        values = _present(plan, plan.at(calendars, tx.now)) | {"shift_ended_at": ended_at, "release_at": tx.now}
        agent = await _update(tx, tenant_id, agent_id, values)
        found += [agent] if agent else []
    return found


async def _update(tx: Transaction, tenant_id: str, agent_id: str, values: Mapping[str, Any]) -> Agent | None:
    statement = (
        update(agents)
        .where(in_keys(_KEY, [(tenant_id, agent_id)]))
        .values(**values, version=agents.c.version + 1, revision=agents.c.revision + 1, dirty=True)
    )
    row = (await tx.execute(statement.returning(*AGENT_COLUMNS))).one_or_none()
    return agent_of(row) if row else None


def _present(plan: Plan, shift: Span | None) -> dict[str, Any]:
    if shift is not None:
        return {"shift_from": shift[0], "shift_ends_at": shift[1], "shift_turn_at": shift[1]}
    last = (
        plan.spans[-1] if plan.spans else (None, None)
    )  # after the last shift they stay off; without a plan they work
    return {"shift_from": last[0], "shift_ends_at": last[1], "shift_turn_at": None}


def _packed(plan: Plan) -> str:
    if plan.calendar:
        return orjson.dumps({"calendar": plan.calendar}).decode()
    return orjson.dumps({"spans": plan.spans}).decode() if plan.spans else ""


def _unpacked(packed: str) -> Plan:
    if not packed:
        return Plan()
    data = orjson.loads(packed)
    spans = tuple((datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in data.get("spans", ()))
    return Plan(spans, data.get("calendar", ""))
