"""The table of transitions: every pair of action and state is either in it, with known effects, or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.router.domain import transitions
from services.router.domain.ticket import OWNED, TERMINAL, Ticket
from services.router.domain.transitions import ACTIONS, STATES, TABLE, IllegalTransition, allowed, apply

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

LEGAL = {
    "queue": "received self_service",
    "self_serve": "received",
    "relabel": "waiting",
    "correct": "received self_service waiting offered assigned in_progress on_hold resolved",
    "explain": "waiting",
    "move": "waiting",
    "offer": "waiting",
    "assign": "waiting",
    "accept": "offered",
    "decline": "offered assigned",
    "lapse": "offered",
    "requeue": "offered assigned in_progress on_hold",
    "start": "offered assigned",
    "hold": "assigned in_progress on_hold",
    "park": "on_hold",
    "wake": "on_hold",
    "remind": "on_hold",
    "warn": "waiting offered assigned in_progress on_hold",
    "notify": "waiting offered assigned in_progress on_hold",
    "acknowledge": "waiting offered assigned in_progress on_hold",
    "widen": "waiting",
    "second_line": "waiting",
    "overflow": "waiting",
    "resume": "on_hold",
    "note": "received self_service waiting offered assigned in_progress on_hold resolved",
    "breach": "waiting offered assigned in_progress on_hold",
    "resolve": "assigned in_progress on_hold",
    "confirm": "received self_service waiting offered assigned in_progress on_hold",
    "close": "resolved self_service",
    "reopen": "resolved",
    "cancel": "received self_service waiting offered assigned in_progress on_hold",
    "give": "offered assigned in_progress on_hold",
    "return": "offered assigned in_progress on_hold",
}


def ticket(state: str, **fields: object) -> Ticket:
    owner = {"agent_id": "a1", "agent_name": "Ann", "fence": 3} if state in OWNED else {}
    return Ticket("t", "k", "main", NOW - timedelta(hours=1), **{"state": state, **owner, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", ACTIONS)
def test_transition_every_pair_is_legal_exactly_as_listed(action: str, state: str) -> None:
    expected = state in LEGAL[action].split()
    assert allowed(action, ticket(state)) == expected
    if not expected:
        with pytest.raises(IllegalTransition):
            apply(ticket(state), action, "supervisor", NOW)


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: f"{row.action}-{row.source}")
def test_transition_grows_version_by_one_and_fence_exactly_when_owner_changes(row: transitions.Transition) -> None:
    before = ticket(row.source)
    fields = {"agent_id": "a2", "agent_name": "Bo"} if row.owner in ("take", "swap") else {}
    change = apply(before, row.action, sorted(row.who)[0], NOW, **fields)
    after = change.after
    assert (after.version, after.state, after.changed_at) == (before.version + 1, row.target, NOW)
    new_owner = after.agent_id if after.state in OWNED else ""
    old_owner = before.agent_id if before.state in OWNED else ""
    resolved_keeps_fence = row.target == "resolved"
    if new_owner != old_owner and not resolved_keeps_fence:
        assert after.fence == before.fence + 1
    assert sum(change.load_deltas().values()) == after.owned - before.owned
    if after.state in TERMINAL:
        assert after.next_check_at is None


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: f"{row.action}-{row.source}")
def test_transition_refuses_everybody_who_is_not_named(row: transitions.Transition) -> None:
    everybody = {"dispatcher", "owner", "supervisor", "customer", "clock", "classifier", "party"}
    for who in everybody - row.who:
        with pytest.raises(IllegalTransition):
            apply(ticket(row.source), row.action, who, NOW, agent_id="a2")  # type: ignore[arg-type]


def test_transition_terminal_states_are_absorbing() -> None:
    assert not [row for row in TABLE.values() if row.source in TERMINAL]


def test_resolve_keeps_agent_and_fence_so_that_a_repeat_gets_the_same_answer() -> None:
    change = apply(ticket("in_progress"), "resolve", "owner", NOW)
    assert (change.after.agent_id, change.after.fence) == ("a1", 3)
    assert change.load_deltas() == {"a1": -1}


def test_give_moves_the_place_from_one_agent_to_the_other() -> None:
    change = apply(ticket("assigned"), "give", "supervisor", NOW, agent_id="a2", agent_name="Bo")
    assert change.load_deltas() == {"a1": -1, "a2": 1}


def test_requeue_keeps_the_age_of_the_ticket() -> None:
    since = NOW - timedelta(minutes=50)
    assert apply(ticket("assigned", waiting_since=since), "requeue", "clock", NOW).after.waiting_since == since


def test_resume_of_a_parked_ticket_stands_in_line_again_because_nobody_owns_it() -> None:
    parked = apply(ticket("on_hold", awaited="customer"), "park", "clock", NOW).after
    assert (parked.agent_id, parked.owned, parked.facts.known_agent, parked.paused) == ("", False, "a1", True)
    awake = apply(parked, "resume", "customer", NOW)
    assert (awake.action, awake.after.state, awake.load_deltas()) == ("wake", "waiting", {})


def test_take_without_an_agent_is_a_bug() -> None:
    with pytest.raises(ValueError, match="agent"):
        apply(ticket("waiting"), "assign", "dispatcher", NOW)
