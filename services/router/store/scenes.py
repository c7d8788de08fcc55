"""Between a plan's scene and the compressed text that is kept of it: names of fields once, then rows of values."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson

from services.router.domain.outlook import Outlook
from services.router.domain.policies.policy import Moment
from services.router.domain.pool import Work
from services.router.domain.queues import Requirement
from services.router.domain.replay import Scene
from services.router.domain.ticket import Agent

_WORK = tuple(field.name for field in fields(Work))
_AGENT = tuple(field.name for field in fields(Agent))
_MOMENTS = tuple(field.name for field in fields(Agent) if "datetime" in str(field.type))
_OUTLOOK = tuple(field.name for field in fields(Outlook))
_MOMENT = tuple(field.name for field in fields(Moment) if field.name != "outlook")
_BY_KEYS = tuple(field.name for field in fields(Outlook) if "Mapping[tuple" in str(field.type))
_work_row, _agent_row = attrgetter(*_WORK), attrgetter(*_AGENT)


def packed(scene: Scene) -> bytes:
    """JSON, deflated: about 100 bytes a ticket in a large plan."""
    moment = {name: getattr(scene.moment, name) for name in _MOMENT}
    outlook = {name: getattr(scene.moment.outlook, name) for name in _OUTLOOK}
    outlook |= {name: [[*key, value] for key, value in outlook[name].items()] for name in _BY_KEYS}
    works, agents = [_work_row(work) for work in scene.works], [_agent_row(agent) for agent in scene.agents]
    facts = [scene.now, scene.limit, scene.online, moment, _WORK, works, _AGENT, agents, outlook]
    return zlib.compress(orjson.dumps(facts, default=_plain), 1)


def _plain(value: Any) -> Any:
    if isinstance(value, Requirement):
        return value._asdict()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be kept")


def unpacked(kept: bytes) -> Scene:
    """The scene as it was, to the last bit of every number."""
    now, limit, online, moment, of_work, works, of_agent, agents, outlook = orjson.loads(zlib.decompress(kept))
    outlook |= {name: {tuple(row[:-1]): row[-1] for row in outlook[name]} for name in _BY_KEYS}
    return Scene(
        datetime.fromisoformat(now), limit, online, Moment(**moment, outlook=Outlook(**outlook)),
        tuple(_work(dict(zip(of_work, row, strict=True))) for row in works),
        tuple(_agent(dict(zip(of_agent, row, strict=True))) for row in agents),
    )  # fmt: skip


def _work(row: dict[str, Any]) -> Work:
    return Work(**row | {"needed": Requirement(**row["needed"]), "excluded": frozenset(row["excluded"])})


def _agent(row: dict[str, Any]) -> Agent:
    moments = {name: datetime.fromisoformat(row[name]) for name in _MOMENTS if row[name]}
    return Agent(**row | moments | {"languages": frozenset(row["languages"])})
