"""A trace: what arrived and who was on duty. Two CSV files, described in README.md."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

TICKET_COLUMNS = (
    "ticket_id", "at_s", "category", "tier", "customer_class", "customer_id", "weight", "target_s", "work_s",
    "patience_s", "patience_seen", "known_agent", "wish",
)  # fmt: skip
AGENT_COLUMNS = ("agent_id", "from_s", "until_s", "skills")


class BadTrace(ValueError):
    """A trace file lacks a column or holds a value that makes no sense; the message says where."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A ticket that arrives. Seconds from the start of the trace.

    weight         cost of a minute's delay, in those of an ordinary ticket.
    target_s       seconds within which work should begin.
    work_s         of an average agent; None: never served, drawn from others of its category.
    patience_s     after which the customer gives up; None: never.
    patience_seen  False: they were served after patience_s, and would have waited longer; the rest is drawn.
    complexity     as routing sees it; "" is unknown.
    label          category that routing sees; the true one comes out when work begins.
    """

    ticket_id: str
    at_s: float
    category: str
    tier: str = "standard"
    customer_class: str = ""
    customer_id: str = ""
    weight: float = 1.0
    target_s: float = 14400.0
    work_s: float | None = None
    patience_s: float | None = None
    patience_seen: bool = True
    known_agent: str = ""
    wish: float = 0.0
    complexity: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Duty:
    """A stretch of time that an agent is on duty. skills: by category, minutes over the average agent's."""

    agent_id: str
    from_s: float
    until_s: float
    skills: dict[str, float]


@dataclass(frozen=True, slots=True)
class Trace:
    """Arrivals in order of time, and duties.

    mean_patience_s  of the exponential law from which unseen patience is drawn; 0: customers wait for ever.
    decline          probability that an agent declines a ticket.
    effort_error     expected minutes are off by up to this factor either way, for each category and agent; 1: right.
    relief           share of the work that is left for an agent who knows the customer.
    history          tickets per agent and category, done before the trace begins, from which estimates were learned.
    """

    arrivals: tuple[Arrival, ...]
    duties: tuple[Duty, ...]
    mean_patience_s: float = 0.0
    decline: float = 0.0
    effort_error: float = 1.0
    relief: float = 1.0
    history: int = 0
    notes: dict[str, float] = field(default_factory=dict)


def write(folder: Path, trace: Trace) -> None:
    """Store arrivals and duties; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tickets.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(TICKET_COLUMNS)
        for item in trace.arrivals:
            row = [getattr(item, name) for name in TICKET_COLUMNS]
            out.writerow(
                ["" if value is None else int(value) if value is True or value is False else value for value in row]
            )
    with (folder / "agents.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(AGENT_COLUMNS)
        for duty in trace.duties:
            skills = ";".join(f"{name}:{pace:.4f}" for name, pace in sorted(duty.skills.items()))
            out.writerow([duty.agent_id, duty.from_s, duty.until_s, skills])


def read(folder: Path) -> Trace:
    """Load a trace. Raises BadTrace, naming file and line."""
    arrivals = sorted((_arrival(*item) for item in _rows(folder / "tickets.csv", TICKET_COLUMNS[:3])), key=_when)
    duties = tuple(_duty(*item) for item in _rows(folder / "agents.csv", AGENT_COLUMNS))
    if not arrivals or not duties:
        raise BadTrace(f"{folder}: a trace needs at least one ticket and one agent")
    return Trace(tuple(arrivals), duties, _mean_patience(arrivals))


def _rows(path: Path, needed: Iterable[str]) -> Iterable[tuple[str, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadTrace(f"{path} cannot be read: {error.strerror}") from error
    reader = csv.DictReader(text.splitlines())
    missing = set(needed) - set(reader.fieldnames or ())
    if missing:
        raise BadTrace(f"{path}: column {', '.join(sorted(missing))} is missing")
    for number, row in enumerate(reader, 2):
        yield f"{path}, line {number}", {name: value or "" for name, value in row.items() if name}


def _arrival(where: str, row: dict[str, str]) -> Arrival:
    def number(name: str) -> float | None:
        return float(row[name]) if row.get(name) else None

    try:
        return Arrival(
            row["ticket_id"], float(row["at_s"]), row["category"], row.get("tier") or "standard",
            row.get("customer_class", ""), row.get("customer_id", ""), number("weight") or 1.0,
            number("target_s") or 14400.0, number("work_s"), number("patience_s"), row.get("patience_seen") != "0",
            row.get("known_agent", ""), number("wish") or 0.0, row.get("complexity", ""),
        )  # fmt: skip
    except ValueError as error:
        raise BadTrace(f"{where}: {error}") from error


def _duty(where: str, row: dict[str, str]) -> Duty:
    try:
        pairs = [item.partition(":") for item in row["skills"].split(";") if item]
        skills = {name: float(pace or 1.0) for name, _, pace in pairs}
        return Duty(row["agent_id"], float(row["from_s"]), float(row["until_s"]), skills)
    except ValueError as error:
        raise BadTrace(f"{where}: {error}") from error


def _when(item: Arrival) -> tuple[float, str]:
    return (item.at_s, item.ticket_id)


def _mean_patience(arrivals: list[Arrival]) -> float:
    """Maximum likelihood for the exponential law, where some are only known to be longer."""
    total = sum(item.patience_s for item in arrivals if item.patience_s is not None)
    seen = sum(item.patience_s is not None and item.patience_seen for item in arrivals)
    return total / seen if seen else 0.0


def scale(trace: Trace, load: float, seed: int) -> Trace:
    """More or less of the same: each arrival once, plus a copy with probability load - 1 (several above 2) shifted
    by up to five minutes either way; below 1, each arrival with probability `load`."""
    random = Random(f"load/{seed}")  # noqa: S311  simulation, no secret
    chosen = []
    for item in trace.arrivals:
        copies = int(load) + (random.random() < load - int(load))
        if copies:
            chosen.append(item)
        for number in range(1, copies):
            at_s = max(0.0, item.at_s + random.uniform(-300.0, 300.0))
            chosen.append(replace(item, ticket_id=f"{item.ticket_id}+{number}", at_s=at_s))
    return replace(trace, arrivals=tuple(sorted(chosen, key=_when)))


def days(trace: Trace, first: int, last: int) -> Trace:
    """Only these days, counted from 1."""
    lower, upper = (first - 1) * 86400.0, last * 86400.0
    return replace(
        trace,
        arrivals=tuple(item for item in trace.arrivals if lower <= item.at_s < upper),
        duties=tuple(item for item in trace.duties if lower <= item.from_s < upper),
    )
