"""A plan made again from what was kept of it: the same code, the facts that it looked at, the same decisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from services.router.domain.engine import Decision, Seen, plan
from services.router.domain.outlook import Outlook
from services.router.domain.policies.policy import Moment, Policy
from services.router.domain.pool import Agents, Waiting, Work
from services.router.domain.ticket import Agent

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Scene:
    """Facts on which a plan rested. What it never looked at cannot have moved it, and is left out.

    limit   most decisions that were asked for.
    online  agents of the whole desk who were online.
    moment  what held for the whole plan, with what was expected of these tickets and agents.
    """

    now: datetime
    limit: int
    online: int
    moment: Moment
    works: tuple[Work, ...]
    agents: tuple[Agent, ...]


def scene_of(seen: Seen, now: datetime, limit: int) -> Scene:
    """What to keep of a plan that has just been made. Raises ValueError where `seen` is of none."""
    if seen.moment is None:
        raise ValueError("no plan was made with this")
    works, agents = tuple(seen.works.values()), tuple(seen.agents.values())
    moment = replace(seen.moment, outlook=_narrowed(seen.moment.outlook, works, seen.agents.keys()))
    return Scene(now, limit, seen.online, moment, works, agents)


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
        waiting, agents, policies, scene.now, limit=scene.limit, seen=Seen(scene.moment, scene.online)
    )  # fmt: skip
