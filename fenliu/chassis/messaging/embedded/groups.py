"""Coordinator of consumer groups: eager rebalance, session expiry by timer, generations, committed offsets.

The states and the order of events are those of Apache Kafka's classic group protocol:
empty -> (a member joins) preparing -> (all members joined again) completing -> (the leader sent the plan) stable.
"""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Final

from aiokafka import errors

from fenliu.chassis.messaging.embedded.protocol import Message

_SESSION_TIMEOUT_MS: Final = (100, 1_800_000)
_UNKNOWN: Final[Message] = {"error_code": errors.UnknownMemberIdError.errno, "member_assignment": b""}
_AGAIN: Final[Message] = {"error_code": errors.RebalanceInProgressError.errno, "member_assignment": b""}


@dataclass(slots=True, eq=False)
class Member:
    """One consumer. `joined` and `synced` are the answers it waits for; None while it waits for none."""

    member_id: str
    client_id: str
    session_timeout_s: float = 0.0
    rebalance_timeout_s: float = 0.0
    protocols: dict[str, bytes] = field(default_factory=dict)
    assignment: bytes = b""
    joined: asyncio.Future[Message] | None = None
    synced: asyncio.Future[Message] | None = None
    expiry: asyncio.TimerHandle | None = None


def _answer(waiting: asyncio.Future[Message] | None, message: Message) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(message)


