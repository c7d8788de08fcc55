"""B8: the agent whose level best matches the need, by a logistic score; first in, first out (Azure best worker)."""

from __future__ import annotations

from math import exp

from services.router.domain.policies.policy import Moment, Policy, by_idle_time, by_receipt
from services.router.domain.pool import Seat, Work


def score(work: Work, seat: Seat, moment: Moment) -> float:
    """Minus the match, 0 to 1; 1 where nothing particular is needed."""
    if not work.needed.skill:
        return -1.0
    need = max(work.needed.level, 0.1)
    return -1.0 / (1.0 + exp(-(seat.agent.skills.get(work.needed.skill, 0.0) - need) / need))


POLICY = Policy("best_match", by_receipt, by_idle_time, score, consider=64)
