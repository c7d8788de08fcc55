"""Working time: when somebody is there, and when so much working time will have passed.

A calendar says what the clock on the wall shows while it is open. An instant is open where the zone's wall clock shows
a time inside an interval: an hour that is repeated in autumn counts twice, one that is skipped in spring not at all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_S = 86400
HORIZON_Y = 20
"""Years after which a search gives up: no working calendar is closed for so long."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MILLION = 1_000_000

Interval = tuple[int, int]
"""Minutes after midnight, from (inclusive) and to (exclusive); above 1440 it reaches into the next day, at most to
2880. It belongs to the day on which it begins."""


@dataclass(frozen=True, slots=True)
class _Year:
    """Open spans that lie in one UTC year, µs since 1970, in order; `before` is the open time ahead of each span."""

    starts: list[int]
    ends: list[int]
    before: list[int]
    total: int


@dataclass(frozen=True)
class Calendar:
    """Opening hours in one zone. Intervals of a day may overlap or be none.

    week        intervals by weekday, Monday first.
    holidays    days that are closed.
    workdays    make-up days: worked like the weekday (0 is Monday) that they stand for, holiday or not.
    exceptions  days with hours of their own, which go before everything else.
    """

    name: str
    zone: ZoneInfo
    week: tuple[tuple[Interval, ...], ...]
    holidays: frozenset[date] = frozenset()
    workdays: Mapping[date, int] = field(default_factory=dict)
    exceptions: Mapping[date, tuple[Interval, ...]] = field(default_factory=dict)
    _years: dict[int, _Year] = field(default_factory=dict, repr=False, compare=False)
    """What was worked out so far; a memory, not a fact."""

    @property
    def always(self) -> bool:
        """True where it never closes, which needs no arithmetic."""
        never_closed = not self.holidays and not self.workdays and not self.exceptions
        return never_closed and all(day == ((0, 1440),) for day in self.week)

    def intervals(self, day: date) -> tuple[Interval, ...]:
        """Those that begin on this day of the wall calendar."""
        if day in self.exceptions:
            return self.exceptions[day]
        if day in self.workdays:
            return self.week[self.workdays[day]]
        return () if day in self.holidays else self.week[day.weekday()]

    def due(self, start: datetime, span: timedelta) -> datetime:
        """The first moment at which `span` (above 0) of working time has passed since `start`. Aware UTC.

        Raises ValueError where the calendar does not open for so long within twenty years.
        """
        if self.always:
            return start + span
        start = start if start.tzinfo is UTC else start.astimezone(UTC)
        first = start.year
        left = self._passed(first, _micros(start - _EPOCH)) + _micros(span)
        for number in range(first, first + HORIZON_Y):
            year = self._years.get(number) or self._year(number)
            if left <= year.total:
                index = bisect_left(year.before, left) - 1
                return _EPOCH + timedelta(0, 0, year.starts[index] + left - year.before[index])
            left -= year.total
        raise ValueError(f"calendar {self.name} does not open for {span} within {HORIZON_Y} years")

    def before(self, end: datetime, span: timedelta) -> datetime:
        """The last moment from which `span` (above 0) of working time passes until `end`. The mirror image of due."""
        if self.always:
            return end - span
        last = end.astimezone(UTC).year
        left = self._passed(last, _micros(end - _EPOCH)) - _micros(span)
        for number in range(last, last - HORIZON_Y, -1):
            year = self._year(number)
            if left >= 0 and year.starts:
                index = bisect_right(year.before, left) - 1
                begun = year.starts[index] + left - year.before[index]
                if begun < year.ends[index]:
                    return _EPOCH + timedelta(microseconds=begun)
            left += self._year(number - 1).total
        raise ValueError(f"calendar {self.name} was not open for {span} within {HORIZON_Y} years")

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Working time from `start` to `end`; negative where `end` is earlier."""
        if self.always:
            return end - start
        first, last = start.astimezone(UTC).year, end.astimezone(UTC).year
        if last < first:
            return -self.between(end, start)
        whole = sum(self._year(number).total for number in range(first, last))
        passed = self._passed(last, _micros(end - _EPOCH)) - self._passed(first, _micros(start - _EPOCH))
        return timedelta(microseconds=whole + passed)

    def span(self, at: datetime) -> tuple[datetime, datetime] | None:
        """(opens, closes) of the open time that holds `at`, or else of the next; None where it never closes or does
        not open any more. Aware UTC."""
        if self.always:
            return None
        micros, number = _micros(at - _EPOCH), at.astimezone(UTC).year
        for year in map(self._year, range(number, number + HORIZON_Y)):
            index = bisect_right(year.ends, micros)
            if index < len(year.ends):
                start, end = year.starts[index], year.ends[index]
                after = self._year(number + 1) if index == len(year.ends) - 1 else None
                if after is not None and after.starts and after.starts[0] == end:  # open over New Year
                    end = after.ends[0]
                return _EPOCH + timedelta(microseconds=start), _EPOCH + timedelta(microseconds=end)
            number += 1
        return None

    def _passed(self, number: int, at: int) -> int:
        """Working time from the start of the year to `at`, µs."""
        year = self._years.get(number) or self._year(number)
        index = bisect_right(year.starts, at) - 1
        return 0 if index < 0 else year.before[index] + min(at, year.ends[index]) - year.starts[index]

    def _year(self, number: int) -> _Year:
        found = self._years.get(number)
        if found is None:
            found = self._years[number] = self._work_out(number)
        return found

    def _work_out(self, number: int) -> _Year:
        begin, end = _seconds(date(number, 1, 1)), _seconds(date(number + 1, 1, 1))
        spans: list[Interval] = []
        for since, until, offset in _offsets(self.zone, begin, end):
            # Wall-clock days that this stretch touches, and the day before, whose intervals may reach into it.
            first, last = (since + offset) // DAY_S - 1, (until - 1 + offset) // DAY_S
            for day in range(first, last + 1):
                midnight = day * DAY_S - offset
                for opens, closes in self.intervals(date.fromordinal(day + _EPOCH_DAY)):
                    a, b = max(midnight + opens * 60, since), min(midnight + closes * 60, until)
                    if a < b:
                        spans.append((a, b))
        merged = _merged(spans)
        starts, ends = [a * _MILLION for a, _ in merged], [b * _MILLION for _, b in merged]
        sums = [0, *accumulate(b - a for a, b in zip(starts, ends, strict=True))]
        return _Year(starts, ends, sums[:-1], sums[-1])


def _micros(span: timedelta) -> int:
    """A third of the time of span // timedelta(microseconds=1)."""
    return (span.days * DAY_S + span.seconds) * _MILLION + span.microseconds


