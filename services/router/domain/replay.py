"""A plan made again from what was kept of it: the same code, the facts that it looked at, the same decisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from services.router.domain.engine import Decision, Seen, plan
from services.router.domain.outlook import Outlook
from services.router.domain.policies.policy import Policy
from services.router.domain.pool import Agents, Waiting, Work
from services.router.domain.ticket import Agent

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Scene:
    """Facts on which a plan rested. What it never looked at cannot have moved it, and is left out.

    waiting, online  how many tickets and agents the whole desk had, which says how crowded it was.
    limit            most decisions that were asked for.
    """

    now: datetime
    limit: int
    waiting: int
    online: int
    works: tuple[Work, ...]
    agents: tuple[Agent, ...]
    outlook: Outlook


def scene_of(seen: Seen, now: datetime, limit: int, outlook: Outlook) -> Scene:
    """What to keep of a plan that has just been made."""
    works, agents = tuple(seen.works.values()), tuple(seen.agents.values())
    waiting, online = seen.desk or (0, 0)
    return Scene(now, limit, waiting, online, works, agents, _narrowed(outlook, works, seen.agents.keys()))


def _narrowed(outlook: Outlook, works: Collection[Work], agents: Collection[str]) -> Outlook:
    kinds = {(work.category, work.complexity) for work in works}
    categories = {category for category, _ in kinds}
    return replace(
        outlook,
        minutes=_those(outlook.minutes, kinds),
        pace=_those(outlook.pace, ((agent, category) for agent in agents for category in categories)),
        known_min=_those(outlook.known_min, ((agent, *kind) for agent in agents for kind in kinds)),
        agent_pace=_those(outlook.agent_pace, agents),
        top=_those(outlook.top, agents),
        occupancy=_those(outlook.occupancy, agents),
    )


def _those(known: Mapping[K, float], keys: Iterable[K]) -> dict[K, float]:
    return {key: value for key in keys if (value := known.get(key)) is not None} if known else {}


def replay(scene: Scene, policies: Mapping[str, Policy]) -> list[Decision]:
    """The plan, made again. It is the same as long as the policies are of the versions that the decisions name."""
    waiting, agents = Waiting(), Agents()
    for agent in scene.agents:
        agents.put(agent)
    for work in scene.works:
        waiting.put(work, policies[work.policy].order(work))
    return plan(
        waiting, agents, policies, scene.now, limit=scene.limit, outlook=scene.outlook,
        seen=Seen(desk=(scene.waiting, scene.online)),
    )  # fmt: skip
