"""Labels follow from expected cost, not from the likeliest slug."""

import pytest

from fenliu.contracts import vocabulary
from services.classifier.domain.decision import cheapest, parse_costs
from services.classifier.domain.label import CATEGORIES, COMPLEXITIES, SENTIMENTS, TIERS

COSTS = {
    "simple": {"simple": 0, "moderate": 10, "complex": 60},
    "moderate": {"simple": 10, "moderate": 0, "complex": 25},
    "complex": {"simple": 25, "moderate": 12, "complex": 0},
}
TABLE = "review_below = 0.3\n" + "\n".join(
    f"[{label}.{truth}]\n" + "\n".join(f"{said} = {0 if said == truth else 5}" for said in slugs)
    for label, slugs in (("tier", TIERS), ("complexity", COMPLEXITIES))
    for truth in slugs
)


def test_labels_equal_the_contracts() -> None:
    assert CATEGORIES == vocabulary.CATEGORIES
    assert TIERS == vocabulary.TIERS
    assert COMPLEXITIES == vocabulary.COMPLEXITIES
    assert SENTIMENTS == vocabulary.SENTIMENTS


def test_cheapest_a_doubtful_complex_is_moderate() -> None:
    assert cheapest(COMPLEXITIES, (0.3, 0.25, 0.45), COSTS) == "moderate"


def test_cheapest_a_certain_complex_is_complex() -> None:
    assert cheapest(COMPLEXITIES, (0.02, 0.08, 0.9), COSTS) == "complex"


def test_cheapest_equal_costs_take_the_first() -> None:
    assert cheapest(COMPLEXITIES, (0.5, 0.5, 0.0), COSTS) == "simple"


def test_costs_are_read() -> None:
    costs = parse_costs(TABLE)
    assert costs.review_below == 0.3
    assert costs.tier["urgent"]["standard"] == 5


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("urgent = 0", "urgent = 3"),
        ("complex = 5", "complex = -1"),
        ("priority = 5\n", ""),
        ("0.3", '"low"'),
        ("0.3", "1.5"),
    ],
)
def test_costs_a_wrong_table_is_refused(before: str, after: str) -> None:
    with pytest.raises(ValueError, match="costs: "):
        parse_costs(TABLE.replace(before, after, 1))
