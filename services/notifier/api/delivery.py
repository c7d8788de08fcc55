"""/v1/deliveries: the log of webhooks, and a way to try one again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Database
from fenliu.chassis.errors import NotFound
from fenliu.chassis.http import Cursor, Identifier, Page, Paged, page, problem_responses, require
from services.notifier import store

Reader = Annotated[Principal, require("integration", "supervisor")]
Integrator = Annotated[Principal, require("integration")]

State = Literal["pending", "sent", "failed"]


class DeliveryOut(BaseModel):
    """A webhook that is or was owed."""

    delivery_id: str = Field(description="Sent as webhook-id, the same on every attempt.")
    subscription_id: str
    ticket_id: str | None = Field(description="Null for a test.")
    event_type: str = Field(description="ticket.<state>, or subscription.test.")
    state: State = Field(description="failed: given up, never tried again by itself.")
    attempts: int = Field(description="Started so far.")
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="Null when nothing is due any more.")
    last_attempt_at: datetime | None
    status: int | None = Field(description="HTTP status of the last answer; null: there was none.")
    error: str | None = Field(description="What went wrong at the last attempt; null: nothing.")
    finished_at: datetime | None = Field(description="When it was sent or given up.")


class AttemptOut(BaseModel):
    """One attempt."""

    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None


class DeliveryDetail(DeliveryOut):
    """A delivery with its body and every attempt."""

    payload: str = Field(description="The body exactly as it is sent; the signature covers these bytes.")
    log: list[AttemptOut]


def routes(db: Database, *, wake: Callable[[], None]) -> APIRouter:
    """wake: told when something is due."""
    router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])

    @router.get("", responses=problem_responses(401, 403, 422))
    async def list_deliveries(
        caller: Reader,
        paging: Paged,
        subscription_id: Annotated[Identifier | None, Query(description="Only this subscription's.")] = None,
        ticket_id: Annotated[Identifier | None, Query(description="Only about this ticket.")] = None,
        state: Annotated[State | None, Query(description="Only in this state.")] = None,
    ) -> Page[DeliveryOut]:
        """The tenant's deliveries, newest first. Finished ones are kept for some days."""
        before = Cursor.decode(paging.cursor, datetime, str)
        async with db.read() as tx:
            found = await store.list_deliveries(
                tx,
                caller.tenant_id,
                before=(before[0], before[1]) if before else None,
                limit=paging.limit + 1,
                subscription_id=subscription_id,
                ticket_id=ticket_id,
                state=state,
            )
        shown = [_shown(item) for item in found[: paging.limit]]
        more = len(found) > paging.limit
        return page(shown, Cursor.encode(shown[-1].created_at, shown[-1].delivery_id) if more else None)

    @router.get("/{delivery_id}", responses=problem_responses(401, 403, 404, 422))
    async def read_delivery(delivery_id: Identifier, caller: Reader) -> DeliveryDetail:
        """One delivery with its body and every attempt."""
        async with db.read() as tx:
            found = await store.load_delivery(tx, caller.tenant_id, delivery_id)
            if found is None:
                raise NotFound()
            made = await store.list_attempts(tx, delivery_id)
        log = [
            AttemptOut(number=a.number, at=a.at, duration_ms=a.duration_ms, status=a.status, error=a.error or None)
            for a in made
        ]
        return DeliveryDetail(**_shown(found).model_dump(), payload=found.payload, log=log)

    @router.post("/{delivery_id}/retry", status_code=202, responses=problem_responses(401, 403, 404, 422))
    async def retry_delivery(delivery_id: Identifier, caller: Integrator) -> DeliveryOut:
        """Send it (again) now, with the same webhook-id, whatever became of it before."""
        async with db.begin() as tx:
            if not await store.update_delivery_due(tx, caller.tenant_id, delivery_id):
                raise NotFound()
            found = await store.load_delivery(tx, caller.tenant_id, delivery_id)
            tx.after_commit(wake)
        assert found is not None
        return _shown(found)

    return router


def _shown(record: store.DeliveryRecord) -> DeliveryOut:
    return DeliveryOut(
        delivery_id=record.delivery_id,
        subscription_id=record.subscription_id,
        ticket_id=record.ticket_id or None,
        event_type=record.event_type,
        state=record.state,
        attempts=record.attempts,
        created_at=record.created_at,
        next_attempt_at=record.next_attempt_at,
        last_attempt_at=record.last_attempt_at,
        status=record.last_status,
        error=record.last_error or None,
        finished_at=record.finished_at,
    )
