"""Who may work on what. Hard rules only; which of the eligible agents gets a ticket is a policy's business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.router.domain.queues import Requirement
from services.router.domain.ticket import Agent

NO_SKILL = "no_agent_with_skill"
NOBODY_ONLINE = "nobody_online"
ALL_FULL = "all_agents_full"
ALL_DECLINED = "all_declined"
KNOWN_BUSY = "known_agent_busy"
ABOUT_TO_BE_ASSIGNED = "queued"


def qualifies(agent: Agent, needed: Requirement) -> bool:
    """True where the agent has what the requirement asks for, whether or not they are online or have room."""
    if needed.skill:
        level = agent.skills.get(needed.skill, 0.0)
        if level < needed.level or not level:
            return False
    if agent.seniority < needed.seniority:
        return False
    return not needed.language or not agent.languages or needed.language in agent.languages


def relaxations(needed: Requirement) -> Iterator[Requirement]:
    """The requirement, then weaker ones, for a desk on which *nobody at all* meets the stronger: first seniority and
    level go, then the skill (the general queue takes over), then the language. Whoever is merely away or full is
    waited for; nothing is relaxed for that."""
    yield needed
    if needed.seniority or needed.level:
        yield needed._replace(seniority=0.0, level=0.0)
    if needed.skill:
        yield needed._replace(seniority=0.0, level=0.0, skill="")
    if needed.language:
        yield Requirement()


def why_waiting(
    needed: Requirement, agents: Sequence[Agent], *, declined_by: tuple[str, ...] = (), held_for: str = ""
) -> str:
    """Why a ticket with this requirement waits, given everybody on its desk: a slug.

    Like the engine, it looks at the strongest form of the requirement that somebody on the desk meets.
    held_for: the agent who knows the customer, where the queue's policy lets a ticket wait for them; "" is nobody.
    """
    effective = next(
        (weaker for weaker in relaxations(needed) if any(qualifies(agent, weaker) for agent in agents)), None
    )
    if effective is None:
        return NOBODY_ONLINE
    able = [agent for agent in agents if qualifies(agent, effective)]
    online = [agent for agent in able if agent.presence == "online"]
    asked = [agent for agent in online if agent.agent_id not in declined_by]
    if any(agent.available for agent in asked):
        held = any(agent.agent_id == held_for and not agent.available for agent in asked)
        return KNOWN_BUSY if held else ABOUT_TO_BE_ASSIGNED
    if needed.skill and not effective.skill:
        return NO_SKILL
    if not online:
        return NOBODY_ONLINE
    return ALL_DECLINED if all(agent.agent_id in declined_by for agent in online) else ALL_FULL
