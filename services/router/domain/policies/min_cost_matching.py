"""P10: the matching of the least total cost, where a pair costs its minutes less the marginal cost of waiting."""

from __future__ import annotations

from services.router.domain.policies.gcmu import marginal, urgency
from services.router.domain.policies.policy import Moment, Policy, by_idle_time, by_receipt, minutes
from services.router.domain.pool import Seat, Work


def parts(work: Work, seat: Seat, moment: Moment) -> dict[str, float]:
    """What waiting costs, less the minutes that the pair takes."""
    return {"delay_cost": marginal(work, moment), "work": -minutes(work, seat, moment)}


POLICY = Policy("min_cost_matching", by_receipt, by_idle_time, consider=16, urgency=urgency, parts=parts)
