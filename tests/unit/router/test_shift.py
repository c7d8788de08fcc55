"""When time alone keeps an agent from new work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.router.domain import calendar
from services.router.domain.due import Timers, release
from services.router.domain.shift import CLOSING, NEVER, closed_until, gone_since, merged, shift_at, turns_at
from services.router.domain.ticket import Agent, Ticket
from tests.unit.router.test_engine import NOW

HOUR = timedelta(hours=1)


def _agent(start_h: float, end_h: float, *, wrap_s: float = 0.0, ended_h: float = -9) -> Agent:
    return Agent(
        "t", "ann", "main", "Ann", presence="online", shift_from=NOW + start_h * HOUR, shift_ends_at=NOW + end_h * HOUR,
        shift_ended_at=NOW + ended_h * HOUR, wrap_until=NOW + timedelta(seconds=wrap_s) if wrap_s else None,
    )  # fmt: skip


def test_agent_takes_work_from_the_beginning_of_a_shift_to_five_minutes_before_its_end() -> None:
    ahead, present = _agent(1, 9), _agent(-1, 1)
    assert (closed_until(ahead, NOW), turns_at(ahead, NOW)) == (NOW + HOUR, NOW + HOUR)
    assert (closed_until(present, NOW), turns_at(present, NOW)) == (None, NOW + HOUR - CLOSING)
    assert (closed_until(present, NOW + HOUR - CLOSING), turns_at(present, NOW + HOUR)) == (NEVER, None)


def test_agent_without_a_plan_works_whenever_online_and_one_wrapping_up_waits_for_its_end() -> None:
    free = Agent("t", "ann", "main", "Ann", presence="online")
    assert (closed_until(free, NOW), turns_at(free, NOW)) == (None, None)
    wrapping = _agent(-1, 1, wrap_s=30)
    assert closed_until(wrapping, NOW) == NOW + timedelta(seconds=30)
    assert closed_until(wrapping, NOW + timedelta(seconds=30)) is None


def test_shifts_that_touch_are_one_and_one_that_ends_before_it_begins_is_refused() -> None:
    assert merged([(NOW + HOUR, NOW + 2 * HOUR), (NOW, NOW + HOUR)]) == [(NOW, NOW + 2 * HOUR)]
    with pytest.raises(ValueError, match="ends before it begins"):
        merged([(NOW, NOW)])
    assert shift_at([(NOW - HOUR, NOW), (NOW + HOUR, NOW + 2 * HOUR)], None, NOW) == (NOW + HOUR, NOW + 2 * HOUR)


def test_shift_by_calendar_is_the_present_or_next_opening_also_over_new_year() -> None:
    hours = calendar.parse({"night": {"zone": "Asia/Shanghai", "every_day": ["20:00-04:00"]}}, {})["night"]
    eve = datetime(2026, 12, 31, 22, tzinfo=UTC)  # 06:00 on New Year's Day in Shanghai
    assert hours.span(eve) == (datetime(2027, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, 20, tzinfo=UTC))
    utc = calendar.parse({"late": {"every_day": ["22:00-02:00"]}}, {})["late"]
    assert utc.span(datetime(2026, 12, 31, 23, tzinfo=UTC)) == (eve, eve + 4 * HOUR)


def test_work_comes_back_at_the_end_of_the_shift_begun_work_after_the_grace_with_a_note() -> None:
    agent, timers = _agent(8, 16, ended_h=0), Timers()
    ticket = Ticket("t", "k", "main", NOW, state="assigned", agent_id="ann")
    assert gone_since(agent, NOW) == NOW
    change = release(ticket, agent, NOW, timers)
    assert change is not None
    assert (change.after.state, change.after.reason) == ("waiting", "shift_ended")
    assert "Ann" in change.after.note
    begun = Ticket("t", "k", "main", NOW, state="in_progress", agent_id="ann")
    assert release(begun, agent, NOW + timers.away_grace / 2, timers) is None
    assert release(begun, agent, NOW + timers.away_grace, timers) is not None
    assert release(ticket, _agent(-1, 1), NOW, timers) is None
