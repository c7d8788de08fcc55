"""What each policy is for, and that an index's sum is the sum of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.engine import Decision, plan
from services.router.domain.explain import SHOWN, in_words
from services.router.domain.matching import FORBIDDEN, match
from services.router.domain.outlook import NEUTRAL, Learner, Outlook
from services.router.domain.policies import BASELINES, POLICIES, Moment
from services.router.domain.pool import Agents, Seat, Waiting, Work
from services.router.domain.ticket import Agent
from tests.unit.router.test_engine import NOW, agent, agents_of_a_desk, indexes, work, works

INDEXES = sorted(name for name, policy in POLICIES.items() if policy.parts)


def planned(
    staff: Sequence[Agent], items: Sequence[Work], outlook: Outlook = NEUTRAL, held: list[str] | None = None
) -> list[Decision]:
    return plan(*indexes(list(staff), list(items)), POLICIES, NOW, outlook=outlook, held=held)


def pairs(decisions: Sequence[Decision]) -> dict[str, str]:
    return {decision.ticket_id: decision.agent_id for decision in decisions}


def ago(seconds: float) -> float:
    return NOW.timestamp() - seconds


def test_every_baseline_of_the_literature_is_there() -> None:
    assert len(BASELINES) == 10
    assert set(BASELINES) < set(POLICIES)


@given(agents_of_a_desk, works)
@settings(max_examples=40)
def test_index_policies_sum_of_parts_is_the_value_by_which_pairs_are_made(
    staff: list[Agent], items: list[Work]
) -> None:
    moment = Moment(
        NOW.timestamp(), Outlook(top={"a1": 2.0}, occupancy={"a1": 0.9, "a2": 0.1}, mean_occupancy=0.5), 3.0
    )
    for name in INDEXES:
        policy = POLICIES[name]
        for item in items[:4]:
            wished = replace(item, known_agent="a1", wish=1.0, category="order")
            seats = [Seat(replace(one, shift_ends_at=NOW + timedelta(minutes=9))) for one in staff]
            parts = policy.parts
            assert parts is not None
            sums = [sum(parts(wished, seat, moment).values()) for seat in seats]
            assert policy.worth(wished, seats, moment) == pytest.approx(sums)


@given(st.lists(st.lists(st.sampled_from([FORBIDDEN, -2.0, 0.0, 1.0, 3.5, 7.25]), min_size=4, max_size=4), max_size=4))
def test_match_equals_the_best_of_all_matchings(values: list[list[float]]) -> None:
    def worth(columns: Sequence[int]) -> tuple[int, float]:
        made = [values[row][column] for row, column in enumerate(columns) if 0 <= column < 4]
        real = [value for value in made if value > FORBIDDEN]
        return len(real), sum(real)

    best = max((worth(columns) for columns in permutations(range(4), len(values))), default=(0, 0.0))
    found = match(values)
    assert len({column for column in found if column >= 0}) == sum(column >= 0 for column in found)
    assert worth(found) == pytest.approx(best)


def test_matching_two_tickets_and_two_agents_gives_each_agent_what_they_do_best() -> None:
    pace = {("a", "order"): 0.5, ("a", "payment"): 0.6, ("b", "order"): 0.6, ("b", "payment"): 2.0}
    staff = [agent("a", skills={"order": 1.0, "payment": 1.0}), agent("b", skills={"order": 1.0, "payment": 1.0})]
    items = [
        work(name, policy="min_cost_matching", category=name, predicted_min=10.0, target_s=600.0, due_ts=ago(-600))
        for name in ("order", "payment")
    ]
    assert pairs(planned(staff, items, Outlook(pace=pace))) == {"order": "b", "payment": "a"}


def test_scarce_specialist_is_kept_free_when_somebody_else_can() -> None:
    outlook = Outlook(scarcity={"order": 0.1, "payment": 3.0}, top={"only": 3.0, "plain": 0.1})
    staff = [agent("only", skills={"order": 1.0, "payment": 1.0}), agent("plain")]
    for policy in ("fenliu", "shadow_price"):
        assert pairs(planned(staff, [work("k", policy=policy, predicted_min=8.0)], outlook)) == {"k": "plain"}


def test_known_agent_busy_but_ticket_has_time_waits_for_them_and_goes_elsewhere_when_it_presses() -> None:
    staff = [agent("knows", load=1), agent("free")]
    item = work("k", policy="fenliu", known_agent="knows", wish=1.0, predicted_min=8.0, target_s=7200.0)
    early = replace(item, received_ts=ago(60), due_ts=ago(-7140))
    held: list[str] = []
    assert planned(staff, [early], held=held) == []
    assert held == ["k"]
    late = replace(item, received_ts=ago(7100), due_ts=ago(-100))
    assert pairs(planned(staff, [late])) == {"k": "free"}


def test_known_agent_who_is_away_is_not_waited_for() -> None:
    """Pain 19: a returning customer was stuck with an absent agent (chatwoot 1208, 4158)."""
    staff = [agent("knows", presence="away"), agent("free")]
    item = work("k", policy="fenliu", known_agent="knows", wish=5.0, target_s=7200.0, due_ts=ago(-7000))
    decisions = planned(staff, [item])
    assert pairs(decisions) == {"k": "free"}
    assert decisions[0].refused == (("knows", "not_online"),)


def test_returning_customer_reaches_the_known_agent_from_the_middle_of_the_queue() -> None:
    """Pain 19: a returning customer does not reach the same agent (freescout 1388, Rocket.Chat 14087)."""
    items = [
        work(f"k{n}", policy="fenliu", received_ts=ago(900 - n), due_ts=ago(-9000), target_s=9900.0, predicted_min=5.0)
        for n in range(30)
    ]
    items[20] = replace(items[20], known_agent="knows", wish=2.0)
    decisions = planned([agent("knows"), agent("other", skills={"order": 1.0})], items)
    assert pairs(decisions)["k20"] == "knows"
    assert {decision.ticket_id: decision.reason for decision in decisions}["k20"] == "dedicated_agent"


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_away_and_offline_agents_get_no_work_under_any_policy(policy: str) -> None:
    """Pain 1: work went to people who were away or offline (chatwoot 7204, libredesk 561, Rocket.Chat 40175)."""
    staff = [agent(name, presence=name) for name in ("away", "offline", "unheard_of", "")]
    assert planned(staff, [work("k", policy=policy)]) == []


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_freed_capacity_takes_what_waited_before_what_came_later_under_any_policy(policy: str) -> None:
    """Pain 2: waiting tickets were not picked up, later arrivals overtook them (chatwoot 10376, 10685)."""
    items = [work(f"k{n}", policy=policy, received_ts=ago(100 - n), due_ts=ago(-500 - n)) for n in range(5)]
    assert [decision.ticket_id for decision in planned([agent("a")], items)] == ["k0"]


def test_idle_agent_is_not_passed_over_for_busier_ones() -> None:
    """Pain 3: an agent with no chats was passed over because the idle clock ran from the last alert (Genesys)."""
    staff = [
        agent("none", capacity=3, load=0, last_assigned_at=NOW),
        agent("two", capacity=3, load=2, last_assigned_at=NOW - timedelta(hours=1)),
    ]
    for policy in ("fenliu", "fewest_open", "spare_share", "earliest_deadline"):
        assert pairs(planned(staff, [work("k", policy=policy)])) == {"k": "none"}


def test_agent_back_from_holiday_is_not_flooded() -> None:
    """Pain 3: least-amount counted all-time chats (Rocket.Chat 13134). Load now counts, not the past."""
    back = agent("back", capacity=5, load=0, last_assigned_at=NOW - timedelta(days=21))
    staff = [back, agent("here", capacity=5, load=0, last_assigned_at=NOW)]
    items = [work(f"k{n}", policy="fenliu", received_ts=float(n)) for n in range(6)]
    assert sorted(pairs(planned(staff, items)).values()) == ["back"] * 3 + ["here"] * 3


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_capacity_is_not_exceeded_by_many_tickets_at_once_under_any_policy(policy: str) -> None:
    """Pain 5: two arrivals both saw the free place (Rocket.Chat 35722, chatwoot 15694)."""
    items = [work(f"k{n}", policy=policy) for n in range(9)]
    assert len(planned([agent("a", capacity=3, load=1), agent("b", capacity=2)], items)) == 4


def test_decision_carries_candidates_scores_refusals_and_policy_version_bounded() -> None:
    staff = [agent(f"a{n}") for n in range(20)]
    item = work("k", policy="fenliu", excluded=frozenset({f"a{n}" for n in range(9)}), predicted_min=5.0)
    decision = planned(staff, [item])[0]
    assert decision.policy == f"fenliu/{POLICIES['fenliu'].version}"
    assert decision.candidates[0].agent_id == decision.agent_id
    assert len(decision.candidates) == SHOWN == len(decision.refused)
    assert all(one.score == pytest.approx(sum(dict(one.parts).values()), abs=1e-4) for one in decision.candidates)
    words = in_words(decision.policy, decision.candidates, decision.refused)
    assert words[0].startswith(f"{decision.agent_id} was chosen by policy fenliu/")
    assert "a0 declined this ticket." in words


def test_starvation_is_bounded_old_ticket_becomes_the_most_pressing() -> None:
    old = work(
        "old", policy="fenliu", weight=1.0, predicted_min=20.0, received_ts=ago(90 * 3600), due_ts=ago(86 * 3600)
    )
    old = replace(old, target_s=14400.0, complexity="complex", category="order")
    rush = [
        work(f"k{n}", policy="fenliu", weight=4.0, predicted_min=4.0, received_ts=ago(1900), due_ts=ago(100))
        for n in range(20)
    ]
    rush = [replace(item, target_s=1800.0, complexity="simple", category="order") for item in rush]
    outlook = Outlook(minutes={("order", "simple"): 4.0, ("order", "complex"): 20.0})
    assert pairs(planned([agent("a")], [old, *rush], outlook)) == {"old": "a"}


def test_learner_estimates_lean_on_the_average_until_there_is_evidence() -> None:
    learner = Learner(weight=10.0)
    for _ in range(100):
        learner.observe_outcome("order", "simple", "even", 4.0)
    learner.observe_outcome("order", "simple", "quick", 2.0)
    once = learner.outlook(0.0, {"quick": ("order",)}).expected_min("order", "simple", "quick", 4.0)
    for _ in range(200):
        learner.observe_outcome("order", "simple", "quick", 2.0)
    often = learner.outlook(0.0, {"quick": ("order",)})
    assert 3.6 < once < 4.0
    fast, mean = often.expected_min("order", "simple", "quick", 4.0), often.expected_min("order", "simple", "even", 4.0)
    assert fast < 0.75 * mean


def test_replay_of_the_same_facts_gives_the_same_plan_bit_for_bit() -> None:
    staff = [agent(f"a{n}", capacity=2, last_assigned_at=NOW - timedelta(seconds=n * 7 % 5)) for n in range(12)]
    items = [
        work(
            f"k{n:02}",
            policy=INDEXES[n % len(INDEXES)],
            weight=1.0 + n % 3,
            received_ts=ago(n * 37 % 900),
            due_ts=ago(n),
        )
        for n in range(60)
    ]
    waiting, agents = Waiting(), Agents()
    for one in reversed(staff):
        agents.put(one)
    for item in reversed(items):
        waiting.put(item, POLICIES[item.policy].order(item))
    assert repr(plan(waiting, agents, POLICIES, NOW)) == repr(planned(staff, items))
