"""P8: minutes times their price: an agent who alone can do what is scarce is dear (Harrison & Lopez 1999)."""

from __future__ import annotations

from services.router.domain.policies.policy import Moment, Policy, by_idle_time, by_receipt, minutes
from services.router.domain.pool import Seat, Work


def score(work: Work, seat: Seat, moment: Moment) -> float:
    """Expected minutes, each at the price of the scarcest skill that the agent has."""
    return minutes(work, seat, moment) * (0.1 + moment.outlook.top.get(seat.agent_id, 1.0))


POLICY = Policy("shadow_price", by_receipt, by_idle_time, score, consider=64)
