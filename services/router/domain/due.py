"""What must have happened by when. Every state that is not terminal has such a time, so nothing can be forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.router.domain.eligibility import ABOUT_TO_BE_ASSIGNED, ALL_DECLINED
from services.router.domain.queues import TRIAGE
from services.router.domain.sla import ServiceLevels
from services.router.domain.ticket import OWNED, Agent, Ticket
from services.router.domain.transitions import Change, apply


@dataclass(frozen=True, slots=True)
class Timers:
    """Spans of the router's own clocks.

    triage_after        received without labels until it is queued for triage.
    explain_after       waiting until the reason for waiting is found out and told.
    away_grace          work under way stays with an agent who is away or offline for this long.
    self_service_after  self-service without an answer until the ticket is closed.
    close_after         resolved until closed.
    look_again          how often a ticket is looked at whose due times have all passed.
    hold                longest on_hold by who is awaited; from sla.toml.
    """

    triage_after: timedelta = timedelta(seconds=30)
    explain_after: timedelta = timedelta(seconds=5)
    away_grace: timedelta = timedelta(minutes=10)
    self_service_after: timedelta = timedelta(hours=72)
    close_after: timedelta = timedelta(hours=72)
    look_again: timedelta = timedelta(hours=1)
    hold: Mapping[str, timedelta] | None = None


def next_check(ticket: Ticket, now: datetime, timers: Timers) -> datetime | None:
    """When this ticket must be looked at next; None in a terminal state. Offers carry their own time."""
    if ticket.state == "received":
        return now + timers.triage_after
    if ticket.state == "self_service":
        return now + timers.self_service_after
    if ticket.state == "on_hold":
        return now + (timers.hold or {}).get(ticket.awaited, timedelta(days=3))
    if ticket.state == "resolved":
        return now + timers.close_after
    if ticket.state in ("closed", "cancelled"):
        return None
    breach = now + timers.look_again if ticket.breached else breaches_at(ticket) or now + timers.look_again
    if ticket.state == "waiting":
        return min(now + timers.explain_after, max(breach, now))
    return max(breach, now)


def breaches_at(ticket: Ticket) -> datetime | None:
    """The due time that counts now: the first response's until it was given, then the resolution's."""
    return ticket.resolution_due_at if ticket.first_responded_at else ticket.first_response_due_at


@dataclass(frozen=True, slots=True)
class Look:
    """Outcome of looking at a due ticket: a change, or (None) only a new time to look again."""

    change: Change | None
    next_check_at: datetime | None


def look(ticket: Ticket, agent: Agent | None, why: str, now: datetime, timers: Timers, levels: ServiceLevels) -> Look:
    """What the clock does to a ticket whose time has come.

    agent  its owner; None where it has none or the owner is unknown.
    why    why it waits, see eligibility.why_waiting; only read in the state waiting.
    """
    change = _by_state(ticket, agent, why, now, timers, levels)
    if change is None and _is_breached(ticket, now):
        change = apply(ticket, "breach", "clock", now, reason=ticket.reason, breached=True)
    after = change.after if change else ticket
    if after.state == "waiting" and ticket.state == "waiting":
        breach = breaches_at(after)
        again = now + timers.look_again if after.breached or breach is None else breach
        unsettled = after.reason in (ABOUT_TO_BE_ASSIGNED, ALL_DECLINED)
        return Look(
            change, min(now + timers.explain_after * 6, again) if unsettled else min(now + timers.look_again, again)
        )
    return Look(change, next_check(after, now, timers))


def _is_breached(ticket: Ticket, now: datetime) -> bool:
    due = breaches_at(ticket)
    counts = ticket.state == "waiting" or ticket.state in OWNED
    return counts and not ticket.breached and due is not None and due <= now


def _by_state(
    ticket: Ticket, agent: Agent | None, why: str, now: datetime, timers: Timers, levels: ServiceLevels
) -> Change | None:
    if ticket.state == "received":
        first, last = levels.due(ticket.received_at, ticket.facts.customer_class, "")
        return apply(
            ticket, "queue", "clock", now, reason="not_labelled", queue_id=TRIAGE,
            first_response_due_at=first, resolution_due_at=last, sla_version=levels.version,
        )  # fmt: skip
    if ticket.state == "waiting" and why not in ("", ABOUT_TO_BE_ASSIGNED, ticket.reason):
        # Where everybody who could take it has declined, they are asked again rather than let it wait for ever.
        declined = () if why == ALL_DECLINED else ticket.declined_by
        return apply(ticket, "explain", "clock", now, reason=why, declined_by=declined)
    if ticket.state == "offered":
        declined = (*ticket.declined_by, ticket.agent_id)
        return apply(ticket, "lapse", "clock", now, reason="offer_lapsed", declined_by=declined)
    if ticket.state == "on_hold":
        return apply(ticket, "resume", "clock", now, reason="hold_expired")
    if ticket.state == "self_service":
        return apply(ticket, "close", "clock", now, reason="self_service_unanswered")
    if ticket.state == "resolved":
        return apply(ticket, "close", "clock", now, reason="not_reopened")
    return release(ticket, agent, now, timers)


def release(ticket: Ticket, agent: Agent | None, now: datetime, timers: Timers) -> Change | None:
    """Take work from an agent who is not there: at once if untouched, after the grace if under way. On hold stays."""
    if ticket.state not in ("offered", "assigned", "in_progress") or (agent and agent.presence == "online"):
        return None
    since = agent.presence_at if agent else None
    if ticket.state == "in_progress" and since is not None and since + timers.away_grace > now:
        return None
    return apply(ticket, "requeue", "clock", now, reason=f"agent_{agent.presence}" if agent else "agent_gone")


def release_check(ticket: Ticket, agent: Agent, timers: Timers) -> datetime | None:
    """When work under way must be looked at again because its agent has just left; None for other states."""
    return agent.presence_at + timers.away_grace if agent.presence_at and ticket.state == "in_progress" else None
