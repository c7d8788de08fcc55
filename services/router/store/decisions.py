"""Grounds of the dispatcher's decisions, beside the history of their tickets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select

from fenliu.chassis.db import Transaction
from services.router.domain.engine import Decision
from services.router.domain.explain import Candidate
from services.router.domain.replay import Scene
from services.router.store.scenes import packed, unpacked
from services.router.tables import ticket_decisions


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why a ticket went to an agent. version: of the ticket after that. See engine.Decision."""

    version: int
    policy: str
    candidates: tuple[Candidate, ...]
    refused: tuple[tuple[str, str], ...]


async def insert_decisions(
    tx: Transaction, decisions: Sequence[Decision], versions: Mapping[str, int], scene: Scene | None
) -> None:
    """Keep the grounds of those decisions that were carried out: tickets in `versions`, with the version they got.
    What their plan rested on is kept once, with the first of them."""
    first = next((decision.ticket_id for decision in decisions if decision.ticket_id in versions), None)
    if first is None:
        return
    kept = packed(scene) if scene else None
    rows: list[dict[str, Any]] = [
        {
            "ticket_id": decision.ticket_id,
            "version": versions[decision.ticket_id],
            "policy": decision.policy,
            "grounds": grounds_of(decision),
            "scene_at": f"{first}@{versions[first]}" if kept else "",
            "scene": kept if decision.ticket_id == first else None,
        }
        for decision in decisions
        if decision.ticket_id in versions
    ]
    await tx.insert_rows(ticket_decisions, rows)


def grounds_of(decision: Decision) -> str:
    """What is kept of a decision besides its policy, as JSON; equal grounds are equal texts."""
    candidates = [(one.agent_id, one.score, one.parts, one.expected_min) for one in decision.candidates]
    return orjson.dumps({"candidates": candidates, "refused": decision.refused}).decode()


async def load_scene(tx: Transaction, ticket_id: str, version: int) -> Scene | None:
    """What the plan of this decision rested on; None where there is no such decision, or none was kept."""
    columns = ticket_decisions.c
    query = select(columns.scene_at).where(columns.ticket_id == ticket_id, columns.version == version)
    kept_with, _, at = ((await tx.execute(query)).scalar_one_or_none() or "").rpartition("@")
    if not kept_with:
        return None
    found = select(columns.scene).where(columns.ticket_id == kept_with, columns.version == int(at))
    kept = (await tx.execute(found)).scalar_one_or_none()
    return unpacked(kept) if kept else None


async def load_decisions(tx: Transaction, ticket_id: str) -> list[Grounds]:
    """Grounds of every assignment that the dispatcher made, the first one first. The caller has checked the tenant."""
    columns = (ticket_decisions.c.version, ticket_decisions.c.policy, ticket_decisions.c.grounds)
    query = select(*columns).where(ticket_decisions.c.ticket_id == ticket_id).order_by(ticket_decisions.c.version)
    return [_grounds(*row) for row in await tx.execute(query)]


def _grounds(version: int, policy: str, packed: str) -> Grounds:
    data = orjson.loads(packed)
    candidates = tuple(
        Candidate(agent_id, score, tuple((name, value) for name, value in parts), *expected)
        for agent_id, score, parts, *expected in data["candidates"]
    )
    return Grounds(version, policy, candidates, tuple((agent_id, why) for agent_id, why in data["refused"]))
