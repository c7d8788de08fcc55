"""Clocks, ladder and holds as pure functions of a ticket."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import pairwise

from services.router.domain import sla
from services.router.domain.clocks import hold_ends, next_breach, next_step
from services.router.domain.due import Timers, look, next_check, timed
from services.router.domain.inbound import message, reopen
from services.router.domain.ticket import Agent, Labels, Ticket
from services.router.domain.transitions import apply

SLA = files("services.router").joinpath("sla.toml").read_text(encoding="utf-8")
LEVELS = sla.parse(SLA)
TIMERS = Timers(levels=LEVELS)
NOW = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)  # a Friday, 09:00 in Shanghai
MINUTE = timedelta(minutes=1)
ANN = Agent("t", "ann", "main", "Ann", presence="online")


def ticket(state: str = "waiting", tier: str = "urgent", **fields: object) -> Ticket:
    first, last = LEVELS.due(NOW, "standard", tier)
    owner = {"agent_id": "ann", "owned_since": NOW} if state in ("assigned", "in_progress", "on_hold") else {}
    made = Ticket(
        "t", "k", "main", NOW, state=state, labels=Labels("order", tier), waiting_since=NOW, **owner,
        first_response_due_at=first, resolution_due_at=last,
    )  # type: ignore[arg-type]  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


def run_clock(found: Ticket, until: datetime) -> list[tuple[str, timedelta]]:
    """(action, time since NOW) of everything that the clock does until then, acting exactly when it is due."""
    found = replace(found, next_check_at=next_check(found, NOW, TIMERS))
    done = []
    while found.next_check_at is not None and found.next_check_at <= until:
        at = found.next_check_at
        seen = look(found, None if found.state == "waiting" else ANN, "", at, TIMERS, LEVELS)
        if seen.change is not None:
            done.append((seen.change.action, at - NOW))
            found = seen.change.after
        found = replace(found, next_check_at=seen.next_check_at)
    return done


def test_ladder_climbs_step_by_step_at_its_shares_of_the_target() -> None:
    assert run_clock(ticket(), NOW + 100 * MINUTE) == [
        ("warn", 22.5 * MINUTE),
        ("widen", 27 * MINUTE),
        ("breach", 30 * MINUTE),
        ("notify", 30 * MINUTE),
        ("second_line", 45 * MINUTE),
        ("overflow", 60 * MINUTE),
    ]


def test_ladder_of_owned_work_warns_and_notifies_but_moves_nothing() -> None:
    found = ticket("in_progress", owned_since=NOW)
    assert [action for action, _ in run_clock(found, NOW + 100 * MINUTE)] == ["warn", "breach", "notify"]


def test_acknowledgement_stops_the_ladder_until_the_next_clock_starts() -> None:
    found = ticket(escalation=3, missed=("first_response",))
    taken = apply(found, "acknowledge", "supervisor", NOW + 31 * MINUTE, acknowledged_by="sue").after
    assert next_step(taken, LEVELS) is None
    replied = message(
        taken, "agent", "bob", "public", NOW + 40 * MINUTE, NOW + 40 * MINUTE, repeat=False, levels=LEVELS
    )
    assert replied is not None
    after = timed(replied, NOW + 40 * MINUTE, TIMERS).after
    assert (after.escalation, after.acknowledged_by) == (0, "")
    step = next_step(after, LEVELS)
    assert step == (1, NOW + 180 * MINUTE)  # warn, at three quarters of the four hours to the resolution


def test_waiting_for_the_customer_stops_the_customers_clocks_and_for_nobody_else() -> None:
    for party in sla.PARTIES:
        started = ticket("in_progress", first_responded_at=NOW + 5 * MINUTE)
        held = timed(apply(started, "hold", "owner", NOW + 60 * MINUTE, awaited=party), NOW + 60 * MINUTE, TIMERS).after
        assert (next_breach(held) is None) == (party == "customer")
        back = timed(
            apply(held, "resume", "supervisor", NOW + 90 * MINUTE), NOW + 90 * MINUTE, TIMERS
        ).after  # fmt: skip
        later = 30 * MINUTE if party == "customer" else timedelta(0)
        assert back.resolution_due_at == NOW + 240 * MINUTE + later
        assert back.awaited_since is None


def test_reopened_ticket_keeps_the_time_that_was_left_and_never_breaches_at_once() -> None:
    started = ticket("in_progress", first_responded_at=NOW + 5 * MINUTE)
    solved = timed(apply(started, "resolve", "owner", NOW + 200 * MINUTE), NOW + 200 * MINUTE, TIMERS).after
    at = NOW + timedelta(days=2)
    change = reopen(solved, LEVELS, at)
    assert change is not None
    after = timed(change, at, TIMERS).after
    assert after.resolution_due_at == at + 40 * MINUTE
    assert after.next_response_due_at == at + 30 * MINUTE
    assert next_breach(after) == ("next_response", at + 30 * MINUTE)


def test_next_response_clock_starts_with_the_message_and_stops_with_the_reply() -> None:
    found = ticket("in_progress", first_responded_at=NOW)
    wrote = message(found, "customer", "c", "public", NOW + MINUTE, NOW + MINUTE, repeat=False, levels=LEVELS)
    assert wrote is not None
    assert wrote.after.next_response_due_at == NOW + 31 * MINUTE
    again = message(
        wrote.after, "customer", "c", "public", NOW + 9 * MINUTE, NOW + 9 * MINUTE, repeat=False, levels=LEVELS
    )
    assert again is not None
    assert again.after.next_response_due_at == NOW + 31 * MINUTE
    replied = message(
        again.after, "agent", "x", "public", NOW + 10 * MINUTE, NOW + 10 * MINUTE, repeat=False, levels=LEVELS
    )
    assert replied is not None
    assert replied.after.next_response_due_at is None


def test_next_response_clock_does_not_run_after_resolve() -> None:
    found = ticket("in_progress", first_responded_at=NOW, next_response_due_at=NOW + 31 * MINUTE)
    solved = timed(apply(found, "resolve", "owner", NOW + MINUTE), NOW + MINUTE, TIMERS).after
    assert next_breach(solved) is None
    assert solved.next_check_at == NOW + MINUTE + TIMERS.close_after


def test_ticket_does_not_escalate_although_the_agent_replied() -> None:
    found = ticket("assigned", tier="standard")
    replied = message(found, "agent", "ann", "public", NOW + MINUTE, NOW + MINUTE, repeat=False, levels=LEVELS)
    assert replied is not None
    after = timed(replied, NOW + MINUTE, TIMERS).after
    assert run_clock(after, NOW + timedelta(hours=30)) == []


def test_silent_agent_loses_untouched_work_after_half_the_target_and_is_not_asked_again() -> None:
    found = ticket("assigned")
    assert run_clock(found, NOW + 15 * MINUTE) == [("requeue", 15 * MINUTE)]
    change = look(found, ANN, "", NOW + 15 * MINUTE, TIMERS, LEVELS).change
    assert change is not None
    assert (change.after.reason, change.after.declined_by) == ("agent_silent", ("ann",))
    assert "requeue" not in dict(run_clock(replace(found, pinned=True), NOW + 100 * MINUTE))


def test_offer_keeps_its_time_when_the_customer_writes_meanwhile() -> None:
    found = ticket("offered", agent_id="ann", next_check_at=NOW + MINUTE)
    wrote = message(found, "customer", "c", "public", NOW, NOW, repeat=False, levels=LEVELS)
    assert wrote is not None
    assert timed(wrote, NOW, TIMERS).after.next_check_at == NOW + MINUTE


def test_hold_reminds_the_party_then_comes_back_and_tells_a_supervisor() -> None:
    started = ticket("in_progress", tier="standard", first_responded_at=NOW, resolution_due_at=NOW + timedelta(days=9))
    held = timed(apply(started, "hold", "owner", NOW, awaited="warehouse"), NOW, TIMERS).after
    assert hold_ends(held, LEVELS) == (NOW + 240 * MINUTE, NOW + 480 * MINUTE)
    assert run_clock(held, NOW + 480 * MINUTE) == [("remind", 240 * MINUTE), ("resume", 480 * MINUTE)]
    change = look(held, None, "", NOW + 480 * MINUTE, TIMERS, LEVELS).change
    assert change is not None
    assert (change.after.reason, change.after.escalation) == ("hold_expired", 3)


def test_sla_clock_respects_business_hours_lunch_breaks_and_holidays_of_the_customers_region() -> None:
    levels = sla.parse(SLA.replace('# CN = "china_office"', 'CN = "china_office"'))
    first, last = levels.due(NOW + 160 * MINUTE, "standard", "urgent", "CN-31")  # 11:40 in Shanghai
    assert first == NOW + 280 * MINUTE  # 20 minutes before lunch, ten after it: 13:40
    assert last.astimezone(UTC) == datetime(2026, 11, 20, 9, 10, tzinfo=UTC)
    holiday = datetime(2026, 9, 30, 9, 45, tzinfo=UTC)  # 17:45 on the eve of the National Day week
    assert levels.due(holiday, "standard", "urgent", "CN")[0] == datetime(2026, 10, 8, 1, 15, tzinfo=UTC)
    assert levels.due(holiday, "standard", "urgent", "DE")[0] == holiday + 30 * MINUTE


def test_reminders_never_come_at_midnight_or_weekends_on_an_office_calendar() -> None:
    office = SLA.replace('owner = "finance"', 'owner = "finance"\ncalendar = "china_office"')
    levels = sla.parse(office)
    friday_evening = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # 17:00 in Shanghai
    held = replace(ticket("on_hold"), awaited="finance", awaited_since=friday_evening)
    remind, _ = hold_ends(held, levels)  # eight hours: one on Friday, seven on Monday around lunch
    assert remind == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def test_ticket_that_is_about_to_be_assigned_is_looked_at_less_and_less_but_every_five_minutes() -> None:
    # In a backlog of a hundred thousand, a look at each every half minute would cost more than assigning them.
    found, looks = ticket(tier="standard", reason="queued"), []
    at = NOW + TIMERS.explain_after
    while at < NOW + 30 * MINUTE:
        looks.append(at)
        at = look(found, None, "queued", at, TIMERS, LEVELS).next_check_at or NOW
    gaps = [(after - before) / MINUTE for before, after in pairwise(looks)]
    assert gaps == sorted(gaps)
    assert gaps[0] == 0.5
    assert gaps[-1] == 5
    assert len(looks) < 12
