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


INTENTS = (
    "product_spec",
    "product_stock",
    "product_howto",
    "product_authentic",
    "warranty_terms",
    "coupon_use",
    "promotion_when",
    "price_protection",
    "points_membership_benefit",
    "gift_missing_promise",
    "order_cancel",
    "order_dispatch_when",
    "order_change_address",
    "order_change_item",
    "order_change_delivery_day",
    "order_place_help",
    "shipping_fee",
    "delivery_coverage",
    "invoice_request",
    "invoice_where",
    "invoice_change",
    "invoice_kind",
    "parcel_where",
    "delivery_when",
    "courier_contact",
    "pickup_point",
    "parcel_intercept",
    "return_open",
    "return_terms",
    "return_freight",
    "refund_progress",
    "exchange_open",
    "install_booking",
    "repair_where",
    "payment_methods",
    "payment_failed",
    "instalments",
    "gift_card",
    "login_help",
    "account_change",
    "account_close",
    "greeting",
    "human_agent",
    "thanks",
)
"""The frequent simple requests, for answers without an agent. A closed list: a request that is none of them, or that
is not simple, has the intent ""."""

NO_INTENT = ""

HEADS: Mapping[str, tuple[str, ...]] = {**LABELS, "intent": (NO_INTENT, *INTENTS)}
"""Everything that the weights decide."""

READ_FROM: Mapping[str, tuple[str, ...]] = {
    "core": tuple(head for head in HEADS if head != "sentiment"),
    "tone": ("sentiment",),
}
"""Form of a text → what is decided from it: tone is in courtesies and outbursts, which must not move anything else."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one text.

    language       BCP 47 code by script; "" where the text shows none.
    intent         slug of INTENTS; "" where the request is none of them or is not simple.
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
