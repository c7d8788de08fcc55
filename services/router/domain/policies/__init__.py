"""Routing policies, one file each, chosen by name per queue. To add one: a file here and a line in POLICIES."""

from __future__ import annotations

from collections.abc import Mapping

from services.router.domain.policies import (
    age_credit,
    age_score,
    apparent_cost,
    best_match,
    cmu,
    earliest_deadline,
    fastest_first,
    fenliu,
    fewest_open,
    gcmu,
    longest_idle,
    min_cost_matching,
    random_agent,
    round_robin,
    shadow_price,
    spare_share,
    strict_priority,
)
from services.router.domain.policies.policy import Moment, Policy

_BASELINES = (
    random_agent, round_robin, longest_idle, fewest_open, spare_share, strict_priority, age_score, age_credit,
    best_match, earliest_deadline,
)  # fmt: skip
_SCIENCE = (cmu, gcmu, apparent_cost, fastest_first, shadow_price, min_cost_matching)

BASELINES = tuple(module.POLICY.name for module in _BASELINES)
"""B0 to B9, in order."""

POLICIES: Mapping[str, Policy] = {
    policy.name: policy
    for policy in (*(module.POLICY for module in (*_BASELINES, *_SCIENCE)), fenliu.POLICY, fenliu.FAIR)
}


def holds(policy: str) -> bool:
    """True where a ticket under this policy may wait for the agent who knows its customer."""
    return policy in POLICIES and POLICIES[policy].hold is not None


__all__ = ["BASELINES", "POLICIES", "Moment", "Policy", "holds"]
