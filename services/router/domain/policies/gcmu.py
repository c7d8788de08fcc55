"""P2, generalised c-mu: cost grows with the square of the wait over the target (van Mieghem 1995; Mandelbaum & Stolyar
2004). The marginal cost, linear in the wait, is taken per minute of this agent's work."""

from __future__ import annotations

from services.router.domain.policies.policy import Moment, Policy, by_idle_time, by_receipt, mean_minutes, minutes
from services.router.domain.pool import Seat, Work


def marginal(work: Work, moment: Moment) -> float:
    """What the next minute of waiting costs; a little above 0 for a ticket just received."""
    return work.weight * (max(moment.now_ts - work.received_ts, 0.0) + 1.0) / (work.target_s or 14400.0)


def urgency(work: Work, moment: Moment) -> float:
    """Marginal cost over the average agent's minutes."""
    return marginal(work, moment) / mean_minutes(work, moment)


def parts(work: Work, seat: Seat, moment: Moment) -> dict[str, float]:
    """Marginal cost over this agent's minutes."""
    return {"delay_cost_per_minute": marginal(work, moment) / minutes(work, seat, moment)}


POLICY = Policy("gcmu", by_receipt, by_idle_time, consider=16, urgency=urgency, parts=parts)
