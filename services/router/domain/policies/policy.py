"""What a routing policy is: an order of tickets, a preference among agents, and for some a value of each pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from services.router.domain.outlook import Outlook
from services.router.domain.pool import Seat, Work

Rank = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """What holds for a whole plan.

    now_ts       epoch seconds.
    backlog      waiting tickets per agent online.
    backlog_min  minutes of work that wait, per agent online.
    queue_min    by skill: minutes of work that wait, per agent online who can do it, each agent shared out evenly among
                 their skills. Skills that nobody online has are left out.
    """

    now_ts: float
    outlook: Outlook
    backlog: float = 0.0
    backlog_min: float = 0.0
    queue_min: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """order     epoch seconds; within a bucket the ticket with the smallest goes first. Must not depend on the time of
                 day, so that a waiting ticket is placed in its bucket once.
    rank      the eligible agent with the smallest goes first; must only grow worse when the agent is given a ticket.
    score     optional: cost of giving this ticket to this agent now; the smallest among the first `consider` agents
              by rank wins, rank breaks ties. None means that rank alone decides.
    consider  how many agents are scored, at least 1.
    urgency   optional: how pressing a bucket's head is now, larger is sooner. None means that `order` decides.
    parts     optional: named addends of the value of a pair, larger is better. The pair of the greatest value is made,
              or with several tickets and agents the matching of the greatest sum. Replaces `score`.
    values    optional: sums of `parts` for several agents at once, where that is cheaper.
    hold      optional: True where the ticket should wait for its known agent, who is busy, rather than go to another.
    version   grows when the policy would decide differently; it is stored with every decision.
    """

    name: str
    order: Callable[[Work], float]
    rank: Callable[[Seat], Rank]
    score: Callable[[Work, Seat, Moment], float] | None = None
    consider: int = 1
    urgency: Callable[[Work, Moment], float] | None = None
    parts: Callable[[Work, Seat, Moment], dict[str, float]] | None = None
    values: Callable[[Work, Sequence[Seat], Moment], list[float]] | None = None
    hold: Callable[[Work, Seat, Moment], bool] | None = None
    version: int = 1

    def worth(self, work: Work, seats: Sequence[Seat], moment: Moment) -> list[float]:
        """Value of giving the ticket to each of these agents; 0 for a policy that does not value pairs."""
        if self.values is not None:
            return self.values(work, seats, moment)
        parts = self.parts
        return [sum(parts(work, seat, moment).values()) if parts else 0.0 for seat in seats]

    def key(self, work: Work, order: float, moment: Moment) -> float:
        """Place of a bucket's head among the heads of all buckets, smallest first, in epoch seconds. Of a policy with
        an urgency, a minute's cost of delay per minute of work counts as one minute of age."""
        return order if self.urgency is None else moment.now_ts - 60.0 * self.urgency(work, moment)


def minutes(work: Work, seat: Seat, moment: Moment) -> float:
    """Minutes that this agent is expected to need for this ticket; above 0."""
    return max(moment.outlook.expected_min(work.category, work.complexity, seat.agent_id, work.predicted_min), 0.05)


def mean_minutes(work: Work, moment: Moment) -> float:
    """Minutes that an average agent is expected to need; above 0."""
    return max(moment.outlook.mean_of(work.category, work.complexity, work.predicted_min), 0.05)


def by_receipt(work: Work) -> float:
    """First in, first out, by when intake accepted the ticket."""
    return work.received_ts


def by_deadline(work: Work) -> float:
    """Whatever is due first. A ticket opened again keeps its due time, so it does not go to the end of the line."""
    return work.due_ts


def by_priority(work: Work) -> float:
    """The heavier class strictly first, by receipt within it."""
    return work.received_ts - 1e9 * work.weight


def by_idle_time(seat: Seat) -> Rank:
    """Whoever has been free longest; somebody never given anything comes first."""
    return (seat.idle_ts, seat.load)


def by_turn(seat: Seat) -> Rank:
    """Whoever was given a ticket the longest ago."""
    return (seat.last_ts, seat.load)


def by_open_count(seat: Seat) -> Rank:
    """Fewest tickets at hand, then the longest without a new one."""
    return (seat.load, seat.last_ts)


def by_share_in_use(seat: Seat) -> Rank:
    """Smallest share of capacity in use, then the longest without a new ticket."""
    return (seat.load / seat.capacity if seat.capacity else 1.0, seat.last_ts)


def by_share_then_idle(seat: Seat) -> Rank:
    """Smallest share of capacity in use, then free longest."""
    return (seat.load / seat.capacity if seat.capacity else 1.0, seat.idle_ts)
