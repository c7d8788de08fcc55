"""The engine's two indexes: waiting work in buckets by eligibility class, and agents ranked within each class.

Both are caches of facts: what a plan contains depends on the facts alone, never on how the index got there.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from services.router.domain.eligibility import qualifies, relaxations
from services.router.domain.queues import Requirement
from services.router.domain.ticket import Agent, has_room

Bucket = tuple[Requirement, str, tuple[object, ...], str]
"""Requirement, policy, kind, and in buckets of wishes the agent who is wished for."""

Entry = tuple[float, str, int]


@dataclass(frozen=True, slots=True)
class Work:
    """A waiting ticket as the engine sees it. *_ts are epoch seconds.

    version        the ticket's version on which the decision rests; the write checks it.
    mode           assign or offer; offer_timeout_s applies to the latter.
    excluded       agents who declined it.
    predicted_min  minutes that it is expected to take, for an average agent; 0 is unknown.
    weight         cost of a minute's delay, in those of an ordinary ticket.
    target_s       seconds from receipt to due time; 0 is unknown.
    known_agent    who should have it if free soon: they know the customer, or serve them by contract; "" is nobody.
    wish           what that is worth: 0 nothing, 1 a repeat contact, more for a dedicated agent.
    """

    ticket_id: str
    queue_id: str
    version: int
    needed: Requirement
    policy: str
    mode: str
    offer_timeout_s: int
    received_ts: float
    due_ts: float
    predicted_min: float = 0.0
    excluded: frozenset[str] = frozenset()
    category: str = ""
    complexity: str = ""
    weight: float = 1.0
    target_s: float = 0.0
    known_agent: str = ""
    wish: float = 0.0

    @property
    def bucket(self) -> Bucket:
        """Tickets that differ in nothing but their age, so that the older of two never becomes less pressing."""
        return (self.needed, self.policy, (self.category, self.complexity, self.weight, self.target_s), "")

    @property
    def wish_bucket(self) -> Bucket:
        """Where its known agent finds it."""
        return (self.needed, self.policy, (), self.known_agent)


class Seat:
    """An agent with the room that they have; a plan takes places tentatively and gives them back."""

    __slots__ = ("agent", "agent_id", "capacity", "capacity_min", "idle_ts", "last_ts", "load", "load_min", "online")

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.agent_id = agent.agent_id
        self.capacity = agent.capacity
        self.load = agent.load
        self.capacity_min = agent.capacity_min
        self.load_min = agent.load_min
        self.last_ts = agent.last_assigned_at.timestamp() if agent.last_assigned_at else 0.0
        self.idle_ts = agent.free_since.timestamp() if agent.free_since else self.last_ts
        self.online = agent.presence == "online"

    @property
    def free(self) -> bool:
        """Allow-listed presence and at least one free place."""
        return self.online and has_room(self.load, self.capacity, self.load_min, self.capacity_min)


Ranking = Callable[[Seat], tuple[float, ...]]


class Waiting:
    """Waiting tickets, in one heap per bucket. Putting a ticket again replaces it."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Work, int]] = {}
        self._heaps: dict[Bucket, list[Entry]] = {}
        self._wished: dict[Bucket, list[Entry]] = {}
        self._wishes: dict[str, set[Bucket]] = {}
        self._sizes: dict[Bucket, int] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, ticket_id: object) -> bool:
        return ticket_id in self._entries

    def get(self, ticket_id: str) -> Work | None:
        """The ticket's work, or None where it does not wait."""
        entry = self._entries.get(ticket_id)
        return entry[0] if entry else None

    def put(self, work: Work, order: float) -> None:
        """Add or replace. order: the policy's key, which must not change with time."""
        self.discard(work.ticket_id)
        entry, bucket = (order, work.ticket_id, next(self._numbers)), work.bucket
        self._entries[work.ticket_id] = (work, entry[2])
        self._sizes[bucket] = self._sizes.get(bucket, 0) + 1
        heapq.heappush(self._heaps.setdefault(bucket, []), entry)
        if work.known_agent:
            heapq.heappush(self._wished.setdefault(work.wish_bucket, []), entry)
            self._wishes.setdefault(work.known_agent, set()).add(work.wish_bucket)

    def discard(self, ticket_id: str) -> None:
        """Forget a ticket; no error where it is not there. Its heap entry is dropped when it comes to the top."""
        entry = self._entries.pop(ticket_id, None)
        if entry is not None:
            bucket = entry[0].bucket
            self._sizes[bucket] -= 1
            if not self._sizes[bucket]:
                del self._sizes[bucket]

    def size(self, bucket: Bucket) -> int:
        """How many tickets are in a bucket; those of wishes are not counted."""
        return self._sizes.get(bucket, 0)

    def buckets(self) -> Collection[Bucket]:
        """Keys of the buckets that may hold work; those of wishes are not among them."""
        return tuple(self._heaps)

    def wishes(self, agent_id: str) -> Collection[Bucket]:
        """Keys of the buckets with tickets that wish for this agent, in a fixed order."""
        held = self._wishes.get(agent_id)
        if not held:
            return ()
        return sorted(held, key=_bucket_name) if len(held) > 1 else tuple(held)

    def head(self, bucket: Bucket) -> tuple[float, Work] | None:
        """The first ticket of a bucket with its order key; None and the bucket is gone where there is none."""
        heaps = self._wished if bucket[3] else self._heaps
        heap = heaps.get(bucket)
        while heap:
            order, ticket_id, number = heap[0]
            entry = self._entries.get(ticket_id)
            if entry is not None and entry[1] == number:
                return order, entry[0]
            heapq.heappop(heap)
        heaps.pop(bucket, None)
        if bucket[3]:
            self._wishes.get(bucket[3], set()).discard(bucket)
        return None

    def take_head(self, bucket: Bucket) -> Entry:
        """Take the head's entry off for the length of a plan; give it back with `restore`."""
        return heapq.heappop((self._wished if bucket[3] else self._heaps)[bucket])

    def restore(self, taken: Iterable[tuple[Bucket, Entry]]) -> None:
        """Put entries back that a plan took off."""
        for bucket, entry in taken:
            heaps = self._wished if bucket[3] else self._heaps
            heapq.heappush(heaps.setdefault(bucket, []), entry)
            if bucket[3]:
                self._wishes.setdefault(bucket[3], set()).add(bucket)


