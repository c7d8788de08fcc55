"""The three clocks of a ticket (first response, next response, resolution), the escalation ladder, and holds.

Nothing here ticks: due times stand in the ticket, and whatever is due next follows from them. A clock that stood still
goes on with the working time that it had left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from services.router.domain.sla import STEPS, Hold, ServiceLevels, Target
from services.router.domain.ticket import OWNED, TERMINAL, Ticket
from services.router.domain.transitions import Change

FIRST, NEXT, RESOLUTION = "first_response", "next_response", "resolution"
WIDENED = STEPS.index("widen") + 1
NOTIFIED = STEPS.index("notify") + 1
_FOR_WAITING = frozenset({"widen", "second_line", "overflow"})
_LONGEST_HOLD = Hold(timedelta(days=3))


def clocks(ticket: Ticket) -> Iterator[tuple[str, datetime]]:
    """(clock, due time) of every clock that runs; none while it is the customer's turn, or before it was queued."""
    if ticket.paused or not (ticket.state == "waiting" or ticket.state in OWNED):
        return
    if ticket.first_responded_at is None and ticket.first_response_due_at is not None:
        yield FIRST, ticket.first_response_due_at
    if ticket.next_response_due_at is not None:
        yield NEXT, ticket.next_response_due_at
    if ticket.resolution_due_at is not None:
        yield RESOLUTION, ticket.resolution_due_at


def next_breach(ticket: Ticket) -> tuple[str, datetime] | None:
    """The clock that runs out next, of those that were not missed yet, and when."""
    running = [clock for clock in clocks(ticket) if clock[0] not in ticket.missed]
    return min(running, key=lambda clock: clock[1]) if running else None


def leading(ticket: Ticket) -> tuple[str, datetime] | None:
    """The clock that the ladder follows: a response that is owed goes before the resolution."""
    return next(clocks(ticket), None)


def target_of(ticket: Ticket, levels: ServiceLevels) -> Target:
    """What was promised to this ticket's customer."""
    return levels.target(ticket.facts.customer_class, ticket.labels.tier if ticket.labels else "")


def next_step(ticket: Ticket, levels: ServiceLevels) -> tuple[int, datetime] | None:
    """The next rung of the ladder (1 is warn) that this ticket can be taken to, and when. None: there is none."""
    clock = leading(ticket)
    if clock is None or ticket.acknowledged_by:
        return None
    for number, step in enumerate(STEPS, 1):
        share = levels.ladder.get(step)
        if share is None or number <= ticket.escalation or (step in _FOR_WAITING and ticket.state != "waiting"):
            continue
        return number, _at_share(ticket, clock, share, levels)
    return None


def _at_share(ticket: Ticket, clock: tuple[str, datetime], share: float, levels: ServiceLevels) -> datetime:
    """When `share` of the target of this clock has passed, counted from its due time."""
    name, due = clock
    target = target_of(ticket, levels)
    span = {FIRST: target.first_response, NEXT: target.next_response, RESOLUTION: target.resolution}[name]
    distance = abs(share - 1.0) * span
    if not distance:
        return due
    hours = levels.hours(target, ticket.facts.region)
    return hours.due(due, distance) if share > 1 else hours.before(due, distance)


def silent_at(ticket: Ticket, levels: ServiceLevels) -> datetime | None:
    """When an agent who has not touched this ticket loses it. None: never."""
    if ticket.state != "assigned" or ticket.pinned or not levels.silence or ticket.owned_since is None:
        return None
    target = target_of(ticket, levels)
    return levels.hours(target, ticket.facts.region).due(ticket.owned_since, target.first_response * levels.silence)


def hold_of(ticket: Ticket, levels: ServiceLevels | None) -> Hold:
    """How long whoever is awaited may take; three days for somebody whom sla.toml does not name."""
    return levels.holds.get(ticket.awaited, _LONGEST_HOLD) if levels else _LONGEST_HOLD


def hold_ends(ticket: Ticket, levels: ServiceLevels | None) -> tuple[datetime | None, datetime]:
    """(when the awaited party is reminded, None if it was or never is; when the ticket comes back to its agent)."""
    since = ticket.awaited_since or ticket.received_at
    hold = hold_of(ticket, levels)
    if levels is None:
        return None, since + hold.target
    hours = levels.hold_hours(hold)
    remind = hours.due(since, hold.remind) if hold.remind is not None and not ticket.reminded else None
    return remind, hours.due(since, hold.target)


def answer_due(ticket: Ticket, at: datetime, levels: ServiceLevels) -> datetime:
    """When a customer's message of this moment must be answered; an older unanswered one keeps its time."""
    target = target_of(ticket, levels)
    return ticket.next_response_due_at or levels.hours(target, ticket.facts.region).due(at, target.next_response)


def carried_on(change: Change, now: datetime, levels: ServiceLevels) -> Change:
    """The change with its clocks set: what stood still goes on with what it had left, and a new leading clock starts
    the ladder from below."""
    before, after = change.before, change.after
    if before.paused and not after.paused and after.state not in TERMINAL:
        after = _resumed(before, after, now, levels)
    if after.escalation or after.acknowledged_by:
        clock, was = leading(after), leading(before)
        if clock is not None and (was is None or was[0] != clock[0]) and after.escalation == before.escalation:
            after = replace(after, escalation=0, acknowledged_by="")
    return change if after is change.after else Change(before, after, change.action)


def _resumed(before: Ticket, ticket: Ticket, now: datetime, levels: ServiceLevels) -> Ticket:
    """A promise that was already broken stays so; one that was made by this very change is not touched."""
    hours = levels.hours(target_of(ticket, levels), ticket.facts.region)
    since = before.awaited_since or now

    def later(due: datetime | None, was: datetime | None) -> datetime | None:
        if due is None or due != was or (left := hours.between(since, due)) <= timedelta(0):
            return due
        return hours.due(now, left)

    first = ticket.first_response_due_at
    return replace(
        ticket,
        first_response_due_at=first if ticket.first_responded_at else later(first, before.first_response_due_at),
        next_response_due_at=later(ticket.next_response_due_at, before.next_response_due_at),
        resolution_due_at=later(ticket.resolution_due_at, before.resolution_due_at),
    )
