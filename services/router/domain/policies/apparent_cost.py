"""P3, apparent tardiness cost: weight per minute of work, discounted by the slack (Vepsalainen & Morton 1987)."""

from __future__ import annotations

from math import exp

from services.router.domain.policies.policy import Moment, Policy, by_deadline, by_idle_time, mean_minutes, minutes
from services.router.domain.pool import Seat, Work

LOOK_AHEAD = 2.0
"""Slack is measured in so many average tickets."""


def rate(work: Work, moment: Moment) -> float:
    """Weight, discounted by the slack."""
    slack_min = max(0.0, work.due_ts - moment.now_ts) / 60.0
    return work.weight * exp(-min(slack_min / (LOOK_AHEAD * max(moment.outlook.mean_min, 0.1)), 60.0))


def urgency(work: Work, moment: Moment) -> float:
    """Rate over the average agent's minutes."""
    return rate(work, moment) / mean_minutes(work, moment)


def parts(work: Work, seat: Seat, moment: Moment) -> dict[str, float]:
    """Rate over this agent's minutes."""
    return {"delay_cost_per_minute": rate(work, moment) / minutes(work, seat, moment)}


POLICY = Policy("apparent_cost", by_deadline, by_idle_time, consider=16, urgency=urgency, parts=parts)
