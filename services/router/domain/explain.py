"""Why an agent got a ticket, as data that fits on a page, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.router.domain.policies.policy import Moment, Policy, minutes
from services.router.domain.pool import Agents, Seat, Work

SHOWN = 5
"""Most candidates and most refusals that are kept of a decision."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who could have had the ticket.

    score  the policy's value of the pair, larger is better; rank alone decided where it is None.
    parts  its addends by name, for policies that have them.
    expected_min  minutes that they are expected to need; 0 in decisions of older versions.
    """

    agent_id: str
    score: float | None = None
    parts: tuple[tuple[str, float], ...] = ()
    expected_min: float = 0.0


def candidates_of(
    work: Work, chosen: Seat, seats: Sequence[Seat], values: Mapping[str, float], policy: Policy, moment: Moment
) -> tuple[Candidate, ...]:
    """The chosen agent, then the best of the others."""
    others = [seat for seat in seats if seat is not chosen]
    if values:
        others.sort(key=lambda seat: (-values.get(seat.agent_id, 0.0), seat.agent_id))
    found = []
    for seat in (chosen, *others[: SHOWN - 1]):
        score = values.get(seat.agent_id)
        parts = policy.parts(work, seat, moment).items() if policy.parts and values else ()
        rounded = tuple([(name, round(value, 6)) for name, value in parts])
        value = None if score is None else round(score, 6)
        found.append(Candidate(seat.agent_id, value, rounded, round(minutes(work, seat, moment), 3)))
    return tuple(found)


def refusals(work: Work, agents: Agents) -> tuple[tuple[str, str], ...]:
    """Agents for whom the customer or the ticket had a claim and who could not have it, with the reason's slug."""
    found = [(agent_id, "declined_it") for agent_id in sorted(work.excluded)]
    if work.known_agent and work.known_agent not in work.excluded:
        seat = agents.seat(work.known_agent)
        if seat is None:
            found.insert(0, (work.known_agent, "left_the_desk"))
        elif not seat.online:
            found.insert(0, (work.known_agent, "not_online"))
        elif not seat.free:
            found.insert(0, (work.known_agent, "full"))
    return tuple(found[:SHOWN])


_WORDS = {
    "delay_cost_saved": "cost of delay saved",
    "delay_cost_per_minute": "cost of delay saved per minute of work",
    "delay_cost": "cost of delay",
    "work": "minutes of work",
    "scarce_minutes": "price of scarce skills",
    "misfit": "distance from full skill",
    "known_customer": "knows the customer",
    "crowding": "has other work at hand",
    "unfairness": "has been busier than others",
    "shift_overrun": "shift may end first",
}

_REFUSED = {
    "declined_it": "declined this ticket",
    "left_the_desk": "is not on this desk any more",
    "not_online": "was not online",
    "full": "had no free place",
}


def in_words(policy: str, candidates: Sequence[Candidate], refused: Sequence[tuple[str, str]]) -> list[str]:
    """A decision as sentences, the outcome first."""
    if not candidates:
        return []
    chosen, others = candidates[0], candidates[1:]
    rest = f"; {len(others)} more could have taken it" if others else "; nobody else could have taken it"
    lines = [f"{chosen.agent_id} was chosen by policy {policy}{rest}."]
    if chosen.expected_min:
        lines.append(f"{chosen.agent_id} is expected to need {chosen.expected_min:.1f} min.")
    for candidate in candidates:
        if candidate.score is not None:
            parts = ", ".join(f"{_WORDS.get(name, name)} {value:+.3f}" for name, value in candidate.parts if value)
            lines.append(f"{candidate.agent_id}: {candidate.score:.3f}" + (f" ({parts})." if parts else "."))
    lines += [f"{agent_id} {_REFUSED.get(why, why)}." for agent_id, why in refused]
    return lines
