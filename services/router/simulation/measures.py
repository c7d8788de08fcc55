"""What a run was worth, and by how much two policies differ on the same luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from services.router.simulation.desk import Run

Measures = dict[str, float]

WORDS = {
    "wait_mean_s": "mean wait, s",
    "wait_p95_s": "95 % of waits below, s",
    "cost_weighted_wait_s": "cost-weighted wait, s",
    "service_level": "begun within target",
    "worst_service_level": "… in the worst tier",
    "weighted_tardiness_s": "weighted tardiness, s",
    "abandoned": "gave up",
    "occupancy_mean": "occupancy, mean",
    "occupancy_gini": "occupancy, Gini",
    "work_per_ticket_s": "work per ticket, s",
    "affinity": "reached the known agent",
    "hand_overs": "hand-overs per ticket",
}
"""Name of a measure to its title; measures by class and tier follow these."""


def measure(run: Run) -> Measures:
    """The figures of one run. Waits count for everybody, also for who gave up; the service level counts who was served
    within the target over all who came; tardiness is weighted by the cost of delay and averaged over tickets."""
    fates = run.fates
    waits = np.array([fate.wait_s for fate in fates])
    weights = np.array([fate.arrival.weight for fate in fates])
    targets = np.array([fate.arrival.target_s for fate in fates])
    within = np.array([fate.served for fate in fates]) & (waits <= targets)
    shares = np.array(list(run.occupancy.values()))
    found = {
        "wait_mean_s": float(waits.mean()),
        "wait_p95_s": float(np.quantile(waits, 0.95)),
        "cost_weighted_wait_s": float((waits * weights).sum() / weights.sum()),
        "service_level": float(within.mean()),
        "weighted_tardiness_s": float((np.maximum(waits - targets, 0.0) * weights).sum() / weights.sum()),
        "abandoned": float(np.mean([fate.abandoned for fate in fates])),
        "occupancy_mean": float(shares.mean()),
        "occupancy_gini": gini(shares),
        "work_per_ticket_s": run.work_s / max(sum(fate.served for fate in fates), 1),
        "hand_overs": sum(fate.hand_overs for fate in fates) / len(fates),
    }
    known = [fate for fate in fates if fate.known and fate.served]
    if known:
        found["affinity"] = sum(fate.agent_id == fate.known for fate in known) / len(known)
    tiers = np.array([fate.arrival.tier for fate in fates])
    levels = {str(tier): float(within[tiers == tier].mean()) for tier in np.unique(tiers)}
    found["worst_service_level"] = min(levels.values())
    found |= {f"service_level_{tier}": level for tier, level in levels.items()}
    classes = np.array([fate.arrival.customer_class or "ordinary" for fate in fates])
    found |= {f"wait_mean_s_{name}": float(waits[classes == name].mean()) for name in np.unique(classes)}
    return found


def gini(values: np.ndarray) -> float:
    """0 where all are equal, towards 1 where one has everything; 0 for nothing."""
    ordered = np.sort(np.asarray(values, dtype=float))
    total, count = float(ordered.sum()), len(ordered)
    if not total:
        return 0.0
    return float((2 * np.arange(1, count + 1) - count - 1) @ ordered / (count * total))


_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
        2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045)  # fmt: skip
"""Student's t, two-sided 95 %, for 1 to 29 degrees of freedom; above, a little on the wide side."""


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of the replications and half the width of its 95 % interval; the half is 0 for a single one."""
    count = len(values)
    mean = float(np.mean(values))
    if count < 2:
        return mean, 0.0
    student = _T95[min(count - 2, len(_T95) - 1)]
    return mean, float(student * np.std(values, ddof=1) / count**0.5)


def paired(runs: Mapping[str, Sequence[Measures]], base: str) -> dict[str, dict[str, dict[str, float]]]:
    """Policy to measure to mean, half width, and difference from and ratio to the base policy, each with half width.

    The k-th entries of all policies met the same luck; the intervals are of the differences (ratios) per replication.
    """
    result: dict[str, dict[str, dict[str, float]]] = {}
    for policy, held in runs.items():
        result[policy] = {}
        for name in held[0]:
            mine = [item.get(name, 0.0) for item in held]
            other = [item.get(name, 0.0) for item in runs[base]]
            row = dict(zip(("mean", "half"), interval(mine), strict=True))
            pairs = list(zip(mine, other, strict=True))
            row["minus_base"], row["minus_base_half"] = interval([a - b for a, b in pairs])
            if all(b for _, b in pairs):
                row["over_base"], row["over_base_half"] = interval([a / b for a, b in pairs])
            result[policy][name] = row
    return result
