"""What people changed about queues and agents, revision by revision, and how it was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import select

from fenliu.chassis.db import Transaction
from services.router.tables import config_edits, config_heads

Kind = Literal["queue", "agent"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One queue or agent that changed. before, after: its settings; None where there were none (of a queue: those of
    queues.toml counted)."""

    kind: Kind
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Revision:
    """One edit of a revision; a revision has one or more."""

    revision: int
    edit: Edit
    by: str
    at: datetime


async def lock_revision(tx: Transaction, tenant_id: str) -> int:
    """The number of the tenant's next revision. Others who change its configuration wait until this transaction ends.
    Numbers grow; one whose transaction changed nothing is left out."""
    statement = tx.insert(config_heads).values(tenant_id=tenant_id, revision=1)
    statement = statement.on_conflict_do_update(
        index_elements=[config_heads.c.tenant_id], set_={"revision": config_heads.c.revision + 1}
    )
    return int((await tx.execute(statement.returning(config_heads.c.revision))).scalar_one())


async def insert_edits(tx: Transaction, tenant_id: str, revision: int, edits: Sequence[Edit], by: str) -> None:
    """Keep what a revision changed; edits that change nothing are left out."""
    rows = [
        {
            "tenant_id": tenant_id,
            "revision": revision,
            "kind": edit.kind,
            "key": edit.key,
            "before": _text(edit.before),
            "after": _text(edit.after),
            "by": by,
            "at": tx.now,
        }
        for edit in edits
        if edit.before != edit.after
    ]
    await tx.insert_rows(config_edits, rows)


async def list_revisions(
    tx: Transaction, tenant_id: str, *, below: tuple[int, str] | None, limit: int
) -> list[Revision]:
    """Edits, the newest first."""
    columns = config_edits.c
    query = select(columns.revision, columns.kind, columns.key, columns.before, columns.after, columns.by, columns.at)
    query = query.where(columns.tenant_id == tenant_id)
    if below is not None:
        same = (columns.revision == below[0]) & (columns.kind + "/" + columns.key > below[1])
        query = query.where((columns.revision < below[0]) | same)
    ordered = query.order_by(columns.revision.desc(), columns.kind + "/" + columns.key).limit(limit)
    return [
        Revision(row[0], Edit(row[1], row[2], _settings(row[3]), _settings(row[4])), row[5], row[6])
        for row in await tx.execute(ordered)
    ]


async def load_since(tx: Transaction, tenant_id: str, revision: int) -> list[Edit]:
    """Whatever changed after this revision: as it was then, and as it is now."""
    columns = config_edits.c
    query = select(columns.kind, columns.key, columns.before, columns.after).where(
        columns.tenant_id == tenant_id, columns.revision > revision
    )
    spans: dict[tuple[Kind, str], Edit] = {}
    for kind, key, before, after in await tx.execute(query.order_by(columns.revision, columns.kind, columns.key)):
        first = spans.get((kind, key))
        spans[(kind, key)] = Edit(kind, key, first.before if first else _settings(before), _settings(after))
    return [spans[name] for name in sorted(spans)]


def _text(settings: dict[str, Any] | None) -> str:
    return "" if settings is None else orjson.dumps(settings, option=orjson.OPT_SORT_KEYS).decode()


def _settings(text: str) -> dict[str, Any] | None:
    return orjson.loads(text) if text else None