def _seconds(day: date) -> int:
    return (day.toordinal() - _EPOCH_DAY) * DAY_S


def _merged(spans: Iterable[Interval]) -> list[Interval]:
    """The same seconds as spans in order that neither overlap nor touch."""
    merged: list[Interval] = []
    for a, b in sorted(spans):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


def _offsets(zone: ZoneInfo, begin: int, end: int) -> list[tuple[int, int, int]]:
    """(since, until, offset), Unix seconds and seconds east of UTC, from `begin` to `end` without gap.

    zoneinfo does not tell its transitions: they are searched between samples six hours apart.
    """
    found: list[tuple[int, int, int]] = []
    since, offset, at = begin, _offset(zone, begin), begin
    while at < end:
        following = min(at + 21600, end)
        then = _offset(zone, following - 1)
        if then != offset:
            low, high = at - 1, following - 1  # the old offset at low (the last sample), another one at high
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            found.append((since, high, offset))
            since, offset, at = high, _offset(zone, high), high
        else:
            at = following
    return [*found, (since, end, offset)]


def _offset(zone: ZoneInfo, at: int) -> int:
    shift = datetime.fromtimestamp(at, zone).utcoffset()
    return shift.days * DAY_S + shift.seconds if shift is not None else 0


def parse(calendars: Mapping[str, Any], holidays: Mapping[str, Any]) -> dict[str, Calendar]:
    """Calendars by name from the tables [calendars] and [holidays] of sla.toml. Raises ValueError with every fault."""
    found: dict[str, Calendar] = {}
    faults: list[str] = []
    for name, row in calendars.items():
        try:
            found[name] = _calendar(name, row, holidays)
        except (ValueError, ZoneInfoNotFoundError, TypeError, AttributeError) as error:
            faults.append(f"calendar {name}: {error}")
    if faults:
        raise ValueError("; ".join(faults))
    return found


def _calendar(name: str, row: Mapping[str, Any], holidays: Mapping[str, Any]) -> Calendar:
    unknown = set(row) - {"zone", "holidays", "exceptions", "every_day", *DAYS}
    if unknown:
        raise ValueError(f"unknown keys {', '.join(sorted(unknown))}")
    week = tuple(_intervals(row.get(day, row.get("every_day", []))) for day in DAYS)
    if not any(week):
        raise ValueError("it never opens")
    closed: set[date] = set()
    workdays: dict[date, int] = {}
    for listed in row.get("holidays", []):
        if listed not in holidays:
            raise ValueError(f"unknown holidays {listed}")
        closed |= {day for entry in holidays[listed].get("closed", []) for day in _days(entry)}
        workdays |= {
            date.fromisoformat(day): DAYS.index(like) for day, like in holidays[listed].get("workdays", {}).items()
        }
    exceptions = {date.fromisoformat(day): _intervals(hours) for day, hours in row.get("exceptions", {}).items()}
    return Calendar(name, ZoneInfo(row.get("zone", "UTC")), week, frozenset(closed), workdays, exceptions)


def _days(entry: str) -> list[date]:
    """One day "2026-10-01", or both ends of several "2026-10-01/2026-10-07"."""
    first, _, last = entry.partition("/")
    begin, end = date.fromisoformat(first), date.fromisoformat(last or first)
    if end < begin:
        raise ValueError(f"{entry} ends before it begins")
    return [begin + timedelta(days=n) for n in range((end - begin).days + 1)]


def _intervals(hours: Iterable[str]) -> tuple[Interval, ...]:
    """From "09:00-12:00"; an end that is not later than the beginning lies in the next day."""
    if isinstance(hours, str):
        raise TypeError(f"{hours!r} must be a list of intervals")
    return tuple(_interval(text) for text in hours)


def _interval(text: str) -> Interval:
    opens, dash, closes = text.partition("-")
    begin, end = _minute(opens), _minute(closes)
    if not dash or begin == 1440:
        raise ValueError(f"{text!r} is not like 09:00-12:30")
    return begin, end if end > begin else end + 1440


def _minute(text: str) -> int:
    hour, colon, minute = text.strip().partition(":")
    if not (colon and hour.isdigit() and len(minute) == 2 and minute.isdigit()):
        raise ValueError(f"{text!r} is not a time like 09:00")
    at = int(hour) * 60 + int(minute)
    if int(minute) > 59 or at > 1440:
        raise ValueError(f"{text!r} is not a time of the day")
    return at
