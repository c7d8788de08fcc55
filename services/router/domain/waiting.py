"""Why tickets wait, in the words that people and metrics read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from services.router.domain.eligibility import qualifies, relaxations
from services.router.domain.policies import holds
from services.router.domain.queues import Queue, QueueRules, Requirement
from services.router.domain.ticket import Agent, Ticket

NO_SKILL = "no_agent_with_skill"
NOBODY_ONLINE = "nobody_online"
ALL_FULL = "all_agents_full"
ALL_DECLINED = "all_declined"
KNOWN_BUSY = "known_agent_busy"
ABOUT_TO_BE_ASSIGNED = "queued"


Known = dict[tuple[object, ...], str]
"""Reasons that were worked out for one list of a desk's agents, by all that they depend on besides."""


def waiting_reasons(
    tickets: Collection[Ticket], staff: Sequence[Agent], rules: QueueRules, overrides: Mapping[str, Queue],
    known: Known | None = None,
) -> dict[str, str]:  # fmt: skip
    """Why each of these tickets of one desk waits, by id. staff: everybody on that desk. known: of earlier calls with
    the same staff; what is new is added."""
    known = {} if known is None else known
    reasons: dict[str, str] = {}
    for ticket in tickets:
        queue = rules.queue_of(ticket, overrides)
        needed = rules.requirement(queue, ticket)
        held_for = ticket.facts.known_agent if holds(queue.policy) else ""
        key = (needed, ticket.declined_by, held_for)
        if key not in known:
            known[key] = why_waiting(needed, staff, declined_by=ticket.declined_by, held_for=held_for)
        reasons[ticket.ticket_id] = known[key]
    return reasons


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
