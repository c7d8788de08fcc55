"""The ticket whose first response is due first goes to the agent with the smallest share of capacity in use."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, Rank
from services.router.domain.pool import Seat, Work


def order(work: Work) -> float:
    """By deadline. A ticket opened again keeps its old one, so it does not go to the end of the line."""
    return work.due_ts


def rank(seat: Seat) -> Rank:
    """By load over capacity, then by the longest time since the last assignment."""
    return (seat.load / seat.capacity if seat.capacity else 1.0, seat.last_ts)


POLICY = Policy("earliest_deadline", order, rank)
