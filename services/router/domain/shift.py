"""When an agent takes new work: within their shift, up to a while before it ends, and not while wrapping up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.router.domain.calendar import Calendar
from services.router.domain.ticket import Agent

CLOSING = timedelta(minutes=5)
"""Time left in a shift with which nothing new is given: less than most tickets take."""

Span = tuple[datetime, datetime]
"""From (inclusive) and to (exclusive), aware UTC."""

FIRST_YEAR, LAST_YEAR = 2000, 2100
NEVER = datetime.max.replace(tzinfo=UTC)


def merged(spans: Sequence[Span]) -> list[Span]:
    """The same time as spans in order that neither overlap nor touch. Raises ValueError where one makes no sense."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            raise ValueError(f"the shift of {start:%Y-%m-%dT%H:%MZ} ends before it begins")
        if start.year < FIRST_YEAR or end.year > LAST_YEAR:
            raise ValueError(f"shifts lie between {FIRST_YEAR} and {LAST_YEAR}")
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def shift_at(spans: Sequence[Span], calendar: Calendar | None, now: datetime) -> Span | None:
    """The shift that holds `now`, or the next one; None where there is none any more. The calendar goes first."""
    if calendar is not None:
        return calendar.span(now)
    return next(((start, end) for start, end in spans if end > now), None)


def closed_until(agent: Agent, now: datetime) -> datetime | None:
    """Until when the agent gets nothing new, whatever their presence; None where they may. NEVER: until somebody says
    when they work."""
    until = agent.wrap_until if agent.wrap_until and agent.wrap_until > now else None
    if agent.shift_ends_at is None:
        return until
    if now >= agent.shift_ends_at - CLOSING:
        return NEVER
    if agent.shift_from is not None and now < agent.shift_from:
        return max(agent.shift_from, until or agent.shift_from)
    return until


def turns_at(agent: Agent, now: datetime) -> datetime | None:
    """When closed_until must be asked again; None where time alone changes nothing."""
    closed = closed_until(agent, now)
    if closed is not None:
        return None if closed == NEVER else closed
    return agent.shift_ends_at - CLOSING if agent.shift_ends_at else None


def seen_at(agent: Agent, now: datetime) -> Agent:
    """The agent as who gives work sees them: one who gets nothing new for reasons of time is not online."""
    closed = agent.presence == "online" and closed_until(agent, now) is not None
    return replace(agent, presence="off_duty") if closed else agent


def gone_since(agent: Agent, now: datetime) -> datetime | None:
    """Since when the agent is not at work, because they left or their shift ended; None where they are."""
    if agent.presence != "online":
        return agent.presence_at or now
    if agent.shift_ends_at is None or agent.shift_from is None:
        return None
    if now >= agent.shift_ends_at:
        return agent.shift_ends_at
    return None if now >= agent.shift_from else agent.shift_ended_at or agent.presence_at or now