def _bucket_name(bucket: Bucket) -> tuple[str, float, float, str, str]:
    needed = bucket[0]
    return (needed.skill, needed.level, needed.seniority, needed.language, bucket[1])


class Line:
    """The free agents of one eligibility class in the order of one ranking.

    Every free agent of the class has an entry that is not worse than their true rank; an entry that is better than
    the truth is corrected when it comes to the top. So giving work costs nothing here, and only getting room does.
    """

    __slots__ = ("best", "corrected", "heap", "members", "rank")

    def __init__(self, rank: Ranking, members: Mapping[str, Seat]) -> None:
        """members: of the eligibility class; the same mapping that is kept up to date by Agents."""
        self.rank = rank
        self.members = members
        self.best = {agent_id: rank(seat) for agent_id, seat in members.items() if seat.free}
        self.heap = [(key, agent_id) for agent_id, key in self.best.items()]
        heapq.heapify(self.heap)
        self.corrected: list[str] = []
        """Whose entries `first` has moved or dropped; a plan that gives places back looks at them again."""

    def touch(self, seat: Seat) -> None:
        """Note that a member may have become free or better placed."""
        if not seat.free:
            return
        key = self.rank(seat)
        held = self.best.get(seat.agent_id)
        if held is None or key < held:
            self.best[seat.agent_id] = key
            heapq.heappush(self.heap, (key, seat.agent_id))

    def first(self) -> Seat | None:
        """The free member with the smallest rank, still in line; None where nobody is free."""
        while self.heap:
            key, agent_id = self.heap[0]
            seat = self.members.get(agent_id)
            if seat is None or not seat.free or self.best.get(agent_id) != key:
                heapq.heappop(self.heap)
                if self.best.get(agent_id) == key:
                    del self.best[agent_id]
                    self.corrected.append(agent_id)
                continue
            truth = self.rank(seat)
            if truth != key:
                self.best[agent_id] = truth
                heapq.heapreplace(self.heap, (truth, agent_id))
                self.corrected.append(agent_id)
                continue
            return seat
        return None

    def restore(self) -> None:
        """Take in again whoever has more room, or a better place, than when their entry was last corrected."""
        for agent_id in self.corrected:
            seat = self.members.get(agent_id)
            if seat is not None:
                self.touch(seat)
        self.corrected.clear()

    def front(self, count: int) -> list[Seat]:
        """The first free members, at most `count`, in order; they stay in line."""
        seats: list[Seat] = []
        while len(seats) < count and (seat := self.first()) is not None:
            self.step_aside(seat)
            seats.append(seat)
        for seat in seats:
            self.touch(seat)
        return seats

    def step_aside(self, seat: Seat) -> None:
        """Take the first member out of the line; `touch` brings them back."""
        heapq.heappop(self.heap)
        del self.best[seat.agent_id]


class _Group:
    """Agents that meet exactly the same requirements, with a line for every ranking that was asked for."""

    __slots__ = ("lines", "members")

    def __init__(self, members: dict[str, Seat]) -> None:
        self.members = members
        self.lines: dict[str, Line] = {}


