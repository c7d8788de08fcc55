"""B7: age plus a fixed credit of 90 s for whoever is not ordinary (Amazon; the rule of the bank in the trace)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_idle_time
from services.router.domain.pool import Work

CREDIT_S = 90.0


def order(work: Work) -> float:
    """Receipt, put back by the credit."""
    return work.received_ts - (CREDIT_S if work.weight > 1.0 else 0.0)


POLICY = Policy("age_credit", order, by_idle_time)
