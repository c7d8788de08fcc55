"""B6: minutes waited plus minutes for priority (Genesys): 10 minutes for each step of weight above the ordinary."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_idle_time
from services.router.domain.pool import Work

CREDIT_MIN = 10.0


def order(work: Work) -> float:
    """Receipt, put back by the credit; the score's order does not change with time."""
    return work.received_ts - 60.0 * CREDIT_MIN * (work.weight - 1.0)


POLICY = Policy("age_score", order, by_idle_time)
