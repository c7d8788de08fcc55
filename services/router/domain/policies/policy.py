"""What a routing policy is: an order of tickets and a preference among agents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.router.domain.pool import Seat, Work

Rank = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """order     epoch seconds; the ticket with the smallest goes first. Must not depend on the time of day, so that a
                 waiting ticket is placed in its bucket once.
    rank      the eligible agent with the smallest goes first; must only grow worse when the agent is given a ticket.
    score     optional: cost of giving this ticket to this agent now; the smallest among the first `consider` agents
              by rank wins, rank breaks ties. None means that rank alone decides.
    consider  how many agents are scored, at least 1.
    """

    name: str
    order: Callable[[Work], float]
    rank: Callable[[Seat], Rank]
    score: Callable[[Work, Seat, datetime], float] | None = None
    consider: int = 1
