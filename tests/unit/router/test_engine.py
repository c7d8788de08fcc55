"""Laws of the engine, for every policy: never over capacity, never ineligible, deterministic, nobody is blocked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.eligibility import qualifies, relaxations
from services.router.domain.engine import STEP, Decision, plan, plan_in_steps
from services.router.domain.policies import POLICIES, holds
from services.router.domain.pool import Agents, Waiting, Work
from services.router.domain.queues import GENERAL, Requirement
from services.router.domain.ticket import Agent
from services.router.domain.waiting import why_waiting

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SKILLS = ("order", "payment", "logistics")

agents_of_a_desk = st.lists(
    st.builds(
        Agent,
        tenant_id=st.just("t"),
        agent_id=st.sampled_from([f"a{n}" for n in range(8)]),
        desk_id=st.just("main"),
        name=st.just("n"),
        skills=st.dictionaries(st.sampled_from(SKILLS), st.sampled_from([0.2, 0.5, 1.0]), max_size=3),
        languages=st.sampled_from([frozenset(), frozenset({"zh"}), frozenset({"en"})]),
        seniority=st.sampled_from([0.0, 0.5, 1.0]),
        capacity=st.integers(0, 3),
        load=st.integers(0, 3),
        presence=st.sampled_from(["online", "online", "away", "offline", "asleep"]),
        last_assigned_at=st.one_of(st.none(), st.integers(0, 99).map(lambda s: NOW - timedelta(seconds=s))),
    ),
    max_size=8,
    unique_by=lambda agent: agent.agent_id,
)
needs = st.builds(
    Requirement,
    skill=st.sampled_from(["", *SKILLS]),
    level=st.sampled_from([0.0, 0.3, 0.6]),
    seniority=st.sampled_from([0.0, 0.6]),
    language=st.sampled_from(["", "zh", "en"]),
)
works = st.lists(
    st.builds(
        Work,
        ticket_id=st.integers(0, 40).map(lambda n: f"k{n:02}"),
        queue_id=st.just("order"),
        version=st.just(1),
        needed=needs,
        policy=st.sampled_from(sorted(POLICIES)),
        mode=st.sampled_from(["assign", "offer"]),
        offer_timeout_s=st.just(60),
        received_ts=st.integers(0, 50).map(float),
        due_ts=st.integers(0, 50).map(float),
        excluded=st.sets(st.sampled_from([f"a{n}" for n in range(8)]), max_size=2).map(frozenset),
    ),
    max_size=25,
    unique_by=lambda work: work.ticket_id,
)


def indexes(staff: list[Agent], work: list[Work]) -> tuple[Waiting, Agents]:
    waiting, agents = Waiting(), Agents()
    for agent in staff:
        agents.put(agent)
    for item in work:
        waiting.put(item, POLICIES[item.policy].order(item))
    return waiting, agents


def effective(needed: Requirement, staff: list[Agent]) -> Requirement | None:
    return next((weak for weak in relaxations(needed) if any(qualifies(agent, weak) for agent in staff)), None)


@given(agents_of_a_desk, works)
def test_plan_never_exceeds_capacity_never_gives_to_the_ineligible(staff: list[Agent], work: list[Work]) -> None:
    decisions = plan(*indexes(staff, work), POLICIES, NOW)
    by_agent = {agent.agent_id: agent for agent in staff}
    by_ticket = {item.ticket_id: item for item in work}
    assert len({decision.ticket_id for decision in decisions}) == len(decisions)
    for decision in decisions:
        agent, item = by_agent[decision.agent_id], by_ticket[decision.ticket_id]
        needed = effective(item.needed, staff)
        assert needed is not None
        assert qualifies(agent, needed)
        assert agent.presence == "online"
        assert agent.agent_id not in item.excluded
        assert decision.queue_id == (GENERAL if item.needed.skill and not needed.skill else "order")
    for agent in staff:
        given_now = sum(decision.agent_id == agent.agent_id for decision in decisions)
        assert given_now == 0 or agent.load + given_now <= agent.capacity


@given(agents_of_a_desk, works)
def test_plan_leaves_nothing_that_could_be_placed(staff: list[Agent], work: list[Work]) -> None:
    decisions = plan(*indexes(staff, work), POLICIES, NOW)
    taken = {decision.ticket_id for decision in decisions}
    room = {agent.agent_id: agent.capacity - agent.load for agent in staff if agent.presence == "online"}
    for decision in decisions:
        room[decision.agent_id] -= 1
    for item in work:
        needed = effective(item.needed, staff)
        if item.ticket_id in taken or needed is None:
            continue
        able = [agent for agent in staff if qualifies(agent, needed) and agent.agent_id not in item.excluded]
        assert not [agent for agent in able if room.get(agent.agent_id, 0) > 0], "work conservation"


@given(agents_of_a_desk, works, st.randoms(use_true_random=False))
def test_plan_same_facts_give_the_same_plan_whatever_the_order_of_arrival(
    staff: list[Agent], work: list[Work], random: object
) -> None:
    first = plan(*indexes(staff, work), POLICIES, NOW)
    random.shuffle(staff)  # type: ignore[attr-defined]
    random.shuffle(work)  # type: ignore[attr-defined]
    assert plan(*indexes(staff, work), POLICIES, NOW) == first


@given(agents_of_a_desk, works)
def test_plan_changes_nothing_so_that_asking_twice_gives_the_same(staff: list[Agent], work: list[Work]) -> None:
    waiting, agents = indexes(staff, work)
    assert plan(waiting, agents, POLICIES, NOW) == plan(waiting, agents, POLICIES, NOW)


@settings(max_examples=30)
@given(agents_of_a_desk, works, st.randoms(use_true_random=False))
def test_counts_of_tickets_and_able_agents_equal_a_recount(
    staff: list[Agent], work: list[Work], random: object
) -> None:
    waiting, agents = indexes(staff, work)
    for item in [*work, *work]:
        random.choice([waiting.discard, lambda _, item=item: waiting.put(item, 0.0)])(item.ticket_id)  # type: ignore
    for one in [*staff, *staff]:
        changed = replace(one, presence=random.choice(["online", "away"]))  # type: ignore[attr-defined]
        random.choice([agents.remove, lambda _, changed=changed: agents.put(changed)])(one.agent_id)  # type: ignore
    left = [item for item in work if item.ticket_id in waiting]
    for item in work:
        assert waiting.size(item.bucket) == sum(other.bucket == item.bucket for other in left)
    online = [one for held in staff if (one := agents.get(held.agent_id)) is not None and one.presence == "online"]
    assert agents.online == len(online)
    for skill in SKILLS:
        assert agents.able(skill) == pytest.approx(sum(1 / len(one.skills) for one in online if skill in one.skills))


def test_long_plan_pauses_and_the_steps_together_are_the_plan() -> None:
    staff = [agent(f"a{number:03}") for number in range(3 * STEP)]
    items = [work(f"k{number:03}", policy="fenliu") for number in range(3 * STEP)]
    waiting, agents = indexes(staff, items)
    steps = list(plan_in_steps(waiting, agents, POLICIES, NOW))
    assert len(steps) >= 3
    assert max(len(step) for step in steps) < 2 * STEP
    assert [decision for step in steps for decision in step] == plan(waiting, agents, POLICIES, NOW)


def test_plan_left_halfway_changes_nothing() -> None:
    waiting, agents = indexes(
        [agent(f"a{number:03}") for number in range(2 * STEP)], [work(f"k{number:03}") for number in range(2 * STEP)]
    )
    whole = plan(waiting, agents, POLICIES, NOW)
    steps = plan_in_steps(waiting, agents, POLICIES, NOW)
    assert next(steps) == whole[:STEP]
    steps.close()
    assert plan(waiting, agents, POLICIES, NOW) == whole


@settings(max_examples=60)
@given(agents_of_a_desk, works, st.integers(1, 4))
def test_plan_over_a_kept_index_equals_plan_over_a_fresh_one(staff: list[Agent], work: list[Work], limit: int) -> None:
    """The index is a cache: carrying plans out, losing some of them, must leave it equal to one made from the facts."""
    waiting, agents = indexes(staff, work)
    facts = {agent.agent_id: agent for agent in staff}
    left = {item.ticket_id: item for item in work}
    for round_number in range(6):
        decisions = plan(waiting, agents, POLICIES, NOW, limit=limit)
        fresh = plan(*indexes(list(facts.values()), list(left.values())), POLICIES, NOW, limit=limit)
        assert decisions == fresh
        for number, decision in enumerate(decisions):
            if (number + round_number) % 3 == 0:
                continue  # lost: somebody else changed the ticket; it is simply planned again
            agent = facts[decision.agent_id]
            facts[decision.agent_id] = replace(agent, load=agent.load + 1, last_assigned_at=NOW)
            agents.put(facts[decision.agent_id])
            waiting.discard(decision.ticket_id)
            del left[decision.ticket_id]
        for agent_id in sorted(facts)[: round_number % 3]:  # somebody resolves
            facts[agent_id] = replace(facts[agent_id], load=max(0, facts[agent_id].load - 1))
            agents.put(facts[agent_id])


def agent(agent_id: str, **fields: object) -> Agent:
    defaults = {"skills": {"order": 1.0}, "capacity": 1, "presence": "online"}
    return Agent("t", agent_id, "main", agent_id, **{**defaults, **fields})  # type: ignore[arg-type]


def work(ticket_id: str, **fields: object) -> Work:
    defaults = {"needed": Requirement("order"), "policy": "earliest_deadline", "due_ts": 10.0, "received_ts": 0.0}
    return Work(ticket_id, "order", 1, mode="assign", offer_timeout_s=60, **{**defaults, **fields})  # type: ignore[arg-type]


def first(staff: list[Agent], items: list[Work]) -> Decision:
    return plan(*indexes(staff, items), POLICIES, NOW)[0]


def test_earliest_deadline_most_pressing_ticket_goes_to_least_loaded_agent() -> None:
    staff = [agent("busy", capacity=4, load=3), agent("calm", capacity=4, load=1)]
    decision = first(staff, [work("late", due_ts=20.0), work("soon", due_ts=5.0)])
    assert (decision.ticket_id, decision.agent_id) == ("soon", "calm")


def test_longest_idle_oldest_ticket_goes_to_whoever_waits_longest() -> None:
    staff = [agent("just", last_assigned_at=NOW), agent("idle", last_assigned_at=NOW - timedelta(hours=1))]
    items = [work("new", policy="longest_idle", received_ts=9.0), work("old", policy="longest_idle", received_ts=1.0)]
    decision = first(staff, items)
    assert (decision.ticket_id, decision.agent_id) == ("old", "idle")


def test_head_that_nobody_can_take_does_not_block_the_others() -> None:
    staff = [agent("o"), agent("p", skills={"payment": 1.0}, presence="away")]
    items = [work("stuck", needed=Requirement("payment"), due_ts=1.0), work("free", due_ts=9.0)]
    assert [decision.ticket_id for decision in plan(*indexes(staff, items), POLICIES, NOW)] == ["free"]


def test_skill_that_nobody_on_the_desk_has_falls_to_general() -> None:
    decision = first([agent("o")], [work("odd", needed=Requirement("payment"))])
    assert (decision.queue_id, decision.reason) == (GENERAL, "no_agent_with_skill")


def test_skill_whose_holder_is_away_is_waited_for() -> None:
    staff = [agent("o"), agent("p", skills={"payment": 1.0}, presence="away")]
    assert plan(*indexes(staff, [work("odd", needed=Requirement("payment"))]), POLICIES, NOW) == []


@pytest.mark.parametrize(
    ("staff", "reason"),
    [
        ([], "nobody_online"),
        ([agent("a", presence="away")], "nobody_online"),
        ([agent("a", load=1)], "all_agents_full"),
        ([agent("a", skills={}, load=1)], "no_agent_with_skill"),
        ([agent("a")], "queued"),
    ],
)
def test_why_waiting_names_the_reason(staff: list[Agent], reason: str) -> None:
    assert why_waiting(Requirement("order"), staff) == reason


def test_why_waiting_everybody_declined_says_so() -> None:
    assert why_waiting(Requirement("order"), [agent("a")], declined_by=("a",)) == "all_declined"


def test_ticket_that_waits_for_who_knows_the_customer_says_so_only_while_that_agent_is_there_and_full() -> None:
    free, full = agent("a"), agent("b", load=1, capacity=1)
    away = replace(full, presence="away")
    assert why_waiting(Requirement("order"), [free, full], held_for="b") == "known_agent_busy"
    assert why_waiting(Requirement("order"), [free, full], held_for="a") == "queued"
    assert why_waiting(Requirement("order"), [free, away], held_for="b") == "queued"
    assert why_waiting(Requirement("order"), [free, full], held_for="b", declined_by=("b",)) == "queued"
    assert why_waiting(Requirement("order"), [full], held_for="b") == "all_agents_full"
    assert holds("fenliu")
    assert not holds("earliest_deadline")
