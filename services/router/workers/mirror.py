"""A desk in memory: what waits and who could take it. A cache; the conditional writes decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from heapq import heappop, heappush

from services.router.domain.engine import Decision, Seen, plan_in_steps
from services.router.domain.outlook import NEUTRAL
from services.router.domain.policies import POLICIES
from services.router.domain.pool import Agents, Waiting, Work
from services.router.domain.queues import DEFAULT_POLICY, Queue, QueueRules
from services.router.domain.replay import Scene, scene_of
from services.router.domain.shift import seen_at, turns_at
from services.router.domain.ticket import Agent, Ticket, delay_weight


class Mirror:
    """Waiting tickets and agents of one desk, as the dispatcher last saw them.

    fence      of the lease under which it was built.
    overrides  the tenant's own queues.
    """

    def __init__(self, desk: tuple[str, str], fence: int, rules: QueueRules, overrides: Mapping[str, Queue]) -> None:
        self.desk = desk
        self.fence = fence
        self.tickets: dict[str, Ticket] = {}
        self.agents = Agents()
        self.overrides = overrides
        self.stale = True
        """True where something changed since the last plan that left nothing to decide."""
        self.held: list[str] = []
        """Tickets that somebody could take but that the last plan kept for the agent who knows the customer."""
        self.outlook = NEUTRAL
        """What minutes the engine may expect."""
        self.scene: Scene | None = None
        """What the last plan rested on; None where it decided nothing."""
        self._rules = rules
        self._waiting = Waiting()
        self._timed: dict[str, Agent] = {}
        self._turns: list[tuple[float, str]] = []
        self._noted: set[tuple[float, str]] = set()
        self._now = datetime.min.replace(tzinfo=UTC)
        """When `decide` last looked at the clock."""

    def put_ticket(self, ticket: Ticket) -> None:
        """Take in a ticket as it is now; one that does not wait is forgotten."""
        self.stale = True
        if ticket.state != "waiting":
            self.forget(ticket.ticket_id)
            return
        known = self.tickets.get(ticket.ticket_id)
        if known is not None and known.version >= ticket.version:
            return
        self.tickets[ticket.ticket_id] = ticket
        work = self._work(ticket)
        self._waiting.put(work, POLICIES[work.policy].order(work))

    def forget(self, ticket_id: str) -> None:
        """Drop a ticket that does not wait any more."""
        self.tickets.pop(ticket_id, None)
        self._waiting.discard(ticket_id)

    def put_agent(self, agent: Agent) -> None:
        """Take in an agent as they are now; one who left the desk is forgotten."""
        known = self.agents.get(agent.agent_id)
        if known is not None and known.revision >= agent.revision:
            return
        self.stale = True
        if agent.desk_id != self.desk[1]:
            self.agents.remove(agent.agent_id)
            self._timed.pop(agent.agent_id, None)
        elif agent.shift_ends_at is None and agent.wrap_until is None:
            self.agents.put(agent)
            self._timed.pop(agent.agent_id, None)
        else:
            self._put_timed(agent, self._now)

    def turns(self, now: datetime) -> bool:
        """True where somebody's shift or wrap-up begins or ends, so that it must be decided anew."""
        return bool(self._turns) and self._turns[0][0] <= now.timestamp()

    def _put_timed(self, agent: Agent, now: datetime) -> None:
        """Take in an agent as they are at that time, and note when to look again."""
        self.agents.put(seen_at(agent, now))
        self._timed[agent.agent_id] = agent
        following = turns_at(agent, now)
        if following is not None and (turn := (following.timestamp(), agent.agent_id)) not in self._noted:
            self._noted.add(turn)
            heappush(self._turns, turn)

    def _take_turns(self, now: datetime) -> None:
        self._now = now
        while self.turns(now):
            turn = heappop(self._turns)
            self._noted.discard(turn)
            if (agent := self._timed.get(turn[1])) is not None:
                self._put_timed(agent, now)

    def use_overrides(self, overrides: Mapping[str, Queue]) -> None:
        """Take over changed queue settings; every waiting ticket is placed anew."""
        if overrides == self.overrides:
            return
        self.overrides, self.stale = overrides, True
        self._waiting = Waiting()
        for ticket in self.tickets.values():
            work = self._work(ticket)
            self._waiting.put(work, POLICIES[work.policy].order(work))

    def decide(self, now: datetime, limit: int) -> Iterator[list[Decision]]:
        """The engine's next decisions for this desk, some at a time; it must not change before the iteration ends."""
        self.held.clear()
        self._take_turns(now)
        seen, any_made = Seen(), False
        for made in plan_in_steps(
            self._waiting, self.agents, POLICIES, now, limit=limit, outlook=self.outlook, held=self.held, seen=seen
        ):
            any_made = True
            yield made
        self.scene = scene_of(seen, now, limit) if any_made else None

    def wrap_up_s(self, ticket: Ticket) -> int:
        """Seconds for the agent to wrap up after this ticket."""
        return self._rules.queue_of(ticket, self.overrides).wrap_up_s

    def _work(self, ticket: Ticket) -> Work:
        queue = self._rules.queue_of(ticket, self.overrides)
        due = ticket.first_response_due_at
        return Work(
            ticket_id=ticket.ticket_id,
            queue_id=ticket.queue_id,
            version=ticket.version,
            needed=self._rules.requirement(queue, ticket),
            policy=queue.policy if queue.policy in POLICIES else DEFAULT_POLICY,
            mode=queue.mode,
            offer_timeout_s=queue.offer_timeout_s,
            received_ts=ticket.received_at.timestamp(),
            due_ts=due.timestamp() if due else ticket.received_at.timestamp() + 14400.0,
            predicted_min=self._rules.minutes(ticket.labels),  # what stands on the ticket may be its last owner's
            excluded=frozenset(ticket.declined_by),
            category=ticket.labels.category if ticket.labels else "",
            complexity=ticket.labels.complexity if ticket.labels else "",
            weight=delay_weight(ticket),
            known_agent=ticket.facts.known_agent,
            wish=ticket.facts.wish,
            target_s=round(due.timestamp() - ticket.received_at.timestamp(), 0) if due else 0.0,
        )
