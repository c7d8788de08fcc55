"""What the engine expects: minutes per ticket and agent, scarce skills, who has been busy. Learned, then a plain fact.

A `Learner` takes outcomes in and makes an `Outlook` from time to time; a plan rests on the outlook alone, so that the
same facts give the same plan, bit for bit, whatever was learned since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import exp


@dataclass(frozen=True, slots=True)
class Outlook:
    """Expectations at one moment. Whatever is not in it counts as average.

    minutes      of work by (category, complexity) for an average agent.
    pace         by (agent, category): the agent's minutes over the average agent's; below 1 is faster.
    agent_pace   by agent, for categories in which nothing is known of them.
    known_min    minutes by (agent, category, complexity); goes before minutes and pace.
    scarcity     by skill: minutes of work that arrive per minute of agents who could do it, all skills counted evenly.
    top          by agent: the greatest scarcity among their skills.
    occupancy    by agent: share of the time on duty spent working, 0 to 1; `mean_occupancy` is the desk's.
    mean_min     minutes of an average ticket.
    """

    minutes: Mapping[tuple[str, str], float] = field(default_factory=dict)
    pace: Mapping[tuple[str, str], float] = field(default_factory=dict)
    agent_pace: Mapping[str, float] = field(default_factory=dict)
    known_min: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    scarcity: Mapping[str, float] = field(default_factory=dict)
    top: Mapping[str, float] = field(default_factory=dict)
    occupancy: Mapping[str, float] = field(default_factory=dict)
    mean_occupancy: float = 0.0
    mean_min: float = 6.0

    def expected_min(self, category: str, complexity: str, agent_id: str, otherwise: float) -> float:
        """Minutes this agent needs for such a ticket; `otherwise` is the average agent's where nothing is known."""
        if self.known_min and (known := self.known_min.get((agent_id, category, complexity))):
            return known
        mean = self.minutes.get((category, complexity)) or otherwise or self.mean_min
        return mean * (self.pace.get((agent_id, category)) or self.agent_pace.get(agent_id, 1.0))

    def mean_of(self, category: str, complexity: str, otherwise: float) -> float:
        """Minutes that an average agent needs for such a ticket; `otherwise` where nothing is known."""
        return self.minutes.get((category, complexity)) or otherwise or self.mean_min


NEUTRAL = Outlook()


class Learner:
    """Shrunken estimates: a cell with few outcomes leans on its parent (agent x category on the agent, the agent and
    the category on the desk), by `weight` imagined outcomes.

    half_life_s  after which an arrival counts half in what is scarce.
    """

    def __init__(self, *, weight: float = 12.0, half_life_s: float = 7200.0) -> None:
        self._weight = weight
        self._rate = 0.6931471805599453 / half_life_s
        self._cells: dict[tuple[str, str], list[float]] = {}
        self._agents: dict[str, list[float]] = {}
        self._kinds: dict[tuple[str, str], list[float]] = {}
        self._all = [0.0, 0.0]
        self._arrived: dict[str, list[float]] = {}

    def observe_arrival(self, skill: str, minutes: float, at_ts: float) -> None:
        """A ticket that needs `skill` and about `minutes` of work arrived."""
        held = self._arrived.setdefault(skill, [0.0, at_ts])
        held[0] = held[0] * exp(-self._rate * max(0.0, at_ts - held[1])) + minutes
        held[1] = max(held[1], at_ts)

    def observe_outcome(self, category: str, complexity: str, agent_id: str, minutes: float) -> None:
        """An agent finished a ticket after `minutes` (above 0) of work."""
        kind = (category, complexity)
        expected = self._mean(kind) if self._kinds.get(kind) else minutes
        ratio = min(minutes / expected, 8.0)
        for cell in (
            self._cells.setdefault((agent_id, category), [0.0, 0.0]),
            self._agents.setdefault(agent_id, [0.0, 0.0]),
        ):
            cell[0] += ratio
            cell[1] += 1.0
        for sums in (self._kinds.setdefault(kind, [0.0, 0.0]), self._all):
            sums[0] += minutes
            sums[1] += 1.0

    def outlook(
        self, now_ts: float, skills: Mapping[str, Collection[str]], occupancy: Mapping[str, float] | None = None
    ) -> Outlook:
        """The expectations now. skills: of every agent on duty. occupancy: of those for whom it is known."""
        scarcity = self._scarcity(now_ts, skills)
        agent_pace = {agent: self._agent(agent) for agent in self._agents}
        pace = {
            key: (cell[0] + self._weight * agent_pace[key[0]]) / (cell[1] + self._weight)
            for key, cell in self._cells.items()
        }
        known = occupancy or {}
        return Outlook(
            minutes={kind: self._mean(kind) for kind in self._kinds},
            pace=pace,
            agent_pace=agent_pace,
            scarcity=scarcity,
            top={
                agent: max((scarcity.get(skill, 0.0) for skill in held), default=0.0) for agent, held in skills.items()
            },
            occupancy=dict(known),
            mean_occupancy=sum(known.values()) / len(known) if known else 0.0,
            mean_min=self._all[0] / self._all[1] if self._all[1] else NEUTRAL.mean_min,
        )

    def _agent(self, agent_id: str) -> float:
        total, count = self._agents[agent_id]
        return (total + self._weight) / (count + self._weight)

    def _mean(self, kind: tuple[str, str]) -> float:
        desk = self._all[0] / self._all[1]
        total, count = self._kinds[kind]
        return (total + 2.0 * desk) / (count + 2.0)

    def _scarcity(self, now_ts: float, skills: Mapping[str, Collection[str]]) -> dict[str, float]:
        supply: dict[str, float] = {}
        for held in skills.values():
            for skill in held:
                supply[skill] = supply.get(skill, 0.0) + 1.0 / len(held)
        demand = {
            skill: mass * exp(-self._rate * max(0.0, now_ts - at)) * self._rate * 60.0
            for skill, (mass, at) in self._arrived.items()
        }
        return {skill: load / supply[skill] for skill, load in demand.items() if skill in supply}
