"""Configuration of queues, policies and agents: what changed when and by whom, and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.http import Cursor, Page, Paged, StrictModel, Whole, page, problem_responses, require
from services.router.api.parts import Parts
from services.router.domain.queues import Queue
from services.router.store import agents as agent_store
from services.router.store import configuration as store
from services.router.store import queues as queue_store


class RevisionOut(BaseModel):
    """A queue or an agent that was changed."""

    revision: int = Field(description="Grows with every change; several edits may share one.")
    kind: Literal["queue", "agent"]
    key: str = Field(description="Id of the queue or agent.")
    before: dict[str, Any] | None = Field(description="Settings before; null: the shipped ones, or none.")
    after: dict[str, Any] | None
    by: str
    at: datetime


class RollbackIn(StrictModel):
    """Which revision to go back to."""

    revision: Annotated[int, Field(ge=0, lt=2**53), Whole] = Field(
        description="Everything is as it was after this revision; 0 is before the first."
    )


class RollbackOut(BaseModel):
    """What going back did; it is a revision itself, and can be taken back like any other."""

    revision: int
    restored: list[str] = Field(description="queue/<id> and agent/<id> with the settings that they had.")
    kept: list[str] = Field(description="Agents made since then: they stay, because they may have work.")


def routes(parts: Parts) -> APIRouter:
    """The list of revisions and the way back."""
    router = APIRouter(tags=["routing"])

    @router.get("/v1/routing/configuration", responses=problem_responses(401, 403, 422))
    async def list_revisions(paging: Paged, caller: Annotated[Principal, require("supervisor")]) -> Page[RevisionOut]:
        """What was changed, the newest first."""
        below = Cursor.decode(paging.cursor, int, str)
        async with parts.db.read() as tx:
            found = await store.list_revisions(tx, caller.tenant_id, below=below, limit=paging.limit + 1)
        shown = found[: paging.limit]
        last = shown[-1] if len(found) > paging.limit else None
        more = Cursor.encode(last.revision, f"{last.edit.kind}/{last.edit.key}") if last else None
        return page([_out(item) for item in shown], more)

    @router.post("/v1/routing/configuration/rollback", responses=problem_responses(401, 403, 422))
    async def roll_back(body: RollbackIn, caller: Annotated[Principal, require("supervisor")]) -> RollbackOut:
        """Put everything back to how it was after a revision, in one transaction. Takes effect within a second."""
        return await parts.db.run(lambda tx: _roll_back(tx, parts, caller, body.revision))

    return router


def _out(item: store.Revision) -> RevisionOut:
    edit = item.edit
    return RevisionOut(
        revision=item.revision, kind=edit.kind, key=edit.key, before=edit.before, after=edit.after, by=item.by,
        at=item.at,
    )  # fmt: skip


async def _roll_back(tx: Transaction, parts: Parts, caller: Principal, wanted: int) -> RollbackOut:
    revision = await store.lock_revision(tx, caller.tenant_id)
    changed = await store.load_since(tx, caller.tenant_id, wanted)
    kept = [edit.key for edit in changed if edit.kind == "agent" and edit.before is None]
    back = [
        store.Edit(edit.kind, edit.key, edit.after, edit.before)
        for edit in changed
        if edit.before != edit.after and not (edit.kind == "agent" and edit.before is None)
    ]
    for edit in back:
        if edit.kind == "queue" and edit.after is None:
            await queue_store.delete_queue(tx, caller.tenant_id, edit.key)
        elif edit.kind == "queue":
            await queue_store.upsert_queue(tx, caller.tenant_id, Queue(**edit.after or {}))
    staff = [agent_store.AgentSettings(**edit.after) for edit in back if edit.kind == "agent" and edit.after]
    found = await agent_store.upsert_agents(tx, caller.tenant_id, staff) if staff else []
    await store.insert_edits(tx, caller.tenant_id, revision, back, caller.subject)
    tx.after_commit(parts.news.wake_desks, {(caller.tenant_id, agent.desk_id) for agent in found})
    return RollbackOut(revision=revision, restored=[f"{edit.kind}/{edit.key}" for edit in back], kept=kept)
