"""Service levels: what was promised to whom by when, on which calendar. All of it is data (sla.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.router.domain import calendar
from services.router.domain.calendar import Calendar

TIERS = ("urgent", "priority", "standard")
DEFAULT_CLASS = "standard"
DEFAULT_TIER = "standard"
DEPARTMENTS = ("operations", "warehouse", "product", "sales", "finance", "technology")
PARTIES = ("customer", "carrier", "third_party", *DEPARTMENTS)
"""Who can be awaited. Only waiting for the customer stops the clocks of what was promised to the customer."""

STEPS = ("warn", "widen", "notify", "second_line", "overflow")
"""The escalation ladder; `Ticket.escalation` is how many of its steps were taken or passed over. warn: the agent and
the board see it; widen: weaker matches will do; notify: a supervisor shall acknowledge; then two queues in turn."""


@dataclass(frozen=True, slots=True)
class Target:
    """Promise for one tier and customer class in working time. first_response and resolution count from the moment
    intake accepted the ticket, next_response from a customer's message that nobody has answered.

    calendar  name of the calendar that goes before the region's; "" is the region's.
    """

    first_response: timedelta
    resolution: timedelta
    next_response: timedelta
    calendar: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """How long somebody may be awaited.

    target      after this the ticket comes back to its agent.
    remind      after this the party is reminded: it stands first in its list. None: never.
    owner       who answers for the party.
    supervisor  True where a supervisor is told when the target has passed.
    calendar    name of the party's calendar; "" is the default.
    """

    target: timedelta
    remind: timedelta | None = None
    owner: str = ""
    supervisor: bool = False
    calendar: str = ""


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    """A parsed sla.toml.

    targets    by (customer class, tier).
    holds      by who is awaited.
    calendars  by name; `default` is the name of the one that counts where nothing else is said.
    regions    region, or its part before the first "-", to name of calendar.
    ladder     steps with the share of the target at which they are due; 1 is the due time itself.
    queues     queue of the steps second_line and overflow.
    silence    share of the first-response target for which an agent may leave a ticket untouched; 0: for ever.
    """

    version: str
    targets: Mapping[tuple[str, str], Target]
    holds: Mapping[str, Hold]
    calendars: Mapping[str, Calendar]
    default: str
    regions: Mapping[str, str]
    ladder: Mapping[str, float]
    queues: Mapping[str, str]
    silence: float

    def target(self, customer_class: str, tier: str) -> Target:
        """The promise; an unknown class or tier gets the standard one, so that a new slug never stops a ticket."""
        known_class = customer_class if (customer_class, DEFAULT_TIER) in self.targets else DEFAULT_CLASS
        return self.targets[(known_class, tier if tier in TIERS else DEFAULT_TIER)]

    def hours(self, target: Target, region: str) -> Calendar:
        """The calendar on which a promise to a customer of this region is counted."""
        regional = self.regions.get(region) or self.regions.get(region.partition("-")[0])
        return self.calendars[target.calendar or regional or self.default]

    def hold_hours(self, hold: Hold) -> Calendar:
        """The calendar on which a party is awaited."""
        return self.calendars[hold.calendar or self.default]

    def due(self, received_at: datetime, customer_class: str, tier: str, region: str = "") -> tuple[datetime, datetime]:
        """(first response due, resolution due), aware UTC."""
        target = self.target(customer_class, tier)
        hours = self.hours(target, region)
        return hours.due(received_at, target.first_response), hours.due(received_at, target.resolution)


def parse(text: str) -> ServiceLevels:
    """Read sla.toml. Raises ValueError with every fault it finds, so that a bad table stops the start, not a ticket."""
    data = tomllib.loads(text)
    try:
        calendars = calendar.parse(data.get("calendars", {}), data.get("holidays", {}))
    except ValueError as error:
        raise ValueError(f"sla.toml: {error}") from error
    if not calendars:
        calendars = calendar.parse({"always": {"every_day": ["00:00-24:00"]}}, {})
    ladder = dict(data.get("ladder", {}))
    levels = ServiceLevels(
        str(data.get("version", "")),
        targets={
            (customer_class, tier): _target(row)
            for customer_class, tiers in data.get("targets", {}).items()
            for tier, row in tiers.items()
        },
        holds={party: _hold(row) for party, row in data.get("hold", {}).items()},
        calendars=calendars,
        default=data.get("calendar", next(iter(calendars))),
        regions=data.get("regions", {}),
        queues={step: ladder.pop(f"{step}_queue", "") for step in STEPS[-2:]},
        ladder=ladder,
        silence=data.get("silence", 0.0),
    )
    faults = _target_faults(levels.targets) + _faults(levels)
    if faults:
        raise ValueError("sla.toml: " + "; ".join(faults))
    return levels


def _minutes(row: Mapping[str, Any], key: str, otherwise: float) -> timedelta:
    return timedelta(minutes=row.get(key, otherwise))


def _target(row: Mapping[str, Any]) -> Target:
    first = row.get("first_response_min", 0)
    return Target(
        timedelta(minutes=first),
        _minutes(row, "resolution_min", 0),
        _minutes(row, "next_response_min", first),
        row.get("calendar", ""),
    )


def _hold(row: Mapping[str, Any]) -> Hold:
    remind = _minutes(row, "remind_min", 0) if "remind_min" in row else None
    return Hold(
        _minutes(row, "target_min", 0),
        remind,
        row.get("owner", ""),
        bool(row.get("supervisor", False)),
        row.get("calendar", ""),
    )


def _target_faults(targets: Mapping[tuple[str, str], Target]) -> list[str]:
    faults = []
    classes = dict.fromkeys(name for name, _ in targets)
    if DEFAULT_CLASS not in classes:
        faults.append(f"class {DEFAULT_CLASS} is missing")
    for name in classes:
        missing = [tier for tier in TIERS if (name, tier) not in targets]
        faults += [f"{name}.{tier} is missing" for tier in missing]
        faults += [f"{name}.{tier} is not a tier" for other, tier in targets if other == name and tier not in TIERS]
        if missing:
            continue
        rows = [targets[(name, tier)] for tier in TIERS]
        none = timedelta(0)
        if any(
            min(row.first_response, row.next_response) <= none or row.resolution < row.first_response for row in rows
        ):
            faults.append(f"{name}: minutes must be above 0, and the resolution no earlier than the first response")
        for earlier, later in ((rows[0], rows[1]), (rows[1], rows[2])):
            if earlier.first_response > later.first_response or earlier.resolution > later.resolution:
                faults.append(f"{name}: urgent <= priority <= standard does not hold")
    return faults


def _faults(levels: ServiceLevels) -> list[str]:
    faults = [] if levels.version else ["version is missing"]
    named = {levels.default, *levels.regions.values()}
    named |= {target.calendar for target in levels.targets.values()} | {hold.calendar for hold in levels.holds.values()}
    faults += [f"unknown calendar {name}" for name in sorted(named - levels.calendars.keys() - {""})]
    if "customer" not in levels.holds:
        faults.append("hold must name customer")
    for party, hold in levels.holds.items():
        if party not in PARTIES:
            faults.append(f"hold.{party}: must be one of {', '.join(PARTIES)}")
        if hold.target <= timedelta(0) or not timedelta(0) < (hold.remind or hold.target) <= hold.target:
            faults.append(f"hold.{party}: target_min must be above 0, and remind_min lie between 0 and it")
    shares = [levels.ladder[step] for step in STEPS if step in levels.ladder]
    if levels.ladder.keys() - set(STEPS) or shares != sorted(shares) or any(share <= 0 for share in shares):
        faults.append(f"ladder: shares above 0 that do not fall, of {', '.join(STEPS)}")
    faults += [
        f"ladder: {step}_queue is missing"
        for step, queue in levels.queues.items()
        if step in levels.ladder and not queue
    ]
    if not 0 <= levels.silence <= 1:
        faults.append("silence must lie between 0 and 1")
    return faults + _closed_faults(levels)


def _closed_faults(levels: ServiceLevels) -> list[str]:
    """Calendars that do not open often enough for what is promised on them."""
    longest = max((target.resolution for target in levels.targets.values()), default=timedelta(0))
    faults = []
    for hours in levels.calendars.values():
        try:
            hours.due(datetime(2026, 1, 1, tzinfo=UTC), longest)
        except ValueError as error:
            faults.append(str(error))
    return faults
