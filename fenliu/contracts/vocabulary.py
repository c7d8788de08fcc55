"""The closed vocabularies that services share: labels of docs/taxonomy.md and states of a ticket."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

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

State = Literal[
    "received",
    "self_service",
    "waiting",
    "offered",
    "assigned",
    "in_progress",
    "on_hold",
    "resolved",
    "closed",
    "cancelled",
]
"""As a type, for the schemas of requests."""

STATES: tuple[str, ...] = get_args(State)
TERMINAL_STATES = frozenset({"closed", "cancelled"})

DEFAULT_DESK = "main"


@dataclass(frozen=True)
class Skill:
    """A skill of skills.toml: its slug, what people read, and the queue that takes over when nobody holds it."""

    slug: str
    label_en: str
    label_zh: str
    fallback: str


@cache
def skills() -> dict[str, Skill]:
    """All skills by slug."""
    table = tomllib.loads(files("fenliu.contracts").joinpath("skills.toml").read_text(encoding="utf-8"))
    return {slug: Skill(slug, row["label"]["en"], row["label"]["zh"], row["fallback"]) for slug, row in table.items()}
