"""Queues: their settings, and what waits in them and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Malformed
from fenliu.chassis.http import (
    Cursor,
    Identifier,
    Page,
    Paged,
    RawText,
    StrictModel,
    Text,
    Whole,
    page,
    problem_responses,
    require,
)
from fenliu.contracts.vocabulary import skills
from services.router.api.parts import READERS, NoSuchQueue, Parts, TicketOut, ticket_out
from services.router.domain.policies import POLICIES
from services.router.domain.queues import Queue, override
from services.router.domain.shift import seen_at
from services.router.domain.ticket import Ticket
from services.router.domain.waiting import waiting_reasons
from services.router.store import agents as agent_store
from services.router.store import board, configuration
from services.router.store import queues as store


class BadQueue(Malformed):
    """These settings make no sense."""

    slug = "invalid-queue"
    http_status = 422


class Unsatisfiable(Malformed):
    """Nobody has what this queue asks for."""

    slug = "unsatisfiable-queue"
    http_status = 422


class QueueIn(StrictModel):
    """Settings of a queue. What is absent stays as it is; in a new queue it is the default."""

    name: Annotated[str, Text(200)] | None = None
    name_zh: Annotated[str, Text(200)] | None = None
    skill: Annotated[str, RawText(64)] | None = Field(None, description='Skill that agents need; "": none.')
    level: float | None = Field(None, ge=0, le=1, description="Least level for a simple ticket.")
    mode: Literal["assign", "offer"] | None = Field(None, description="offer: the agent must accept in time.")
    policy: Identifier | None = Field(None, description="Routing policy, such as fenliu or longest_idle.")
    offer_timeout_s: Annotated[int, Field(ge=1, le=86400), Whole] | None = Field(
        None, description="Seconds until an offer lapses."
    )
    wrap_up_s: Annotated[int, Field(ge=0, le=3600), Whole] | None = Field(
        None, description="Seconds after a resolved ticket in which its agent gets nothing new."
    )


class QueueOut(BaseModel):
    """A queue with what waits in it."""

    queue_id: str
    name: str
    name_zh: str
    skill: str | None
    level: float
    mode: str
    policy: str
    offer_timeout_s: int
    wrap_up_s: int
    version: int = Field(description="0 is the shipped default.")
    waiting: int
    oldest_waiting_since: datetime | None


class WaitingOut(TicketOut):
    """A waiting ticket."""

    age_s: float = Field(description="Seconds since it was queued.")
    waits_because: str = Field(
        description="Now: queued (about to be assigned), all_agents_full, nobody_online, no_agent_with_skill, "
        "all_declined, known_agent_busy (waits for who knows the customer, while that costs little)."
    )


def routes(parts: Parts) -> APIRouter:
    """PUT and GET of queues, and the list of what waits."""
    router = APIRouter(tags=["queues"])

    @router.get("/v1/queues", responses=problem_responses(401, 403))
    async def list_queues(caller: Annotated[Principal, require(*READERS)]) -> Page[QueueOut]:
        """Every queue of the tenant."""
        async with parts.db.read() as tx:
            overrides = await store.load_overrides(tx, caller.tenant_id)
            waiters = await board.count_waiting(tx, caller.tenant_id)
        known = {**parts.rules.queues, **overrides}
        return page([_out(known[queue_id], waiters) for queue_id in sorted(known)], None)

    @router.put("/v1/queues/{queue_id}", responses=problem_responses(401, 403, 422))
    async def put_queue(
        queue_id: Identifier, body: QueueIn, caller: Annotated[Principal, require("supervisor")]
    ) -> QueueOut:
        """Change a queue, or make one. Takes effect within a second."""
        fields = body.model_dump(exclude_none=True)
        if fields.get("skill") and fields["skill"] not in skills():
            raise BadQueue(f"Unknown skill {fields['skill']}. Known are: {', '.join(sorted(skills()))}.")
        queue = await parts.db.run(lambda tx: _write(tx, parts, caller, queue_id, fields))
        return _out(queue, [])

    @router.get("/v1/queues/{queue_id}/tickets", responses=problem_responses(401, 403, 404, 422))
    async def list_waiting(
        queue_id: Identifier, paging: Paged, caller: Annotated[Principal, require(*READERS)]
    ) -> Page[WaitingOut]:
        """What waits in a queue, the longest first, and why."""
        after = Cursor.decode(paging.cursor, datetime, str)
        async with parts.db.read() as tx:
            overrides = await store.load_overrides(tx, caller.tenant_id)
            if queue_id not in overrides and queue_id not in parts.rules.queues:
                raise NoSuchQueue()
            found = await board.list_waiting(tx, caller.tenant_id, queue_id, after=after, limit=paging.limit + 1)
            shown = found[: paging.limit]
            reasons = await _reasons(tx, parts, shown, overrides)
        more = Cursor.encode(shown[-1].waiting_since, shown[-1].ticket_id) if len(found) > paging.limit else None
        return page([_waiting_out(ticket, reasons, tx.now) for ticket in shown], more)

    return router


async def _write(tx: Transaction, parts: Parts, caller: Principal, queue_id: str, fields: dict[str, Any]) -> Queue:
    revision = await configuration.lock_revision(tx, caller.tenant_id)
    own = (await store.load_overrides(tx, caller.tenant_id)).get(queue_id)
    known = own or parts.rules.queues.get(queue_id) or Queue(queue_id, name=queue_id)
    try:
        queue = override(known, fields, POLICIES)
    except ValueError as error:
        raise BadQueue(f"{str(error).capitalize()}.") from error
    if (queue.skill, queue.level) != (known.skill, known.level):
        await _check_somebody_can(tx, caller.tenant_id, queue)
    queue = await store.upsert_queue(tx, caller.tenant_id, queue)
    before = store.settings_of(own) if own else None
    edit = configuration.Edit("queue", queue_id, before, store.settings_of(queue))
    await configuration.insert_edits(tx, caller.tenant_id, revision, [edit], caller.subject)
    return queue


async def _check_somebody_can(tx: Transaction, tenant_id: str, queue: Queue) -> None:
    best = await agent_store.load_best_levels(tx, tenant_id)
    if not queue.skill or best is None:
        return
    if not best.get(queue.skill):
        raise Unsatisfiable(f"No agent has the skill {queue.skill}. Give it to somebody first, or name another one.")
    if best[queue.skill] < queue.level:
        raise Unsatisfiable(
            f"No agent has {queue.skill} at {queue.level:g}; the highest level is {best[queue.skill]:g}. Lower it."
        )


async def _reasons(
    tx: Transaction, parts: Parts, shown: Sequence[Ticket], overrides: Mapping[str, Queue]
) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for desk in {ticket.desk for ticket in shown}:
        staff = [seen_at(agent, tx.now) for agent in await agent_store.load_desk_agents(tx, *desk)]
        there = [ticket for ticket in shown if ticket.desk == desk]
        reasons |= waiting_reasons(there, staff, parts.rules, overrides)
    return reasons


def _waiting_out(ticket: Ticket, reasons: dict[str, str], now: datetime) -> WaitingOut:
    age = (now - (ticket.waiting_since or ticket.received_at)).total_seconds()
    return WaitingOut(
        **dict(ticket_out(ticket)), age_s=round(max(age, 0.0), 3), waits_because=reasons[ticket.ticket_id]
    )


def _out(queue: Queue, waiters: Sequence[board.Waiters]) -> QueueOut:
    mine = [row for row in waiters if row.queue_id == queue.queue_id]
    return QueueOut(
        queue_id=queue.queue_id,
        name=queue.name,
        name_zh=queue.name_zh,
        skill=queue.skill or None,
        level=queue.level,
        mode=queue.mode,
        policy=queue.policy,
        offer_timeout_s=queue.offer_timeout_s,
        wrap_up_s=queue.wrap_up_s,
        version=queue.version,
        waiting=sum(row.count for row in mine),
        oldest_waiting_since=min((row.oldest for row in mine if row.oldest), default=None),
    )
