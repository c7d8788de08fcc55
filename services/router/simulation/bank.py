"""Reads the call log of an anonymous bank (Mandelbaum, Sakov & Zeltyn 2000) as a trace."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from services.router.simulation.trace import Arrival, BadTrace, Duty, Trace

SHRINK = 20.0
"""An agent's pace in a type of call leans on the average by this many imagined calls."""

NEEDED = (
    "call_id", "priority", "customer_id", "type", "date", "vru_exit", "q_start", "q_time", "outcome", "ser_start",
    "ser_time", "server",
)  # fmt: skip

Call = dict[str, str]


def convert(path: Path) -> Trace:
    """The trace in a tab-separated call log. Phantom calls are left out; VIP is priority 2; an agent is on duty from
    the first to the last service of the day and can do what they ever did. Raises BadTrace."""
    calls = _load(path)
    start = min(_day(call) for call in calls)
    served = [call for call in calls if call["outcome"] == "AGENT" and call["server"].startswith("agent-")]
    served = [call for call in served if float(call["ser_time"]) > 0]
    paces = _paces(served)
    arrivals = sorted((_arrival(call, start, paces) for call in calls), key=lambda item: (item.at_s, item.ticket_id))
    return Trace(tuple(_numbered(arrivals)), tuple(_duties(served, start, paces)))


def _numbered(arrivals: Iterable[Arrival]) -> Iterable[Arrival]:
    """The log uses some ids twice a day; tickets that share one would be taken for one."""
    seen: dict[str, int] = {}
    for item in arrivals:
        seen[item.ticket_id] = times = seen.get(item.ticket_id, 0) + 1
        yield item if times == 1 else replace(item, ticket_id=f"{item.ticket_id}.{times}")


def _load(path: Path) -> list[Call]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadTrace(f"{path} cannot be read as text: {error}") from error
    reader = csv.DictReader(lines, delimiter="\t")
    missing = set(NEEDED) - set(reader.fieldnames or ())
    if missing:
        raise BadTrace(f"{path}: column {', '.join(sorted(missing))} is missing")
    calls = [dict(row) for row in reader if row["outcome"] != "PHANTOM"]
    if not calls:
        raise BadTrace(f"{path}: no call in it")
    return calls


def _day(call: Call) -> date:
    text = call["date"]
    return date(1900 + int(text[:2]), int(text[2:4]), int(text[4:]))


def _clock(text: str) -> float:
    span = timedelta()
    for part, unit in zip(text.split(":"), (3600, 60, 1), strict=True):
        span += timedelta(seconds=int(part) * unit)
    return span.total_seconds()


def _at(call: Call, start: date, column: str) -> float:
    return (_day(call) - start).days * 86400.0 + _clock(call[column])


def _paces(served: Iterable[Call]) -> dict[tuple[str, str], float]:
    """(agent, type) to minutes over the average agent's."""
    kinds: dict[str, list[float]] = {}
    cells: dict[tuple[str, str], list[float]] = {}
    for call in served:
        kinds.setdefault(call["type"], []).append(float(call["ser_time"]))
        cells.setdefault((call["server"], call["type"]), []).append(float(call["ser_time"]))
    means = {kind: sum(times) / len(times) for kind, times in kinds.items()}
    return {
        (agent, kind): (sum(times) + SHRINK * means[kind]) / (len(times) + SHRINK) / means[kind]
        for (agent, kind), times in cells.items()
    }


def _arrival(call: Call, start: date, paces: dict[tuple[str, str], float]) -> Arrival:
    waited, service = float(call["q_time"]), float(call["ser_time"])
    vip = call["priority"] == "2"
    pace = paces.get((call["server"], call["type"]), 1.0)
    return Arrival(
        f"{call['date']}-{call['call_id']}",
        _at(call, start, "q_start" if waited > 0 else "vru_exit"),
        call["type"],
        "priority" if vip else "standard",
        "vip" if vip else "",
        "" if call["customer_id"] == "0" else call["customer_id"],
        weight=3.0 if vip else 1.0,
        target_s=20.0 if vip else 30.0,
        work_s=round(service / pace, 2) if service > 0 else None,
        patience_s=waited,
        patience_seen=call["outcome"] == "HANG",
    )


def _duties(served: Iterable[Call], start: date, paces: dict[tuple[str, str], float]) -> Iterable[Duty]:
    spans: dict[tuple[date, str], tuple[float, float]] = {}
    for call in served:
        key = (_day(call), call["server"])
        begin = _at(call, start, "ser_start")
        first, last = spans.get(key, (begin, begin))
        spans[key] = (min(first, begin), max(last, begin + float(call["ser_time"])))
    for (_, agent), (first, last) in sorted(spans.items()):
        yield Duty(agent, first, last, {kind: pace for (name, kind), pace in paces.items() if name == agent})
