"""Working time against an oracle that adds up open minutes, and against days worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.router.domain.calendar import Calendar, parse
from tests.unit.router.calendar_oracle import ZONES, check

OFFICE = ["09:00-12:00", "13:30-18:00"]
CHINA = parse(
    {
        "office": {
            "zone": "Asia/Shanghai", "holidays": ["cn"], "mon": OFFICE, "tue": OFFICE, "wed": OFFICE, "thu": OFFICE,
            "fri": OFFICE, "exceptions": {"2026-11-11": ["00:00-24:00"], "2026-12-31": ["09:00-12:00"]},
        },
        "night": {"zone": "Asia/Shanghai", "every_day": ["22:00-06:00"]},
    },
    {"cn": {"closed": ["2026-10-01/2026-10-07"], "workdays": {"2026-09-20": "mon", "2026-10-10": "fri"}}},
)  # fmt: skip


def beijing(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)


@pytest.mark.parametrize("zone", ZONES[::30])
def test_due_agrees_with_the_minute_oracle_in_every_thirtieth_zone(zone: str) -> None:
    compared, wrong = check(zone, 2026, 1, cases=25)
    assert wrong == []
    assert compared


@pytest.mark.parametrize(
    ("start", "minutes", "due"),
    [
        ("2026-11-20 11:00", 120, "2026-11-20 14:30"),  # over lunch
        ("2026-11-20 17:00", 120, "2026-11-23 10:00"),  # over the weekend
        ("2026-11-20 11:00", 60, "2026-11-20 12:00"),  # to the last minute before lunch, not to the first after
        ("2026-11-21 08:00", 60, "2026-11-23 10:00"),  # begins while it is closed
        ("2026-11-11 20:00", 120, "2026-11-11 22:00"),  # an exception opens it
        ("2026-12-31 11:00", 120, "2027-01-01 10:00"),  # and closes it
    ],
)
def test_clock_with_a_lunch_break_counts_opening_hours_only(start: str, minutes: int, due: str) -> None:
    assert CHINA["office"].due(beijing(start), timedelta(minutes=minutes)) == beijing(due)


def test_clock_over_a_holiday_with_a_make_up_working_day_counts_that_day() -> None:
    start = beijing("2026-09-30 17:00")
    assert CHINA["office"].due(start, timedelta(hours=2)) == beijing("2026-10-08 10:00")
    saturday = beijing("2026-10-10 09:00")
    assert CHINA["office"].due(saturday, timedelta(hours=1)) == beijing("2026-10-10 10:00")
    assert CHINA["office"].between(beijing("2026-09-20 00:00"), beijing("2026-09-21 00:00")) == timedelta(hours=7.5)


def test_shift_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    assert CHINA["night"].due(beijing("2026-11-20 05:00"), timedelta(hours=2)) == beijing("2026-11-20 23:00")


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-03-29T00:30:00+00:00", 2, "2026-03-29T06:30:00+00:00"),  # 02:00 to 03:00 does not exist on the wall
        ("2026-10-25T00:30:00+00:00", 2, "2026-10-25T02:30:00+00:00"),  # 02:00 to 03:00 comes twice
    ],
)
def test_dst_does_not_shift_or_stretch_opening_hours(start: str, hours: int, due: str) -> None:
    berlin = Calendar("b", ZoneInfo("Europe/Berlin"), (((0, 1440),),) * 6 + (((0, 240), (480, 1440)),))
    assert berlin.due(datetime.fromisoformat(start), timedelta(hours=hours)) == datetime.fromisoformat(due)
    wall = berlin.due(datetime.fromisoformat(start), timedelta(hours=12)).astimezone(berlin.zone)
    assert berlin.between(datetime.fromisoformat(start), wall) == timedelta(hours=12)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"zone": "Moon/Base"}, "never opens"),
        ({"zone": "Moon/Base", "mon": ["09:00-10:00"]}, "Moon/Base"),
        ({"mon": ["9-17"]}, "not a time like"),
        ({"mon": ["09:00-25:00"]}, "not a time of the day"),
        ({"mon": "09:00-17:00"}, "list of intervals"),
        ({"mon": ["09:00-17:00"], "holidays": ["atlantis"]}, "unknown holidays"),
        ({"mon": ["09:00-17:00"], "moonday": []}, "unknown keys moonday"),
    ],
)
def test_calendar_that_makes_no_sense_is_refused_with_its_fault(row: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse({"bad": row}, {})


def test_calendar_that_does_not_open_again_says_so() -> None:
    once = parse({"x": {"mon": ["09:00-10:00"]}}, {})["x"]
    closed = Calendar("x", once.zone, ((),) * 7)
    with pytest.raises(ValueError, match="does not open"):
        closed.due(beijing("2026-11-20 11:00"), timedelta(minutes=1))
    assert not closed.always
