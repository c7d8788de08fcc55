"""The judge of calendar arithmetic: walks the clock minute by minute and adds open minutes up in an array."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from services.router.domain.calendar import Calendar, Interval

SPAN_DAYS = 21
ZONES = sorted(zone for zone in available_timezones() if zone not in ("Factory", "localtime"))


def random_calendar(rng: random.Random, zone: str, around: date) -> Calendar:
    """Split shifts, nights past midnight, closed days, make-up days and exceptions, all near `around`."""
    days = [around + timedelta(days=n) for n in range(-2, SPAN_DAYS + 2)]
    week = tuple(_hours(rng) for _ in range(7))
    if not any(week):
        week = (((540, 1020),), *week[1:])
    return Calendar(
        f"{zone} around {around}",
        ZoneInfo(zone),
        week,
        frozenset(rng.sample(days, rng.randint(0, 5))),
        {day: rng.randint(0, 6) for day in rng.sample(days, rng.randint(0, 2))},
        {day: _hours(rng) for day in rng.sample(days, rng.randint(0, 2))},
    )


def _hours(rng: random.Random) -> tuple[Interval, ...]:
    if rng.random() < 0.2:
        return ()
    found = []
    for _ in range(rng.randint(1, 3)):
        opens = rng.randrange(0, 1440)
        found.append((opens, opens + rng.randint(1, 1440)))
    return tuple(found)


def transition_near(zone: str, year: int, rng: random.Random) -> date:
    """A day shortly before the zone's clock is changed in that year, if it is; else any day."""
    info, begin = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    offsets = [(begin + timedelta(days=n)).astimezone(info).utcoffset() for n in range(365)]
    changes = [n for n in range(1, 365) if offsets[n] != offsets[n - 1]]
    day = rng.choice(changes) - rng.randint(0, 10) if changes else rng.randrange(365)
    return (begin + timedelta(days=day)).date()


class Oracle:
    """SPAN_DAYS from `around` on, in steps of a minute. Zones whose offset is not whole minutes are not for it."""

    def __init__(self, calendar: Calendar, around: date) -> None:
        self.begin = datetime(around.year, around.month, around.day, tzinfo=UTC)
        known: dict[date, list[bool]] = {}
        self.open: list[bool] = []
        for minute in range(SPAN_DAYS * 1440):
            wall = (self.begin + timedelta(minutes=minute)).astimezone(calendar.zone)
            day = wall.date()
            if day not in known:
                known[day] = [
                    any(a <= m < b for a, b in calendar.intervals(day))
                    or any(a <= m + 1440 < b for a, b in calendar.intervals(day - timedelta(days=1)))
                    for m in range(1440)
                ]
            self.open.append(known[day][wall.hour * 60 + wall.minute])
        self.sums = [0]
        for is_open in self.open:
            self.sums.append(self.sums[-1] + is_open)

    def cases(self, rng: random.Random, count: int) -> Iterator[tuple[datetime, int, datetime | None]]:
        """(start, minutes, due or None where it lies beyond the array): due is found by walking, not by searching."""
        for _ in range(count):
            start = rng.randrange(0, len(self.open) - 1)
            minutes = rng.randint(1, 2 * 1440)
            left, at = minutes, start
            if self.sums[-1] - self.sums[start] < minutes:
                yield self.begin + timedelta(minutes=start), minutes, None
                continue
            while left:
                left -= self.open[at]
                at += 1
            yield self.begin + timedelta(minutes=start), minutes, self.begin + timedelta(minutes=at)

    def between(self, start: datetime, end: datetime) -> timedelta:
        a, b = ((moment - self.begin) // timedelta(minutes=1) for moment in (start, end))
        return timedelta(minutes=self.sums[b] - self.sums[a])


def check(zone: str, year: int, seed: int, cases: int) -> tuple[int, list[str]]:
    """How many cases were compared on a random calendar of this zone, and what differed."""
    rng = random.Random(f"{zone} {year} {seed}")
    around = transition_near(zone, year, rng)
    calendar = random_calendar(rng, zone, around)
    oracle = Oracle(calendar, around)
    compared, wrong = 0, []
    for start, minutes, expected in oracle.cases(rng, cases):
        if expected is None:
            continue
        compared += 1
        span = timedelta(minutes=minutes)
        due = calendar.due(start, span)
        if due != expected or calendar.between(start, due) != span or oracle.between(start, due) != span:
            wrong.append(f"{calendar.name}: {minutes} min from {start} is {due}, not {expected}")
        back = calendar.before(due, span)
        if back < start or oracle.between(back, due) != span:
            wrong.append(f"{calendar.name}: {minutes} min before {due} is {back}")
    return compared, wrong
