"""Grounds of the dispatcher's decisions, beside the history of their tickets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import select

from fenliu.chassis.db import Transaction
from services.router.domain.engine import Decision
from services.router.domain.explain import Candidate
from services.router.tables import ticket_decisions


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why a ticket went to an agent. version: of the ticket after that. See engine.Decision."""

    version: int
    policy: str
    candidates: tuple[Candidate, ...]
    refused: tuple[tuple[str, str], ...]


async def insert_decisions(tx: Transaction, decisions: Sequence[Decision], versions: Mapping[str, int]) -> None:
    """Keep the grounds of those decisions that were carried out: tickets in `versions`, with the version they got."""
    rows = [
        {
            "ticket_id": decision.ticket_id,
            "version": versions[decision.ticket_id],
            "policy": decision.policy,
            "grounds": _packed(decision),
        }
        for decision in decisions
        if decision.ticket_id in versions
    ]
    await tx.insert_rows(ticket_decisions, rows)


def _packed(decision: Decision) -> str:
    candidates = [(one.agent_id, one.score, one.parts, one.expected_min) for one in decision.candidates]
    return orjson.dumps({"candidates": candidates, "refused": decision.refused}).decode()


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
