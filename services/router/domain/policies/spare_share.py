"""B4: smallest share of capacity in use, ties to whoever is free longest; first in, first out (Azure)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_receipt, by_share_then_idle

POLICY = Policy("spare_share", by_receipt, by_share_then_idle)
