"""What must have happened by when. Every state that is not terminal has such a time, so nothing can be forgotten."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.router.domain.clocks import (
    NOTIFIED,
    carried_on,
    hold_ends,
    hold_of,
    next_breach,
    next_step,
    silent_at,
)
from services.router.domain.queues import TRIAGE
from services.router.domain.shift import gone_since
from services.router.domain.sla import STEPS, ServiceLevels
from services.router.domain.ticket import Agent, Ticket
from services.router.domain.transitions import Change, apply
from services.router.domain.waiting import ABOUT_TO_BE_ASSIGNED, ALL_DECLINED

_RUN_OUT = ("self_service", "resolved")
"""States that end by themselves after a while; correct labels are no reason to begin that while anew."""


SELDOM = timedelta(minutes=5)
"""A ticket that is about to be assigned is looked at again after as long as it has waited, at most so long."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Spans of the router's own clocks.

    triage_after        received without labels until it is queued for triage.
    explain_after       waiting until the reason for waiting is found out and told.
    away_grace          work under way stays with an agent who is away or offline for this long.
    self_service_after  self-service without an answer until the ticket is closed.
    close_after         resolved until closed.
    quiet_after         on hold for the customer until it gives its agent's place back; None is never.
    ask_again_after     declined by everybody who could take it until they are asked once more.
    look_again          how often a ticket is looked at for which nothing else is due.
    levels              service levels; None leaves targets, ladder and silence out.
    """

    triage_after: timedelta = timedelta(seconds=30)
    explain_after: timedelta = timedelta(seconds=5)
    away_grace: timedelta = timedelta(minutes=10)
    self_service_after: timedelta = timedelta(hours=72)
    close_after: timedelta = timedelta(hours=72)
    quiet_after: timedelta | None = None
    ask_again_after: timedelta = timedelta(minutes=15)
    look_again: timedelta = timedelta(hours=1)
    levels: ServiceLevels | None = None


def timed(change: Change, now: datetime, timers: Timers) -> Change:
    """The change with its clocks carried on and with the time at which the ticket must be looked at next."""
    state = change.after.state
    if change.before.state == state and (state == "offered" or (change.action == "correct" and state in _RUN_OUT)):
        return change  # whatever happens meanwhile, it lapses or is closed when it was said to be
    if timers.levels is not None:
        change = carried_on(change, now, timers.levels)
    return Change(
        change.before, replace(change.after, next_check_at=next_check(change.after, now, timers)), change.action
    )


def next_check(ticket: Ticket, now: datetime, timers: Timers) -> datetime | None:
    """When this ticket must be looked at next; None in a terminal state. Offers carry their own time."""
    if ticket.state == "received":
        return now + timers.triage_after
    if ticket.state == "self_service":
        return now + timers.self_service_after
    if ticket.state == "resolved":
        return now + timers.close_after
    if ticket.state in ("closed", "cancelled"):
        return None
    times = _times(ticket, timers.levels)
    if (quiet := _quiet_at(ticket, timers)) is not None:
        times.append(quiet)
    if ticket.state == "waiting":
        times.append(now + timers.explain_after)
    return max(min(times, default=now + timers.look_again), now)


def _quiet_at(ticket: Ticket, timers: Timers) -> datetime | None:
    """When a customer who is awaited has been quiet for too long to keep a place; None: never. What a supervisor gave
    by hand stays where it is."""
    waits = ticket.state == "on_hold" and ticket.awaited == "customer" and not ticket.parked and not ticket.pinned
    if not waits or timers.quiet_after is None or ticket.awaited_since is None:
        return None
    return ticket.awaited_since + timers.quiet_after


def _times(ticket: Ticket, levels: ServiceLevels | None) -> list[datetime]:
    """When clocks, ladder, hold and silence next ask for something."""
    times: list[datetime] = []
    if breach := next_breach(ticket):
        times.append(breach[1])
    if ticket.state == "on_hold":
        times += [at for at in hold_ends(ticket, levels) if at is not None]
    if levels is not None:
        if step := next_step(ticket, levels):
            times.append(step[1])
        if (silent := silent_at(ticket, levels)) is not None:
            times.append(silent)
    return times


@dataclass(frozen=True, slots=True)
class Look:
    """Outcome of looking at a due ticket: a change, or (None) only a new time to look again."""

    change: Change | None
    next_check_at: datetime | None


def look(ticket: Ticket, agent: Agent | None, why: str, now: datetime, timers: Timers, levels: ServiceLevels) -> Look:
    """What the clock does to a ticket whose time has come.

    agent  its owner; None where it has none or the owner is unknown.
    why    why it waits, see waiting.why_waiting; only read in the state waiting.
    """
    change = _by_state(ticket, agent, why, now, timers, levels) or _by_clock(ticket, now, levels)
    if change is not None:
        change = timed(change, now, timers)
    after = change.after if change else ticket
    if after.state == "waiting" and ticket.state == "waiting":
        soon = max(timers.explain_after * 6, min(now - (after.waiting_since or now), SELDOM))
        pauses = {ABOUT_TO_BE_ASSIGNED: soon, ALL_DECLINED: timers.ask_again_after}
        pause = pauses.get(after.reason, timers.look_again)
        return Look(change, max(min(now + pause, *_times(after, levels), now + timers.look_again), now))
    return Look(change, after.next_check_at if change else next_check(after, now, timers))


def _by_clock(ticket: Ticket, now: datetime, levels: ServiceLevels) -> Change | None:
    """A due time that has passed is counted once; then the ladder, a rung at a time."""
    breach = next_breach(ticket)
    if breach is not None and breach[1] <= now:
        return apply(ticket, "breach", "clock", now, reason=ticket.reason, missed=(*ticket.missed, breach[0]))
    step = next_step(ticket, levels)
    if step is None or step[1] > now:
        return None
    number, name = step[0], STEPS[step[0] - 1]
    if queue_id := levels.queues.get(name):
        return apply(
            ticket, name, "clock", now, reason=name, escalation=number, queue_id=queue_id, declined_by=()
        )  # fmt: skip
    return apply(ticket, name, "clock", now, reason=ticket.reason, escalation=number)


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
        return apply(ticket, "explain", "clock", now, reason=why)
    asked_at = ticket.changed_at or now
    if ticket.state == "waiting" and why == ALL_DECLINED and now >= asked_at + timers.ask_again_after:
        # Everybody who could take it has declined and stood by it: they are asked again rather than let it wait on.
        return apply(ticket, "explain", "clock", now, reason=why, declined_by=())
    if ticket.state == "offered":
        declined = (*ticket.declined_by, ticket.agent_id)
        return apply(ticket, "lapse", "clock", now, reason="offer_lapsed", declined_by=declined)
    if ticket.state == "on_hold":
        quiet = _quiet_at(ticket, timers)
        parks = quiet is not None and quiet <= now
        return _by_hold(ticket, now, levels) or (
            apply(ticket, "park", "clock", now, reason=ticket.reason) if parks else None
        )
    if ticket.state == "self_service":
        return apply(ticket, "close", "clock", now, reason="self_service_unanswered")
    if ticket.state == "resolved":
        return apply(ticket, "close", "clock", now, reason="not_reopened")
    silent = silent_at(ticket, levels)
    if silent is not None and silent <= now:
        asked = tuple(dict.fromkeys((*ticket.declined_by, ticket.agent_id)))
        return apply(ticket, "requeue", "clock", now, reason="agent_silent", declined_by=asked)
    return release(ticket, agent, now, timers)


def _by_hold(ticket: Ticket, now: datetime, levels: ServiceLevels) -> Change | None:
    remind, end = hold_ends(ticket, levels)
    if end <= now:
        told = {"escalation": NOTIFIED, "acknowledged_by": ""} if hold_of(ticket, levels).supervisor else {}
        return apply(ticket, "resume", "clock", now, reason="hold_expired", **told)
    if remind is not None and remind <= now:
        return apply(ticket, "remind", "clock", now, reason=ticket.reason, reminded=True)
    return None


def release(ticket: Ticket, agent: Agent | None, now: datetime, timers: Timers) -> Change | None:
    """Take work from an agent who left or whose shift ended: at once if untouched, after the grace if under way. On
    hold stays, and so does what a supervisor gave to that agent by hand."""
    if ticket.state not in ("offered", "assigned", "in_progress"):
        return None
    if agent is None:
        return apply(ticket, "requeue", "clock", now, reason="agent_gone")
    since = gone_since(agent, now)
    if since is None or ticket.pinned or (ticket.state == "in_progress" and since + timers.away_grace > now):
        return None
    if agent.presence != "online":
        return apply(ticket, "requeue", "clock", now, reason=f"agent_{agent.presence}")
    note = ticket.note or f"Returned at the end of {agent.name}'s shift."
    return apply(ticket, "requeue", "clock", now, reason="shift_ended", note=note)


def release_check(ticket: Ticket, agent: Agent, now: datetime, timers: Timers) -> datetime | None:
    """When work under way must be looked at again because its agent has just left; None where they did not."""
    since = gone_since(agent, now)
    return since + timers.away_grace if since is not None and ticket.state == "in_progress" else None
