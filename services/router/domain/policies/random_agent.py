"""B0, the floor: any eligible agent, first in, first out. The draw is a function of ticket and agent, so it repeats."""

from __future__ import annotations

from zlib import crc32

from services.router.domain.policies.policy import Moment, Policy, by_receipt, by_turn
from services.router.domain.pool import Seat, Work


def score(work: Work, seat: Seat, moment: Moment) -> float:
    """A number that has nothing to do with either."""
    return float(crc32(f"{work.ticket_id}/{seat.agent_id}".encode()))


POLICY = Policy("random", by_receipt, by_turn, score, consider=64)
