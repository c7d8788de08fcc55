"""The labels of a ticket and what one prediction consists of. Meanings: docs/taxonomy.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CATEGORIES = (
    "product_inquiry",
    "promotion_price",
    "order",
    "invoice",
    "logistics",
    "returns_refunds",
    "product_quality",
    "payment",
    "account",
    "service_complaint",
    "unclear",
    "other",
)
TIERS = ("urgent", "priority", "standard")
COMPLEXITIES = ("simple", "moderate", "complex")
SENTIMENTS = ("negative", "neutral", "positive")

LABELS: Mapping[str, tuple[str, ...]] = {
    "category": CATEGORIES,
    "tier": TIERS,
    "complexity": COMPLEXITIES,
    "sentiment": SENTIMENTS,
}
"""Every label with its slugs, in the order of the weights' columns. A test compares them with the contracts."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one text.

    language       BCP 47 code by script; "" where the text shows none.
    intent         slug of a frequent simple intent; "" as long as the model has no such list.
    confidence     probability of the category, 0 to 1.
    needs_review   True where a person should look: confidence is below the threshold of costs.toml.
    probabilities  label → slug → 0 to 1; every slug is there and each label sums to 1.
    reasons        at most 8 sentences in the order of their weight, without personal data.
    """

    category: str
    tier: str
    complexity: str
    sentiment: str
    language: str
    intent: str
    confidence: float
    needs_review: bool
    probabilities: Mapping[str, Mapping[str, float]]
    reasons: tuple[str, ...]
    model_version: str
