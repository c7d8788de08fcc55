"""From probabilities to labels: the label whose expected cost is lowest, not the likeliest one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.classifier.domain.label import COMPLEXITIES, TIERS


@dataclass(frozen=True)
class Costs:
    """What wrong labels cost, in minutes of somebody's time, and when a person should look.

    tier, complexity  truth → decided → minutes; 0 where they agree.
    review_below      probability of the category, 0 to 1, under which the ticket says needs_review.
    """

    tier: Mapping[str, Mapping[str, float]]
    complexity: Mapping[str, Mapping[str, float]]
    review_below: float


def parse_costs(text: str) -> Costs:
    """Read costs.toml. Raises ValueError with the place where a pair is absent, negative or not zero on agreement."""
    table = tomllib.loads(text)
    for label, slugs in (("tier", TIERS), ("complexity", COMPLEXITIES)):
        for truth in slugs:
            for decided in slugs:
                minutes = table.get(label, {}).get(truth, {}).get(decided)
                if not isinstance(minutes, int | float) or minutes < 0 or (minutes == 0) != (truth == decided):
                    raise ValueError(f"costs: {label}.{truth}.{decided} must be minutes above 0, and 0 on agreement")
    threshold = table.get("review_below")
    if not isinstance(threshold, float) or not 0 <= threshold <= 1:
        raise ValueError("costs: review_below must be a number from 0 to 1")
    return Costs(table["tier"], table["complexity"], threshold)


def cheapest(slugs: Sequence[str], probabilities: Sequence[float], costs: Mapping[str, Mapping[str, float]]) -> str:
    """The slug with the lowest expected cost; the earlier one of `slugs` where two are equal."""
    return min(
        slugs,
        key=lambda decided: sum(
            probability * costs[truth][decided] for truth, probability in zip(slugs, probabilities, strict=True)
        ),
    )
