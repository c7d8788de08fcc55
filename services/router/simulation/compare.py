"""Several policies on the same luck, as a table and as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from services.router.domain.policies import POLICIES, Policy
from services.router.simulation import desk
from services.router.simulation.measures import WORDS, Measures, measure, paired
from services.router.simulation.trace import Trace

QUEUE_ORDERS = {
    "fifo": "longest_idle",
    "deadline": "earliest_deadline",
    "priority": "strict_priority",
    "age_score": "age_score",
}
"""Queue orders that can follow a policy's name after a slash: the policy whose order of tickets is taken."""


class UnknownPolicy(ValueError):
    """There is no such policy or queue order; the message names those there are."""


def policy_of(spec: str) -> Policy:
    """`longest_idle` as it is, or `longest_idle/priority`: that policy's choice of agents with another queue order."""
    name, _, order = spec.partition("/")
    if name not in POLICIES:
        raise UnknownPolicy(f"There is no policy {name}. Policies: {', '.join(sorted(POLICIES))}.")
    policy = POLICIES[name]
    if not order:
        return policy
    if order not in QUEUE_ORDERS or policy.parts is not None:
        raise UnknownPolicy(f"{spec}: queue orders are {', '.join(QUEUE_ORDERS)}, for policies that only rank agents.")
    return Policy(spec, POLICIES[QUEUE_ORDERS[order]].order, policy.rank, policy.score, policy.consider)


def compare(
    policies: Sequence[Policy], seeds: Iterable[int], trace_of: Callable[[int], Trace],
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, list[Measures]]:  # fmt: skip
    """Policy to its measures, one per seed. Every policy meets the same arrivals, work, patience and moods."""
    runs: dict[str, list[Measures]] = {policy.name: [] for policy in policies}
    for seed in seeds:
        trace = trace_of(seed)
        for policy in policies:
            runs[policy.name].append(measure(desk.run(trace, policy, seed)))
            progress(f"seed {seed}: {policy.name}")
    return runs


def report(runs: Mapping[str, Sequence[Measures]], base: str) -> str:
    """A table for reading: mean and half of the 95 % interval; below it the ratio to the base policy, paired."""
    found = paired(runs, base)
    names = [name for name in WORDS if any(name in row for row in found.values())]
    names += sorted({name for row in found.values() for name in row} - set(WORDS))
    width = max(24, *(len(name) + 2 for name in found))
    lines = ["".ljust(36) + "".join(policy.rjust(width) for policy in found)]
    for name in names:
        cells, ratios = [], []
        for row in found.values():
            cell = row.get(name)
            cells.append(f"{cell['mean']:.4g} ± {cell['half']:.2g}" if cell else "–")
            over = cell is not None and "over_base" in cell
            ratios.append(f"× {cell['over_base']:.3f} ± {cell['over_base_half']:.3f}" if cell and over else "")
        lines.append(WORDS.get(name, name).ljust(36) + "".join(cell.rjust(width) for cell in cells))
        if any(ratios):
            lines.append("".ljust(36) + "".join(ratio.rjust(width) for ratio in ratios))
    return "\n".join(lines)
