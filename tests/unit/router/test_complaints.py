"""What users of other routers complain of, by number of the list in the design notes, and the tests that hold it off.

11, no position or estimate of the wait, is not about routing's decisions and has no test here.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from services.router.domain.due import Timers, next_check
from services.router.domain.policies import POLICIES
from services.router.domain.queues import Requirement
from services.router.domain.ticket import TERMINAL, Ticket
from services.router.domain.transitions import STATES
from tests.unit.router.test_engine import NOW, agent, work
from tests.unit.router.test_policies import pairs, planned

COMPLAINTS = {
    1: ("test_away_and_offline_agents_get_no_work_under_any_policy",),
    2: (
        "test_freed_capacity_takes_what_waited_before_what_came_later_under_any_policy",
        "test_agent_who_comes_online_takes_what_waits",
    ),
    3: ("test_agent_back_from_holiday_is_not_flooded", "test_idle_agent_is_not_passed_over_for_busier_ones"),
    4: (
        "test_two_dispatchers_that_both_pass_the_lease_check_never_assign_twice",
        "test_manual_assignment_is_never_overridden_by_the_machine",
    ),
    5: (
        "test_capacity_is_not_exceeded_by_many_tickets_at_once_under_any_policy",
        "test_inactive_customers_do_not_burst_over_capacity_on_return",
    ),
    6: ("test_assigned_then_silence_returns_the_ticket_to_somebody_else",),
    7: ("test_agent_of_whom_nothing_is_heard_counts_as_offline",),
    8: ("test_no_shifts_in_assignment_agent_online_out_of_shift_gets_nothing_until_it_begins",),
    9: ("test_no_automatic_distribution_whatever_waits_is_given_out_under_any_policy",),
    10: ("test_no_skills_ticket_goes_only_to_whoever_has_the_skill_at_its_level_under_any_policy",),
    12: ("test_sla_clock_respects_business_hours_lunch_breaks_and_holidays_of_the_customers_region",),
    13: ("test_clock_with_a_lunch_break_counts_opening_hours_only",),
    14: ("test_clock_over_a_holiday_with_a_make_up_working_day_counts_that_day",),
    15: ("test_dst_does_not_shift_or_stretch_opening_hours",),
    16: (
        "test_next_response_clock_does_not_run_after_resolve",
        "test_ticket_does_not_escalate_although_the_agent_replied",
        "test_reminders_never_come_at_midnight_or_weekends_on_an_office_calendar",
    ),
    17: ("test_decision_on_a_ticket_that_changed_meanwhile_is_dropped_and_made_anew",),
    18: (
        "test_limit_is_per_person_over_all_queues_under_any_policy",
        "test_agent_whose_minutes_are_full_gets_nothing_more_though_places_are_left",
    ),
    19: (
        "test_returning_customer_reaches_the_agent_who_resolved_their_last_ticket",
        "test_returning_customer_of_an_absent_agent_is_served_by_somebody_else_who_is_told_why",
    ),
    20: ("test_nothing_ends_in_limbo_every_open_state_has_a_time_by_which_somebody_looks",),
}


def test_every_complaint_about_routing_has_its_test() -> None:
    router = [Path(__file__).parent, Path(__file__).parents[2] / "component" / "router"]
    text = "".join(path.read_text(encoding="utf-8") for folder in router for path in folder.glob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)\(", text))
    assert {name for names in COMPLAINTS.values() for name in names} <= there
    assert set(range(1, 21)) - COMPLAINTS.keys() == {11}


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_no_automatic_distribution_whatever_waits_is_given_out_under_any_policy(policy: str) -> None:
    items = [work(f"k{n}", policy=policy) for n in range(6)]
    assert len(planned([agent("a", capacity=3), agent("b", capacity=3)], items)) == 6


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_no_skills_ticket_goes_only_to_whoever_has_the_skill_at_its_level_under_any_policy(policy: str) -> None:
    needed = Requirement(skill="order", level=0.6)
    staff = [agent("other", skills={"payment": 1.0}), agent("weak", skills={"order": 0.5}), agent("able")]
    items = [work("k1", policy=policy, needed=needed), work("k2", policy=policy, needed=needed)]
    assert set(pairs(planned(staff, items)).values()) == {"able"}


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_limit_is_per_person_over_all_queues_under_any_policy(policy: str) -> None:
    both = agent("a", skills={"order": 1.0, "payment": 1.0}, capacity=2)
    items = [
        work(f"k{n}", policy=policy, needed=Requirement(skill=skill))
        for n, skill in enumerate(("order", "payment", "order", "payment"))
    ]
    assert len(planned([both], items)) == 2


@pytest.mark.parametrize("state", sorted(set(STATES) - TERMINAL - {"offered"}))
def test_nothing_ends_in_limbo_every_open_state_has_a_time_by_which_somebody_looks(state: str) -> None:
    ticket = Ticket(
        "t", "k", "main", NOW, state=state, agent_id="ann", awaited="customer" if state == "on_hold" else ""
    )
    at = next_check(ticket, NOW, Timers())
    assert at is not None
    assert at - NOW <= timedelta(days=4)
