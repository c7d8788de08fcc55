"""A plan made again from what was kept of it: the same code, the facts that it looked at, the same decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from services.router.domain.engine import Decision, Seen, plan
from services.router.domain.outlook import Outlook
from services.router.domain.policies.policy import Policy
from services.router.domain.pool import Agents, Waiting, Work
from services.router.domain.ticket import Agent


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
    return Scene(now, limit, *seen.desk, works, agents, _narrowed(outlook, works, seen.agents.keys()))


def _narrowed(outlook: Outlook, works: Collection[Work], agents: Collection[str]) -> Outlook:
    kinds = {(work.category, work.complexity) for work in works}
    categories = {category for category, _ in kinds}
    return replace(
        outlook,
        minutes={kind: outlook.minutes[kind] for kind in kinds if kind in outlook.minutes},
        pace={
            (agent, category): outlook.pace[(agent, category)]
            for agent in agents
            for category in categories
            if (agent, category) in outlook.pace
        },
        known_min={
            (agent, *kind): outlook.known_min[(agent, *kind)]
            for agent in agents
            for kind in kinds
            if (agent, *kind) in outlook.known_min
        },
        agent_pace={agent: outlook.agent_pace[agent] for agent in agents if agent in outlook.agent_pace},
        top={agent: outlook.top[agent] for agent in agents if agent in outlook.top},
        occupancy={agent: outlook.occupancy[agent] for agent in agents if agent in outlook.occupancy},
    )


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
