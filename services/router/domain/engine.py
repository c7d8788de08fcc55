"""The routing engine: who gets which ticket. Pure and deterministic; the same facts give the same plan, bit for bit.

Tickets are bucketed by what they need, so only the heads of buckets are looked at, and a head that nobody can take
blocks its own bucket alone. Capacity is never exceeded inside a plan: every decision takes its place at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.router.domain.policies.policy import Policy
from services.router.domain.pool import Agents, Line, Seat, Waiting, Work
from services.router.domain.queues import GENERAL, Requirement

Bucket = tuple[Requirement, str]


@dataclass(frozen=True, slots=True)
class Decision:
    """Give this ticket to this agent.

    version   of the ticket on which the decision rests.
    queue_id  the ticket's queue; general where nobody on the desk has the skill.
    mode      assign or offer.
    reason    slug: what led to this agent.
    """

    ticket_id: str
    version: int
    agent_id: str
    queue_id: str
    mode: str
    offer_timeout_s: int
    reason: str


def plan(
    waiting: Waiting, agents: Agents, policies: Mapping[str, Policy], now: datetime, *, limit: int = 500
) -> list[Decision]:
    """The next assignments, most pressing first, at most `limit`.

    waiting, agents  facts of one desk; unchanged afterwards, whatever was decided.
    policies         by the name that stands on the work.
    """
    return _Planner(waiting, agents, policies, now).decide(limit)


class _Planner:
    def __init__(self, waiting: Waiting, agents: Agents, policies: Mapping[str, Policy], now: datetime) -> None:
        self.waiting = waiting
        self.agents = agents
        self.policies = policies
        self.now = now
        self.taken: list[tuple[Bucket, tuple[float, str, int]]] = []
        self.seats: dict[str, tuple[Seat, int, float]] = {}

    def decide(self, limit: int) -> list[Decision]:
        self.agents.settle()
        heads: list[tuple[float, str, Bucket]] = []
        for bucket in self.waiting.buckets():
            self._push_head(heads, bucket)
        decisions: list[Decision] = []
        while heads and len(decisions) < limit:
            _, _, bucket = heapq.heappop(heads)
            if self._serve(bucket, decisions):
                self._push_head(heads, bucket)
        self._undo()
        return decisions

    def _push_head(self, heads: list[tuple[float, str, Bucket]], bucket: Bucket) -> None:
        head = self.waiting.head(bucket)
        if head is not None:
            heapq.heappush(heads, (head[0], head[1].ticket_id, bucket))

    def _serve(self, bucket: Bucket, decisions: list[Decision]) -> bool:
        """Place the bucket's head or step over it. False where nobody can take anything from this bucket."""
        head = self.waiting.head(bucket)
        if head is None:
            return False
        needed, policy = bucket[0], self.policies[bucket[1]]
        effective = self.agents.effective(needed)
        if effective is None:
            return False
        line = self.agents.line(effective, policy.name, policy.rank)
        if line.first() is None:
            return False
        self.taken.append((bucket, self.waiting.take_head(bucket)))
        seat = self._choose(line, policy, head[1])
        if seat is not None:
            self._take(seat)
            decisions.append(_decision(head[1], seat, effective, policy))
        return True

    def _choose(self, line: Line, policy: Policy, work: Work) -> Seat | None:
        if not work.excluded and policy.score is None:
            return line.first()
        aside: list[Seat] = []
        candidates: list[Seat] = []
        while len(candidates) < policy.consider and (seat := line.first()) is not None:
            line.step_aside(seat)
            aside.append(seat)
            if seat.agent_id not in work.excluded:
                candidates.append(seat)
        for seat in aside:
            line.touch(seat)
        if policy.score is None or len(candidates) < 2:
            return candidates[0] if candidates else None
        score = policy.score
        return min(candidates, key=lambda seat: (score(work, seat, self.now), policy.rank(seat), seat.agent_id))

    def _take(self, seat: Seat) -> None:
        self.seats.setdefault(seat.agent_id, (seat, seat.load, seat.last_ts))
        seat.load += 1
        seat.last_ts = self.now.timestamp()

    def _undo(self) -> None:
        self.waiting.restore(iter(self.taken))
        for seat, load, last_ts in self.seats.values():
            seat.load, seat.last_ts = load, last_ts


def _decision(work: Work, seat: Seat, effective: Requirement, policy: Policy) -> Decision:
    lost_skill = bool(work.needed.skill) and not effective.skill
    return Decision(
        ticket_id=work.ticket_id,
        version=work.version,
        agent_id=seat.agent_id,
        queue_id=GENERAL if lost_skill else work.queue_id,
        mode=work.mode,
        offer_timeout_s=work.offer_timeout_s,
        reason="no_agent_with_skill" if lost_skill else policy.name,
    )
