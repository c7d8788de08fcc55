"""Whoever has waited longest for work gets the ticket that has waited longest (the usual call-centre rule)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, Rank
from services.router.domain.pool import Seat, Work


def order(work: Work) -> float:
    """First in, first out, by when intake accepted the ticket."""
    return work.received_ts


def rank(seat: Seat) -> Rank:
    """By the last assignment; never assigned comes first."""
    return (seat.last_ts, seat.load)


POLICY = Policy("longest_idle", order, rank)
