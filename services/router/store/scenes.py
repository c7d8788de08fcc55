"""Between a plan's scene and the compressed text that is kept of it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson

from services.router.domain.outlook import Outlook
from services.router.domain.pool import Work
from services.router.domain.queues import Requirement
from services.router.domain.replay import Scene
from services.router.domain.ticket import Agent

_MOMENTS = tuple(field.name for field in fields(Agent) if "datetime" in str(field.type))
_BY_KEYS = tuple(field.name for field in fields(Outlook) if "Mapping[tuple" in str(field.type))


def packed(scene: Scene) -> bytes:
    """JSON, deflated: about 60 bytes a ticket in a large plan."""
    outlook = {field.name: getattr(scene.outlook, field.name) for field in fields(Outlook)}
    outlook |= {name: [[*key, value] for key, value in outlook[name].items()] for name in _BY_KEYS}
    facts = {field.name: getattr(scene, field.name) for field in fields(Scene)} | {"outlook": outlook}
    return zlib.compress(orjson.dumps(facts, default=_plain), 1)


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be kept")


def unpacked(kept: bytes) -> Scene:
    """The scene as it was, to the last bit of every number."""
    facts = orjson.loads(zlib.decompress(kept))
    outlook = facts["outlook"]
    outlook |= {name: {tuple(row[:-1]): row[-1] for row in outlook[name]} for name in _BY_KEYS}
    return Scene(
        **facts
        | {
            "now": datetime.fromisoformat(facts["now"]),
            "works": tuple(_work(row) for row in facts["works"]),
            "agents": tuple(_agent(row) for row in facts["agents"]),
            "outlook": Outlook(**outlook),
        }
    )


def _work(row: dict[str, Any]) -> Work:
    return Work(**row | {"needed": Requirement(**row["needed"]), "excluded": frozenset(row["excluded"])})


def _agent(row: dict[str, Any]) -> Agent:
    moments = {name: datetime.fromisoformat(row[name]) for name in _MOMENTS if row[name]}
    return Agent(**row | moments | {"languages": frozenset(row["languages"])})
