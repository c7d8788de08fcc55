"""python -m bench.calendar [--calendars 100] [--cases 10000]: due times against the oracle, and due times a second."""

from __future__ import annotations

import argparse
import json
import random
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from bench.machine import write_result
from services.router.domain.calendar import Calendar
from tests.unit.router.calendar_oracle import ZONES, check, random_calendar

YEARS = range(2015, 2036)


def compare(calendars: int, cases: int) -> dict[str, Any]:
    """Random calendars over all zones; a case that leaves the oracle's three weeks is replaced by another one."""
    rng = random.Random(20261122)
    zones = rng.sample(ZONES, len(ZONES))
    compared, wrong = 0, []
    for number in range(calendars):
        done = 0
        for seed in range(20):
            more, faults = check(zones[number % len(zones)], rng.choice(YEARS), seed, cases - done)
            done += more
            wrong += faults
            if done >= cases:
                break
        compared += done
    return {"calendars": calendars, "cases": compared, "mismatches": len(wrong), "first": wrong[:3]}


def every_zone(cases: int) -> dict[str, Any]:
    """Every IANA zone, on a calendar around a change of its clock."""
    compared, wrong = 0, []
    for zone in ZONES:
        more, faults = check(zone, 2026, 0, cases)
        compared += more
        wrong += faults
    return {"zones": len(ZONES), "cases": compared, "mismatches": len(wrong), "first": wrong[:3]}


def speed(count: int = 300_000) -> dict[str, Any]:
    """Due times a second on one core, on a calendar with holidays and three intervals a day."""
    rng = random.Random(7)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    calendar: Calendar = random_calendar(rng, "Asia/Shanghai", begin.date())
    starts = [begin + timedelta(seconds=rng.randrange(300 * 86400)) for _ in range(1000)]
    spans = [timedelta(minutes=rng.randint(1, 2880)) for _ in range(1000)]
    calendar.due(starts[0], timedelta(days=200))
    began = perf_counter()
    for number in range(count):
        calendar.due(starts[number % 1000], spans[number % 997])
    span = perf_counter() - began
    return {"due_times": count, "per_second": round(count / span), "microseconds_each": round(span / count * 1e6, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.calendar", description=__doc__)
    parser.add_argument("--calendars", type=int, default=100)
    parser.add_argument("--cases", type=int, default=10_000, help="per calendar")
    options = parser.parse_args()
    figures = {
        "oracle": compare(options.calendars, options.cases),
        "every_zone": every_zone(min(options.cases, 100)),
        "speed": speed(),
    }
    print(json.dumps(figures, indent=1))
    if options.calendars >= 100 and options.cases >= 10_000:
        print("stored in", write_result("calendar", figures))


if __name__ == "__main__":
    main()
