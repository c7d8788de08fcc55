"""The routing engine: who gets which ticket. Pure and deterministic; the same facts give the same plan, bit for bit.

Tickets are bucketed by what they need and what their delay costs, so only the heads of buckets are looked at, and a
head that nobody can take blocks its own bucket alone. Under a policy that values pairs, the most pressing heads form a
block, and the block's best matching with the agents in front of their lines is carried out; nobody waits for a block to
fill. Capacity is never exceeded inside a plan: every decision takes its place at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import fsum

from services.router.domain.explain import Candidate, candidates_of, refusals
from services.router.domain.matching import FORBIDDEN, match
from services.router.domain.outlook import NEUTRAL, Outlook
from services.router.domain.policies.policy import Moment, Policy, minutes
from services.router.domain.pool import Agents, Bucket, Entry, Line, Seat, Waiting, Work
from services.router.domain.queues import GENERAL, Requirement
from services.router.domain.ticket import Agent

BLOCK, SMALL_BLOCK, LARGE_DESK = 16, 8, 200
"""Most tickets that are matched at once, and on a desk of so many agents online, where choice is plenty anyway."""

WISHES, FEW_WISHES = 16, 2
"""Most tickets that come into a block for wishing for one of its agents, and on a large desk, per eight others."""

STEP = 24
"""Decisions after which a plan pauses: some 7 ms of work, 15 where the machine is busy."""

Head = tuple[float, str, Bucket]


@dataclass(frozen=True, slots=True)
class Decision:
    """Give this ticket to this agent.

    version     of the ticket on which the decision rests.
    queue_id    the ticket's queue; general where nobody on the desk has the skill.
    mode        assign or offer.
    reason      slug: what led to this agent.
    policy      name and version of the policy, "name/1".
    candidates  the best of those who could have had it, the chosen one first; at most explain.SHOWN.
    refused     agents who could not, with the reason; at most explain.SHOWN.
    expected_min  minutes that this agent is expected to need.
    """

    ticket_id: str
    version: int
    agent_id: str
    queue_id: str
    mode: str
    offer_timeout_s: int
    reason: str
    policy: str = ""
    candidates: tuple[Candidate, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    expected_min: float = 0.0


@dataclass(slots=True)
class Seen:
    """What a plan looked at: enough to make it again. Given beforehand, `moment` and `online` count instead of what
    follows from the facts at hand, which are then a part of the desk's.

    moment  what held for the whole plan; None until there is one.
    online  agents of the whole desk who were online.
    works, agents  by id.
    """

    moment: Moment | None = None
    online: int = 0
    works: dict[str, Work] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)


@dataclass(slots=True)
class _Row:
    """A ticket of the block, with whoever could take it."""

    bucket: Bucket
    work: Work
    policy: Policy
    effective: Requirement
    seats: list[Seat]
    values: dict[str, float] = field(default_factory=dict)


def plan(
    waiting: Waiting, agents: Agents, policies: Mapping[str, Policy], now: datetime, *, limit: int = 500,
    outlook: Outlook = NEUTRAL, held: list[str] | None = None, explain: bool = True, seen: Seen | None = None,
) -> list[Decision]:  # fmt: skip
    """The next assignments, most pressing first, at most `limit`. See plan_in_steps."""
    steps = plan_in_steps(
        waiting, agents, policies, now, limit=limit, outlook=outlook, held=held, explain=explain, seen=seen
    )
    return [decision for step in steps for decision in step]


def plan_in_steps(
    waiting: Waiting, agents: Agents, policies: Mapping[str, Policy], now: datetime, *, limit: int = 500,
    outlook: Outlook = NEUTRAL, held: list[str] | None = None, explain: bool = True, seen: Seen | None = None,
) -> Iterator[list[Decision]]:  # fmt: skip
    """The same assignments in parts of about STEP, so that the caller can do other things after each of them.

    waiting, agents  facts of one desk; they must not be changed, nor planned with, before the iteration has ended, and
                     are as before then, whatever was decided.
    policies         by the name that stands on the work.
    outlook          what is expected of tickets and agents.
    held             filled with tickets that somebody could take but that wait for their known agent: look again soon.
    seen             filled with what the plan looked at, to replay it from.
    explain          False leaves candidates and refused empty, which is all that it changes.
    """
    if seen and seen.moment:
        moment, online = seen.moment, seen.online
    else:
        moment, online = _moment(waiting, agents, now, outlook), agents.online
        if seen:
            seen.moment, seen.online = moment, online
    planner = _Planner(waiting, agents, policies, moment, small=online < LARGE_DESK)
    planner.seen = seen
    planner.explain = explain
    try:
        planner.begin()
        while limit > 0 and (made := planner.decide(limit)):
            limit -= len(made)
            yield made
    finally:
        planner.undo()
    if held is not None:
        held.extend(planner.held)


def _moment(waiting: Waiting, agents: Agents, now: datetime, outlook: Outlook) -> Moment:
    """What waits now, in all and by skill."""
    minutes: dict[str, list[float]] = {}
    for bucket in waiting.buckets():
        head = waiting.head(bucket)
        if head is not None:
            each = outlook.mean_of(head[1].category, head[1].complexity, head[1].predicted_min)
            minutes.setdefault(bucket[0].skill, []).append(waiting.size(bucket) * each)
    sums = {skill: fsum(found) for skill, found in sorted(minutes.items())}  # whatever order the buckets came in
    online = max(agents.online, 1)
    queue_min = {skill: total / able for skill, total in sums.items() if (able := agents.able(skill)) > 0}
    return Moment(now.timestamp(), outlook, len(waiting) / online, sum(sums.values()) / online, queue_min)


class _Planner:
    def __init__(
        self, waiting: Waiting, agents: Agents, policies: Mapping[str, Policy], moment: Moment, small: bool
    ) -> None:
        """small: there are so few agents that it pays to match more tickets at once."""
        self.waiting = waiting
        self.agents = agents
        self.policies = policies
        self.moment = moment
        self.explain = True
        self.seen: Seen | None = None
        self.block, self.wishes = (BLOCK, WISHES) if small else (SMALL_BLOCK, FEW_WISHES)
        self.held: list[str] = []
        self.taken: list[tuple[Bucket, Entry]] = []
        self.gone: set[str] = set()
        self.seats: dict[str, tuple[Seat, int, float, float, float]] = {}
        self.heads: list[Head] = []
        self.decisions: list[Decision] = []
        self.fronts: dict[int, list[Seat]] = {}

    def begin(self) -> None:
        """Line everybody up."""
        self.agents.settle()
        for bucket in self.waiting.buckets():
            self._push_head(bucket)

    def decide(self, limit: int) -> list[Decision]:
        """The next decisions, about STEP of them and at most `limit`; none where nothing is left to decide."""
        self.decisions = []
        while self.heads and len(self.decisions) < min(limit, STEP):
            if self.policies[self.heads[0][2][1]].parts is None:
                bucket = heapq.heappop(self.heads)[2]
                if self._serve(bucket):
                    self._push_head(bucket)
            else:
                self._serve_block(limit - len(self.decisions))
        return self.decisions

    def _head(self, bucket: Bucket) -> tuple[float, Work] | None:
        """The bucket's first ticket that this plan has not dealt with."""
        while (head := self.waiting.head(bucket)) is not None and head[1].ticket_id in self.gone:
            self.taken.append((bucket, self.waiting.take_head(bucket)))
        return head

    def _take(self, bucket: Bucket, work: Work) -> None:
        """Deal with the bucket's head in this plan; `undo` gives it back."""
        self.taken.append((bucket, self.waiting.take_head(bucket)))
        self.gone.add(work.ticket_id)

    def _push_head(self, bucket: Bucket) -> None:
        head = self._head(bucket)
        if head is not None and self._line(bucket, self.policies[bucket[1]]) is not None:
            if self.seen:
                self.seen.works[head[1].ticket_id] = head[1]  # where two are equally pressing, ids decide
            key = self.policies[bucket[1]].key(head[1], head[0], self.moment)
            heapq.heappush(self.heads, (key, head[1].ticket_id, bucket))

    def _line(self, bucket: Bucket, policy: Policy) -> tuple[Requirement, Line] | None:
        effective = self.agents.effective(bucket[0])
        if effective is None:
            return None
        line = self.agents.line(effective, policy.name, policy.rank)
        return None if line.first() is None else (effective, line)

    def _note(self, work: Work, seats: list[Seat]) -> None:
        if not self.seen:
            return
        self.seen.works[work.ticket_id] = work
        known = self.agents.seat(work.known_agent) if work.known_agent else None
        for seat in (*seats, known) if known else seats:
            self.seen.agents[seat.agent_id] = seat.agent

    # One ticket at a time: policies that order tickets and rank agents.

    def _serve(self, bucket: Bucket) -> bool:
        """Place the bucket's head or step over it. False where nobody can take anything from this bucket."""
        head, policy = self._head(bucket), self.policies[bucket[1]]
        found = self._line(bucket, policy)
        if head is None or found is None:
            return False
        effective, line = found
        self._take(bucket, head[1])
        seats = self._seats_for(line, policy, head[1])
        self._note(head[1], seats)
        if seats:
            row = _Row(bucket, head[1], policy, effective, seats)
            self._give(row, self._best(row))
        return True

    def _best(self, row: _Row) -> Seat:
        score, rank = row.policy.score, row.policy.rank
        if score is None:
            return row.seats[0]
        row.values.update((seat.agent_id, -score(row.work, seat, self.moment)) for seat in row.seats)
        return min(row.seats, key=lambda seat: (-row.values[seat.agent_id], rank(seat), seat.agent_id))

    def _seats_for(self, line: Line, policy: Policy, work: Work) -> list[Seat]:
        """The first eligible seats in line; whoever declined the ticket is passed over, however many they are."""
        count = policy.consider
        seats = line.front(count) if work.excluded or count > 1 else [seat for seat in (line.first(),) if seat]
        if not work.excluded:
            return seats
        fitting = [seat for seat in seats if seat.agent_id not in work.excluded]
        if len(fitting) < count and len(seats) == count:
            more = line.front(count + len(work.excluded))
            fitting = [seat for seat in more if seat.agent_id not in work.excluded][:count]
        return fitting

    # Several at a time: policies that value pairs.

    def _serve_block(self, room: int) -> None:
        """Match the most pressing heads with the agents in front of their lines."""
        rows: list[_Row] = []
        used: dict[Bucket, int] = {}
        self.fronts.clear()
        while self.heads and len(rows) < self.block and self.policies[self.heads[0][2][1]].parts is not None:
            bucket = heapq.heappop(self.heads)[2]
            row = self._row(bucket)
            if row is None:
                continue
            if row.seats:
                rows.append(row)
                used[bucket] = used.get(bucket, 0) + 1
            if not row.seats or used[bucket] < len(row.seats):
                self._push_head(bucket)
        self._add_wishes(rows)
        self._match(rows, room)
        for bucket in used:
            self._push_head(bucket)

    def _row(self, bucket: Bucket) -> _Row | None:
        """The bucket's head with its candidates; none of them where it steps aside; None where the bucket is done."""
        head, policy = self._head(bucket), self.policies[bucket[1]]
        found = self._line(bucket, policy)
        if head is None or found is None:
            return None
        effective, line = found
        self._take(bucket, head[1])
        row = _Row(bucket, head[1], policy, effective, self._front(line, policy, head[1]))
        self._note(row.work, row.seats)
        if row.seats and self._should_hold(row):
            self.held.append(row.work.ticket_id)
            row.seats = []
        return row

    def _front(self, line: Line, policy: Policy, work: Work) -> list[Seat]:
        if work.excluded:
            return self._seats_for(line, policy, work)
        front = self.fronts.get(id(line))
        if front is None:
            front = self.fronts[id(line)] = line.front(policy.consider)
        known = self.agents.seat(work.known_agent) if work.known_agent else None
        if known is not None and known.free and known.agent_id in line.members and known not in front:
            return [*front, known]
        return front

    def _should_hold(self, row: _Row) -> bool:
        work, hold = row.work, row.policy.hold
        if hold is None or not work.known_agent or work.known_agent in work.excluded:
            return False
        known = self.agents.seat(work.known_agent)
        if known is None or known.free or not known.online:
            return False
        line = self.agents.line(row.effective, row.policy.name, row.policy.rank)
        return known.agent_id in line.members and known.capacity > 0 and hold(work, known, self.moment)

    def _add_wishes(self, rows: list[_Row]) -> None:
        """Tickets that wish for an agent of the block come in too, the first of each kind, however far back they stand:
        for that agent alone."""
        seats, most = {seat.agent_id: seat for row in rows for seat in row.seats}, len(rows) + self.wishes
        for agent_id in sorted(seats):
            for bucket in self.waiting.wishes(agent_id):
                if len(rows) >= most:
                    return
                row = self._wish_row(bucket, seats[agent_id])
                if row is not None:
                    rows.append(row)

    def _wish_row(self, bucket: Bucket, seat: Seat) -> _Row | None:
        head, policy = self._head(bucket), self.policies[bucket[1]]
        if head is None or policy.parts is None:
            return None
        self._note(head[1], [seat])
        if seat.agent_id in head[1].excluded:
            return None
        found = self._line(bucket, policy)
        if found is None or seat.agent_id not in found[1].members:
            return None
        self._take(bucket, head[1])
        return _Row(bucket, head[1], policy, found[0], [seat])

    def _match(self, rows: list[_Row], room: int) -> None:
        seats: dict[str, Seat] = {}
        for row in rows:
            row.values = dict(
                zip([s.agent_id for s in row.seats], row.policy.worth(row.work, row.seats, self.moment), strict=True)
            )
            seats.update((seat.agent_id, seat) for seat in row.seats)
        order = sorted(seats)
        chosen = _choose(rows, order)
        for number, row in enumerate(rows):
            if chosen[number] >= 0 and room > 0:
                room -= 1
                self._give(row, seats[order[chosen[number]]])
            else:
                self.gone.discard(row.work.ticket_id)
        left = {row.work.ticket_id for row in rows} - self.gone
        if left:
            self._give_back(left)

    def _give_back(self, ticket_ids: set[str]) -> None:
        """Tickets that the block left over stand in their buckets again."""
        back = [item for item in self.taken if item[1][1] in ticket_ids]
        self.taken = [item for item in self.taken if item[1][1] not in ticket_ids]
        self.waiting.restore(back)

    # What both have in common.

    def _give(self, row: _Row, seat: Seat) -> None:
        work, policy = row.work, row.policy
        lost_skill = bool(work.needed.skill) and not row.effective.skill
        if lost_skill:
            reason = "no_agent_with_skill"
        elif work.known_agent == seat.agent_id:
            reason = "dedicated_agent" if work.wish > 1 else "known_agent"
        else:
            reason = policy.name
        expected = minutes(work, seat, self.moment)
        decision = Decision(
            work.ticket_id, work.version, seat.agent_id, GENERAL if lost_skill else work.queue_id, work.mode,
            work.offer_timeout_s, reason, f"{policy.name}/{policy.version}",
            candidates_of(work, seat, row.seats, row.values, policy, self.moment) if self.explain else (),
            refusals(work, self.agents) if self.explain else (), expected,
        )  # fmt: skip
        self.decisions.append(decision)
        self.seats.setdefault(seat.agent_id, (seat, seat.load, seat.load_min, seat.last_ts, seat.idle_ts))
        seat.load += 1
        seat.load_min += expected
        seat.last_ts = seat.idle_ts = self.moment.now_ts

    def undo(self) -> None:
        """Give back what was taken tentatively."""
        self.waiting.restore(self.taken)
        for seat, load, load_min, last_ts, idle_ts in self.seats.values():
            seat.load, seat.load_min, seat.last_ts, seat.idle_ts = load, load_min, last_ts, idle_ts


def _choose(rows: list[_Row], order: list[str]) -> list[int]:
    """Column of each row, or -1: the best pair where one side is alone, else the best matching."""
    if len(order) == 1:
        first = min(range(len(rows)), key=lambda n: (-rows[n].values.get(order[0], FORBIDDEN), rows[n].work.ticket_id))
        return [0 if number == first else -1 for number in range(len(rows))]
    if len(order) >= len(rows):
        best = [max(row.values, key=row.values.__getitem__) for row in rows]  # of equals the first in line
        if len(set(best)) == len(best):  # everybody's first choice at once is the best matching
            place = {agent_id: number for number, agent_id in enumerate(order)}
            return [place[agent_id] for agent_id in best]
    return match([[row.values.get(agent_id, FORBIDDEN) for agent_id in order] for row in rows])
