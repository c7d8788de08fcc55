"""P1, c-mu: the greatest cost of delay per minute of this agent's work (Cox & Smith 1961; Buyukkoc et al. 1985)."""

from __future__ import annotations

from services.router.domain.policies.policy import Moment, Policy, by_idle_time, by_receipt, mean_minutes, minutes
from services.router.domain.pool import Seat, Work


def urgency(work: Work, moment: Moment) -> float:
    """Weight over the average agent's minutes."""
    return work.weight / mean_minutes(work, moment)


def parts(work: Work, seat: Seat, moment: Moment) -> dict[str, float]:
    """Weight over this agent's minutes."""
    return {"delay_cost_per_minute": work.weight / minutes(work, seat, moment)}


POLICY = Policy("cmu", by_receipt, by_idle_time, consider=16, urgency=urgency, parts=parts)
