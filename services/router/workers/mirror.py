"""A desk in memory: what waits and who could take it. A cache; the conditional writes decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from services.router.domain.clocks import WIDENED
from services.router.domain.engine import Decision, plan_in_steps
from services.router.domain.policies import POLICIES
from services.router.domain.pool import Agents, Waiting, Work
from services.router.domain.queues import GENERAL, Queue, QueueRules
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
        self._rules = rules
        self._waiting = Waiting()

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
        else:
            self.agents.put(agent)

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
        return plan_in_steps(self._waiting, self.agents, POLICIES, now, limit=limit, held=self.held)

    def _work(self, ticket: Ticket) -> Work:
        queue = self.overrides.get(ticket.queue_id) or self._rules.queues.get(ticket.queue_id)
        if queue is None:
            queue = self._rules.queues[GENERAL]
        due = ticket.first_response_due_at
        return Work(
            ticket_id=ticket.ticket_id,
            queue_id=ticket.queue_id,
            version=ticket.version,
            needed=self._rules.requirement(
                queue, ticket.labels, ticket.facts.language_hint, widened=ticket.escalation >= WIDENED
            ),
            policy=queue.policy if queue.policy in POLICIES else "earliest_deadline",
            mode=queue.mode,
            offer_timeout_s=queue.offer_timeout_s,
            received_ts=ticket.received_at.timestamp(),
            due_ts=due.timestamp() if due else ticket.received_at.timestamp() + 14400.0,
            predicted_min=ticket.predicted_min,
            excluded=frozenset(ticket.declined_by),
            category=ticket.labels.category if ticket.labels else "",
            complexity=ticket.labels.complexity if ticket.labels else "",
            weight=delay_weight(ticket),
            target_s=round(due.timestamp() - ticket.received_at.timestamp(), 0) if due else 0.0,
        )