class Agents:
    """Everybody on one desk, online or not.

    Agents of equal abilities form a profile; requirements met by the same profiles share one group and so its lines.
    A desk has few profiles, whatever the number of its agents, so what an assignment costs does not grow with it.
    """

    def __init__(self) -> None:
        self._seats: dict[str, Seat] = {}
        self._online = 0
        self._able: dict[str, dict[int, int]] = {}
        self._keys: dict[str, _Profile] = {}
        self._profiles: dict[_Profile, dict[str, Seat]] = {}
        self._groups: dict[frozenset[_Profile], _Group] = {}
        self._groups_of: dict[_Profile, list[_Group]] = {}
        self._by_need: dict[Requirement, _Group] = {}
        self._effective: dict[Requirement, Requirement | None] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def get(self, agent_id: str) -> Agent | None:
        """The agent's facts, or None."""
        seat = self._seats.get(agent_id)
        return seat.agent if seat else None

    def put(self, agent: Agent) -> None:
        """Add or replace an agent."""
        agent_id = agent.agent_id
        before = self._seats.get(agent_id)
        if before is not None and before.agent.version == agent.version:
            key = self._keys[agent_id]  # the same settings, so the same abilities
        else:
            key = _profile_of(agent)
            if before is not None and self._keys[agent_id] != key:
                self.remove(agent_id)
                before = None
        seat = self._seats[agent_id] = Seat(agent)
        self._count(seat.agent, seat.online - (before.online if before else 0))
        self._keys[agent_id] = key
        if key not in self._profiles:
            self._profiles[key] = {}
            self._forget_groups()
        self._profiles[key][agent_id] = seat
        for group in self._groups_of.get(key, ()):
            group.members[agent_id] = seat
            for line in group.lines.values():
                line.touch(seat)

    def remove(self, agent_id: str) -> None:
        """Forget an agent who left the desk; no error where they are not there."""
        seat = self._seats.pop(agent_id, None)
        if seat is None:
            return
        self._count(seat.agent, -seat.online)
        key = self._keys.pop(agent_id)
        del self._profiles[key][agent_id]
        for group in self._groups_of.get(key, ()):
            group.members.pop(agent_id, None)
        if not self._profiles[key]:
            del self._profiles[key]
            self._forget_groups()

    def seat(self, agent_id: str) -> Seat | None:
        """The agent's seat, or None where they are not on the desk."""
        return self._seats.get(agent_id)

    @property
    def online(self) -> int:
        """How many agents are online."""
        return self._online

    def able(self, skill: str) -> float:
        """How many agents are online for a skill, each shared out evenly among their skills."""
        by_width = self._able.get(skill, {})
        return sum(
            by_width[width] / width for width in sorted(by_width)
        )  # in this order, so that it is always the same

    def _count(self, agent: Agent, change: int) -> None:
        self._online += change
        if change:
            width = len(agent.skills)
            for skill in agent.skills:
                by_width = self._able.setdefault(skill, {})
                by_width[width] = by_width.get(width, 0) + change

    def effective(self, needed: Requirement) -> Requirement | None:
        """The strongest form of the requirement that somebody on the desk meets; None on a desk without agents."""
        if needed not in self._effective:
            weaker = (one for one in relaxations(needed) if self._group(one).members)
            self._effective[needed] = next(weaker, None)
        return self._effective[needed]

    def line(self, needed: Requirement, name: str, rank: Ranking) -> Line:
        """The free agents who meet the requirement, in the order of the ranking called `name`."""
        group = self._group(needed)
        line = group.lines.get(name)
        if line is None:
            line = group.lines[name] = Line(rank, group.members)
        return line

    def settle(self) -> None:
        """Make every line right again after the last plan. Done late, because most of what a plan took was then given,
        and needs no correction any more."""
        for group in self._groups.values():
            for line in group.lines.values():
                line.restore()

    def _group(self, needed: Requirement) -> _Group:
        group = self._by_need.get(needed)
        if group is None:
            group = self._by_need[needed] = self._find_group(needed)
        return group

    def _find_group(self, needed: Requirement) -> _Group:
        able = [key for key, seats in self._profiles.items() if qualifies(next(iter(seats.values())).agent, needed)]
        keys = frozenset(able)
        group = self._groups.get(keys)
        if group is None:
            members = {agent_id: seat for key in able for agent_id, seat in self._profiles[key].items()}
            group = self._groups[keys] = _Group(members)
            for key in able:
                self._groups_of.setdefault(key, []).append(group)
        return group

    def _forget_groups(self) -> None:
        """The desk's profiles changed: groups are found anew when they are next needed."""
        self._groups.clear()
        self._groups_of.clear()
        self._by_need.clear()
        self._effective.clear()


_Profile = tuple[tuple[tuple[str, float], ...], frozenset[str], float]


def _profile_of(agent: Agent) -> _Profile:
    return (tuple(sorted(agent.skills.items())), agent.languages, agent.seniority)
