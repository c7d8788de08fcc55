"""Who may work on what. Hard rules only; which of the eligible agents gets a ticket is a policy's business."""

from __future__ import annotations

from collections.abc import Iterator

from services.router.domain.queues import Requirement
from services.router.domain.ticket import Agent


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
