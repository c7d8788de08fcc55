"""The events of a desk. Whatever is drawn belongs to a ticket or an agent, so every policy meets the same luck."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from services.router.domain.engine import Decision, plan
from services.router.domain.outlook import Learner, Outlook
from services.router.domain.policies import Policy
from services.router.domain.pool import Agents, Waiting, Work
from services.router.domain.queues import Requirement
from services.router.domain.ticket import Agent
from services.router.simulation.trace import Arrival, Trace

EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
REFRESH_S = 300.0
RELOOK_S = 5.0
GUESS_MIN = 4.0
"""Minutes of a ticket before anything was learned."""


@dataclass(slots=True)
class Fate:
    """What became of a ticket. wait_s: until work began, or the customer gave up, or the trace ended."""

    arrival: Arrival
    work_s: float
    patience_s: float
    wait_s: float = 0.0
    served: bool = False
    abandoned: bool = False
    agent_id: str = ""
    known: str = ""
    hand_overs: int = 0
    declined: set[str] = field(default_factory=set)
    label: str = ""
    version: int = 1


@dataclass(frozen=True, slots=True)
class Run:
    """Outcome of one policy on one trace. occupancy: by agent, work over duty, until the last ticket was
    done. plans: calls of the engine."""

    fates: tuple[Fate, ...]
    occupancy: dict[str, float]
    work_s: float
    plans: int


def run(trace: Trace, policy: Policy, seed: int) -> Run:
    """Play the trace to its end. The same arguments give the same run."""
    return _Desk(trace, policy, seed).play()


class _Desk:
    def __init__(self, trace: Trace, policy: Policy, seed: int) -> None:
        self.trace, self.policy, self.seed = trace, policy, seed
        self.policies: Mapping[str, Policy] = {policy.name: policy}
        self.waiting, self.pool = Waiting(), Agents()
        self.learner, self.outlook, self.refreshed = Learner(), Outlook(), -REFRESH_S
        self.events: list[tuple[float, int, str, str]] = []
        self.fates: dict[str, Fate] = {}
        self.staff: dict[str, Agent] = {}
        self.until: dict[str, float] = {}
        self.busy: dict[str, float] = {}
        self.last_agent: dict[str, str] = {}
        self.paces = {duty.agent_id: duty.skills for duty in trace.duties}
        self.holders = Counter(name for skills in self.paces.values() for name in skills)
        self.errors: dict[tuple[str, str], float] = {}
        self.number = self.free = self.plans = 0
        self.relook = False
        self.end_s = self.worked_s = 0.0

    def play(self) -> Run:
        self._prepare()
        while self.events:
            at_s, _, kind, name = heapq.heappop(self.events)
            self._happen(kind, name, at_s)
            if len(self.waiting) and self.free and not (self.events and self.events[0][0] == at_s):
                self._decide(at_s)
        for fate in self.fates.values():
            if not fate.served and not fate.abandoned:
                fate.wait_s = max(0.0, self.end_s - fate.arrival.at_s)
        duty: dict[str, float] = {}
        for item in self.trace.duties:
            duty[item.agent_id] = duty.get(item.agent_id, 0.0) + max(
                0.0, min(item.until_s, self.worked_s) - item.from_s
            )
        occupancy = {
            name: min(self.busy.get(name, 0.0) / span, 1.0) for name, span in sorted(duty.items()) if span > 60
        }
        return Run(tuple(self.fates.values()), occupancy, sum(self.busy.values()), self.plans)

    def _push(self, at_s: float, kind: str, name: str) -> None:
        self.number += 1
        heapq.heappush(self.events, (at_s, self.number, kind, name))

    def _prepare(self) -> None:
        works: dict[tuple[str, str], list[float]] = {}
        for item in self.trace.arrivals:
            if item.work_s is not None:
                works.setdefault((item.category, item.complexity), []).append(item.work_s)
        everything = [work for held in works.values() for work in held] or [60.0 * GUESS_MIN]
        for item in self.trace.arrivals:
            random = Random(f"{self.seed}/{item.ticket_id}")  # noqa: S311  simulation, no secret
            drawn = random.choice(works.get((item.category, item.complexity), everything))
            patience = float("inf") if item.patience_s is None else item.patience_s
            if not item.patience_seen:
                patience += random.expovariate(1.0 / self.trace.mean_patience_s) if self.trace.mean_patience_s else 1e9
            work_s = drawn if item.work_s is None else item.work_s
            self.fates[item.ticket_id] = Fate(item, work_s, patience, label=item.label or item.category)
            self._push(item.at_s, "arrive", item.ticket_id)
            self.end_s = max(self.end_s, item.at_s)
        self._remember(works)
        for number, duty in enumerate(self.trace.duties):
            self._push(duty.from_s, "on", str(number))
            self._push(duty.until_s, "off", str(number))
        self.end_s = max(self.end_s, min(self.end_s + 86400.0, max(duty.until_s for duty in self.trace.duties)))

    def _remember(self, works: Mapping[tuple[str, str], Sequence[float]]) -> None:
        """Outcomes from before the trace: the trace's own kinds of work, drawn anew, at each agent's true pace."""
        random = Random(f"history/{self.seed}")  # noqa: S311
        everything = sorted((kind, work) for kind, held in works.items() for work in held)
        for _ in range(self.trace.history):
            for agent, paces in sorted(self.paces.items()):
                mine = [item for item in random.choices(everything, k=6) if item[0][0] in paces]
                for (category, complexity), work in mine[: len(paces)]:
                    minutes = max(work * paces[category], 1.0) / 60.0
                    self.learner.observe_outcome(category, complexity, agent, minutes)

    def _happen(self, kind: str, name: str, at_s: float) -> None:
        if kind == "arrive":
            self._arrive(self.fates[name], at_s)
        elif kind == "done":
            self.worked_s = at_s
            self._done(self.fates[name], at_s)
        elif kind == "give_up":
            fate = self.fates[name]
            if not fate.served and not fate.agent_id:
                fate.abandoned, fate.wait_s = True, at_s - fate.arrival.at_s
                self.waiting.discard(name)
        elif kind == "relook":
            self.relook = False
        else:
            self._duty(kind == "on", int(name), at_s)

    def _duty(self, begins: bool, number: int, at_s: float) -> None:
        duty = self.trace.duties[number]
        known = self.staff.get(duty.agent_id)
        if begins:
            skills = dict.fromkeys(duty.skills, 1.0)
            agent = known or Agent("t", duty.agent_id, "d", duty.agent_id, skills=skills)
            ends = EPOCH + timedelta(seconds=min(duty.until_s, 1e9))
            self.until[duty.agent_id] = duty.until_s
            self._put(replace(agent, presence="online", shift_ends_at=ends, free_since=_time(at_s)))
        elif known is not None and self.until[duty.agent_id] <= at_s:
            self._put(replace(known, presence="offline"))

    def _put(self, agent: Agent) -> None:
        before = self.staff.get(agent.agent_id)
        self.free += agent.available - (before.available if before else False)
        self.staff[agent.agent_id] = agent
        self.pool.put(agent)

    def _arrive(self, fate: Fate, at_s: float) -> None:
        item = fate.arrival
        if fate.patience_s < 1e8:
            self._push(at_s + fate.patience_s, "give_up", item.ticket_id)
        if self.trace.relief < 1.0 or item.known_agent:
            fate.known = item.known_agent or self.last_agent.get(item.customer_id, "")
        expected = self.outlook.minutes.get((fate.label, item.complexity), GUESS_MIN)
        self.learner.observe_arrival(fate.label, expected, at_s)
        self._queue(fate)

    def _queue(self, fate: Fate) -> None:
        item = fate.arrival
        received = EPOCH.timestamp() + item.at_s
        work = Work(
            item.ticket_id, fate.label, fate.version, Requirement(skill=fate.label), self.policy.name, "assign", 60,
            received, received + item.target_s, 0.0, frozenset(fate.declined), fate.label, item.complexity, item.weight,
            item.target_s, fate.known, item.wish or float(bool(fate.known)),
        )  # fmt: skip
        self.waiting.put(work, self.policy.order(work))

    def _decide(self, at_s: float) -> None:
        if at_s - self.refreshed >= REFRESH_S:
            self.refreshed = at_s
            self.outlook = self._look(at_s)
        held: list[str] = []
        self.plans += 1
        now = EPOCH + timedelta(seconds=at_s)
        decisions = plan(
            self.waiting, self.pool, self.policies, now, limit=100, outlook=self.outlook, held=held, explain=False
        )
        for decision in decisions:
            self._give(decision, at_s)
        if (held or any(self.fates[item.ticket_id].declined for item in decisions)) and not self.relook:
            self.relook = True
            self._push(at_s + RELOOK_S, "relook", "")

    def _look(self, at_s: float) -> Outlook:
        online = {name: tuple(self.paces[name]) for name, agent in self.staff.items() if agent.presence == "online"}
        shares = self._shares(online, at_s)
        found = self.learner.outlook(at_s, online, {name: min(share, 1.0) for name, share in shares.items()})
        if self.trace.effort_error > 1.0:
            found = replace(found, pace=self._mistaken(found, online))
        return found

    def _shares(self, online: Mapping[str, object], at_s: float) -> dict[str, float]:
        """Work over duty so far, over all the days."""
        spans: dict[str, float] = {}
        for duty in self.trace.duties:
            if duty.from_s < at_s:
                spans[duty.agent_id] = spans.get(duty.agent_id, 0.0) + min(at_s, duty.until_s) - duty.from_s
        return {name: self.busy.get(name, 0.0) / max(spans.get(name, 0.0), 60.0) for name in online}

    def _mistaken(self, found: Outlook, online: Mapping[str, object]) -> dict[tuple[str, str], float]:
        wrong = {}
        for agent in online:
            for category in self.paces[agent]:
                key = (agent, category)
                if key not in self.errors:
                    random = Random(f"error/{self.seed}/{agent}/{category}")  # noqa: S311
                    self.errors[key] = self.trace.effort_error ** random.uniform(-1.0, 1.0)
                wrong[key] = found.pace.get(key, found.agent_pace.get(agent, 1.0)) * self.errors[key]
        return wrong

    def _give(self, decision: Decision, at_s: float) -> None:
        fate, agent = self.fates[decision.ticket_id], self.staff[decision.agent_id]
        self.waiting.discard(decision.ticket_id)
        if self.trace.decline and len(fate.declined) < min(3, self.holders[fate.label] - 1):
            random = Random(f"decline/{self.seed}/{decision.ticket_id}/{decision.agent_id}")  # noqa: S311
            if random.random() < self.trace.decline:
                fate.declined.add(decision.agent_id)
                fate.version += 1
                self._queue(fate)
                self._put(replace(agent, last_assigned_at=_time(at_s)))
                return
        fate.wait_s = at_s - fate.arrival.at_s
        fate.served, fate.agent_id = True, decision.agent_id
        span = self._span(fate, decision.agent_id)
        self.busy[decision.agent_id] = self.busy.get(decision.agent_id, 0.0) + span
        self._put(replace(agent, load=agent.load + 1, last_assigned_at=_time(at_s)))
        self._push(at_s + span, "done", decision.ticket_id)

    def _span(self, fate: Fate, agent_id: str) -> float:
        """Seconds until the agent is free: the work, or finding out that it is somebody else's."""
        item = fate.arrival
        if fate.label != item.category:
            return max(0.1 * fate.work_s, 1.0)
        relief = self.trace.relief if fate.known == agent_id else 1.0
        return max(fate.work_s * self.paces[agent_id].get(item.category, 1.0) * relief, 1.0)

    def _done(self, fate: Fate, at_s: float) -> None:
        agent = self.staff[fate.agent_id]
        self._put(replace(agent, load=agent.load - 1, free_since=_time(at_s)))
        item = fate.arrival
        if fate.label != item.category:
            fate.label, fate.version, fate.hand_overs = item.category, fate.version + 1, fate.hand_overs + 1
            fate.served = False  # the wait goes on until somebody who can do it begins
            self._queue(fate)
            return
        self.learner.observe_outcome(
            item.category, item.complexity, fate.agent_id, self._span(fate, fate.agent_id) / 60.0
        )
        if item.customer_id:
            self.last_agent[item.customer_id] = fate.agent_id


def _time(at_s: float) -> datetime:
    return EPOCH + timedelta(seconds=at_s)
