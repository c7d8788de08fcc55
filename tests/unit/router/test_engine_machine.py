"""Any sequence of what can happen to a desk: what the engine decides rests on the facts alone, and breaks no law."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from services.router.domain.eligibility import qualifies, relaxations
from services.router.domain.engine import Decision, plan, plan_in_steps
from services.router.domain.policies import POLICIES
from services.router.domain.pool import Agents, Waiting, Work
from services.router.domain.queues import Requirement
from services.router.domain.ticket import Agent

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NAMES = tuple(f"a{number}" for number in range(5))
SKILLS = ("order", "payment", "refund")


class Desk(RuleBasedStateMachine):
    """The mirror's two indexes beside plain facts; decisions win or lose as they would against the database."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.agents = Waiting(), Agents()
        self.staff: dict[str, Agent] = {}
        self.queue: dict[str, Work] = {}
        self.owner: dict[str, str] = {}
        self.now, self.number = START, 0

    # what happens

    @rule(
        skill=st.sampled_from(["", *SKILLS]), level=st.sampled_from([0.0, 0.6]), policy=st.sampled_from(sorted(POLICIES)),
        weight=st.sampled_from([1.0, 4.0]), known=st.sampled_from(["", "", *NAMES]), target_s=st.sampled_from([60.0, 7200.0]),
    )  # fmt: skip
    def arrive(self, skill: str, level: float, policy: str, weight: float, known: str, target_s: float) -> None:
        self.number += 1
        at = self.now.timestamp()
        self._queue(
            Work(
                f"k{self.number:03}", skill or "general", 1, Requirement(skill, level if skill else 0.0), policy,
                "assign", 60, at, at + target_s, 5.0, frozenset(), skill, "simple", weight, target_s, known,
                float(bool(known)),
            )
        )  # fmt: skip

    @rule(
        name=st.sampled_from(NAMES), capacity=st.integers(0, 3), presence=st.sampled_from(["online", "online", "away"]),
        skills=st.dictionaries(st.sampled_from(SKILLS), st.sampled_from([0.3, 1.0]), max_size=2),
    )  # fmt: skip
    def configure(self, name: str, capacity: int, presence: str, skills: dict[str, float]) -> None:
        before = self.staff.get(name)
        load = before.load if before else 0
        version = before.version + 1 if before else 1
        self._seat(
            Agent("t", name, "d", name, skills, capacity=capacity, load=load, presence=presence, version=version)
        )

    @precondition(lambda self: self.staff)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.staff)))
        del self.staff[name]
        self.agents.remove(name)
        for ticket_id in [one for one, owner in self.owner.items() if owner == name]:
            del self.owner[ticket_id]

    @precondition(lambda self: self.owner)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        ticket_id = data.draw(st.sampled_from(sorted(self.owner)))
        agent = self.staff[self.owner.pop(ticket_id)]
        self._seat(replace(agent, load=agent.load - 1, free_since=self.now))

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ticket_id = data.draw(st.sampled_from(sorted(self.queue)))
        del self.queue[ticket_id]
        self.waiting.discard(ticket_id)

    @rule(seconds=st.sampled_from([1, 90, 9000]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(limit=st.integers(1, 6), lost=st.sets(st.integers(0, 5), max_size=2), declined=st.booleans())
    def decide(self, limit: int, lost: set[int], declined: bool) -> None:
        decisions = plan(self.waiting, self.agents, POLICIES, self.now, limit=limit)
        assert len({decision.ticket_id for decision in decisions}) == len(decisions) <= limit
        for number, decision in enumerate(decisions):
            self._judge(decision)
            if number not in lost:
                self._give(decision, declined=declined and number == 0)

    @rule()
    def give_up_halfway(self) -> None:
        steps = plan_in_steps(self.waiting, self.agents, POLICIES, self.now)
        next(steps, None)
        steps.close()

    # what must hold

    @invariant()
    def index_is_a_cache(self) -> None:
        waiting, agents = Waiting(), Agents()
        for name in sorted(self.staff, reverse=True):
            agents.put(self.staff[name])
        for ticket_id in sorted(self.queue, reverse=True):
            waiting.put(self.queue[ticket_id], POLICIES[self.queue[ticket_id].policy].order(self.queue[ticket_id]))
        assert plan(self.waiting, self.agents, POLICIES, self.now) == plan(waiting, agents, POLICIES, self.now)

    @invariant()
    def nobody_holds_what_the_counter_does_not_know(self) -> None:
        for name, agent in self.staff.items():
            assert agent.load == sum(owner == name for owner in self.owner.values())

    def _judge(self, decision: Decision) -> None:
        work, agent = self.queue[decision.ticket_id], self.staff[decision.agent_id]
        weaker = relaxations(work.needed)
        effective = next(need for need in weaker if any(qualifies(one, need) for one in self.staff.values()))
        assert agent.presence == "online"
        assert qualifies(agent, effective)
        assert decision.agent_id not in work.excluded
        assert decision.ticket_id not in self.owner

    def _give(self, decision: Decision, *, declined: bool) -> None:
        work, agent = self.queue[decision.ticket_id], self.staff[decision.agent_id]
        if declined:
            self._queue(replace(work, version=work.version + 1, excluded=work.excluded | {decision.agent_id}))
            return
        assert agent.load < agent.capacity
        del self.queue[work.ticket_id]
        self.waiting.discard(work.ticket_id)
        self.owner[work.ticket_id] = agent.agent_id
        self._seat(replace(agent, load=agent.load + 1, last_assigned_at=self.now))

    def _queue(self, work: Work) -> None:
        self.queue[work.ticket_id] = work
        self.waiting.put(work, POLICIES[work.policy].order(work))

    def _seat(self, agent: Agent) -> None:
        self.staff[agent.agent_id] = agent
        self.agents.put(agent)


def test_whatever_happens_to_a_desk_no_law_is_broken() -> None:
    run_state_machine_as_test(Desk, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))


@pytest.mark.soak
def test_whatever_happens_to_a_desk_for_long_no_law_is_broken() -> None:
    run_state_machine_as_test(Desk, settings=settings(max_examples=2000, stateful_step_count=60, deadline=None))
