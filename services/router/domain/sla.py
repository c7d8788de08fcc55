"""Service levels: when a ticket's first response and its resolution are due. Targets are data (sla.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

TIERS = ("urgent", "priority", "standard")
DEFAULT_CLASS = "standard"
DEFAULT_TIER = "standard"


@dataclass(frozen=True, slots=True)
class Target:
    """Promise for one tier and customer class, counted from the moment intake accepted the ticket."""

    first_response: timedelta
    resolution: timedelta


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    """A parsed sla.toml. targets: by (customer class, tier). hold: longest on_hold by who is awaited."""

    version: str
    targets: Mapping[tuple[str, str], Target]
    hold: Mapping[str, timedelta]

    def target(self, customer_class: str, tier: str) -> Target:
        """The promise; an unknown class or tier gets the standard one, so that a new slug never stops a ticket."""
        known_class = customer_class if (customer_class, DEFAULT_TIER) in self.targets else DEFAULT_CLASS
        return self.targets[(known_class, tier if tier in TIERS else DEFAULT_TIER)]

    def due(self, received_at: datetime, customer_class: str, tier: str) -> tuple[datetime, datetime]:
        """(first response due, resolution due), aware UTC."""
        target = self.target(customer_class, tier)
        return received_at + target.first_response, received_at + target.resolution


def parse(text: str) -> ServiceLevels:
    """Read sla.toml. Raises ValueError with every fault it finds, so that a bad table stops the start, not a ticket."""
    data = tomllib.loads(text)
    targets = {
        (customer_class, tier): Target(
            timedelta(minutes=row.get("first_response_min", 0)), timedelta(minutes=row.get("resolution_min", 0))
        )
        for customer_class, tiers in data.get("targets", {}).items()
        for tier, row in tiers.items()
    }
    hold = {awaited: timedelta(minutes=minutes) for awaited, minutes in data.get("hold_min", {}).items()}
    faults = _faults(str(data.get("version", "")), targets, hold)
    if faults:
        raise ValueError("sla.toml: " + "; ".join(faults))
    return ServiceLevels(data["version"], targets, hold)


def _faults(version: str, targets: Mapping[tuple[str, str], Target], hold: Mapping[str, timedelta]) -> list[str]:
    faults = [] if version else ["version is missing"]
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
        if any(row.first_response <= timedelta(0) or row.resolution < row.first_response for row in rows):
            faults.append(f"{name}: minutes must be above 0, and the resolution no earlier than the first response")
        for earlier, later in ((rows[0], rows[1]), (rows[1], rows[2])):
            if earlier.first_response > later.first_response or earlier.resolution > later.resolution:
                faults.append(f"{name}: urgent <= priority <= standard does not hold")
    if "customer" not in hold or any(span <= timedelta(0) for span in hold.values()):
        faults.append("hold_min must name customer, and every span must be above 0")
    return faults
