"""Routing policies, one file each, chosen by name per queue. To add one: a file here and a line in POLICIES."""

from __future__ import annotations

from collections.abc import Mapping

from services.router.domain.policies import earliest_deadline, longest_idle
from services.router.domain.policies.policy import Policy

POLICIES: Mapping[str, Policy] = {
    "longest_idle": longest_idle.POLICY,
    "earliest_deadline": earliest_deadline.POLICY,
}

__all__ = ["POLICIES", "Policy"]