@dataclass(slots=True, eq=False)
class Group:
    """Members, generation and committed offsets of one consumer group."""

    name: str
    first_join_delay_s: float
    state: str = "Empty"
    kind: str = ""
    generation: int = 0
    protocol: str = ""
    leader: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    offsets: dict[tuple[str, int], tuple[int, str | None]] = field(default_factory=dict)
    gathering: bool = False  # the first rebalance of an empty group waits first_join_delay_s
    deadline: asyncio.TimerHandle | None = None  # when the rebalance is completed without those who are missing

    async def join(self, request: Message, client_id: str) -> Message:
        """Enter or re-enter the group; returns when the rebalance is complete."""
        session_ms: int = request["session_timeout"]
        if not _SESSION_TIMEOUT_MS[0] <= session_ms <= _SESSION_TIMEOUT_MS[1]:
            raise errors.InvalidSessionTimeoutError
        protocols = {item["protocol_name"]: item["protocol_metadata"] or b"" for item in request["group_protocols"]}
        member_id: str = request["member_id"] or f"{client_id}-{uuid.uuid4()}"
        others = [m for m in self.members.values() if m.member_id != member_id]
        foreign = bool(others) and request["protocol_type"] != self.kind
        if foreign or not set(protocols).intersection(*(m.protocols for m in others)):
            raise errors.InconsistentGroupProtocolError
        if request["member_id"] and member_id not in self.members:
            raise errors.UnknownMemberIdError
        member = self.members.setdefault(member_id, Member(member_id, client_id))
        member.protocols, member.session_timeout_s = protocols, session_ms / 1000
        member.rebalance_timeout_s = request.get("rebalance_timeout", session_ms) / 1000
        self.kind = request["protocol_type"]
        _answer(member.joined, _UNKNOWN)
        waiting: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        member.joined = waiting
        self._keep_alive(member)
        self._rebalance()
        return await waiting

    def _rebalance(self) -> None:
        """Ask every member to join again. The first one waits a moment for others that start with it."""
        if self.state == "Empty":
            self.state, self.gathering = "PreparingRebalance", True
            self._set_deadline(self.first_join_delay_s)
        elif self.state != "PreparingRebalance":
            self.state = "PreparingRebalance"
            for member in self.members.values():
                if member.synced is not None:
                    _answer(member.synced, _AGAIN)
                    member.synced = None
                    self._keep_alive(member)
            self._set_deadline(max((m.rebalance_timeout_s for m in self.members.values()), default=0.0))
        if not self.gathering and all(m.joined is not None for m in self.members.values()):
            self._complete_join()

    def _complete_join(self) -> None:
        """Close the generation: members that did not join again are out; the leader gets the list."""
        for member in [m for m in self.members.values() if m.joined is None]:
            self._remove(member)
        self._set_deadline(None)
        self.gathering = False
        self.generation += 1
        if not self.members:
            self.state, self.protocol, self.leader = "Empty", "", ""
            return
        self.state = "CompletingRebalance"
        members = list(self.members.values())
        if self.leader not in self.members:
            self.leader = members[0].member_id
        shared = set(members[0].protocols).intersection(*(m.protocols for m in members))
        self.protocol = next(name for name in members[0].protocols if name in shared)
        roster = [{"member_id": m.member_id, "member_metadata": m.protocols[self.protocol]} for m in members]
        answer = {"generation_id": self.generation, "group_protocol": self.protocol, "leader_id": self.leader}
        for member in members:
            listed = roster if member.member_id == self.leader else []
            _answer(member.joined, {**answer, "member_id": member.member_id, "members": listed})
            member.joined = None
            self._keep_alive(member)

    async def sync(self, request: Message) -> Message:
        """Take the leader's plan, or wait for it. Returns the member's assignment."""
        member = self._member(request["member_id"], request["generation_id"])
        if self.state == "PreparingRebalance":
            raise errors.RebalanceInProgressError
        if self.state == "Stable":
            self._keep_alive(member)
            return {"member_assignment": member.assignment}
        waiting: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        member.synced = waiting
        self._keep_alive(member)  # blocked here; the leader's own session bounds the wait
        if member.member_id == self.leader:
            plan = {item["member_id"]: item["member_metadata"] or b"" for item in request["group_assignment"]}
            self.state = "Stable"
            for other in self.members.values():
                other.assignment = plan.get(other.member_id, b"")
                _answer(other.synced, {"member_assignment": other.assignment})
                other.synced = None
                self._keep_alive(other)
        return await waiting

    def heartbeat(self, request: Message) -> Message:
        """Keep the member's session. Refuses with REBALANCE_IN_PROGRESS when it has to join again."""
        self._keep_alive(self._member(request["member_id"], request["generation_id"]))
        if self.state == "PreparingRebalance":
            raise errors.RebalanceInProgressError
        return {}

    def leave(self, request: Message) -> Message:
        """Take the member out and rebalance at once."""
        if request["member_id"] not in self.members:
            raise errors.UnknownMemberIdError
        self._expire(self.members[request["member_id"]])
        return {}

    def check_commit(self, request: Message) -> None:
        """Only a member of this generation commits, or a consumer outside of groups while the group is empty."""
        generation = request["consumer_group_generation_id"]
        if generation < 0 and not self.members:
            return
        self._keep_alive(self._member(request["consumer_id"], generation))
        if self.state == "CompletingRebalance":
            raise errors.RebalanceInProgressError

    def _member(self, member_id: str, generation: int) -> Member:
        member = self.members.get(member_id)
        if member is None:
            raise errors.UnknownMemberIdError
        if generation != self.generation:
            raise errors.IllegalGenerationError
        return member

    def _keep_alive(self, member: Member) -> None:
        """Restart the session timer. It stands still while the member waits for an answer of ours."""
        if member.expiry is not None:
            member.expiry.cancel()
        waits = member.joined is not None or member.synced is not None
        loop = asyncio.get_running_loop()
        member.expiry = None if waits else loop.call_later(member.session_timeout_s, self._expire, member)

    def _expire(self, member: Member) -> None:
        self._remove(member)
        self._rebalance() if self.members else self._complete_join()

    def _remove(self, member: Member) -> None:
        if member.expiry is not None:
            member.expiry.cancel()
        del self.members[member.member_id]
        for waiting in (member.joined, member.synced):
            _answer(waiting, _UNKNOWN)

    def _set_deadline(self, delay_s: float | None) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        loop = asyncio.get_running_loop()
        self.deadline = None if delay_s is None else loop.call_later(delay_s, self._complete_join)

    def close(self) -> None:
        """Cancel every timer; answers still awaited are dropped with their connections."""
        self._set_deadline(None)
        for member in list(self.members.values()):
            self._remove(member)
