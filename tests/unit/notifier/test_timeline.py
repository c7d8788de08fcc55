"""Which snapshots become lines that customers read."""

from datetime import UTC, datetime

from services.notifier import domain
from services.notifier.domain import Held, Snapshot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST = {("t", "k"): Held(0, "", "", 9)}


def snap(version: int, state: str, **changes: str) -> Snapshot:
    return Snapshot("t", "k", state, version, NOW, **changes)


def test_newest_keeps_one_a_ticket_in_order_of_tickets() -> None:
    other = Snapshot("t", "a", "waiting", 1, NOW)
    assert domain.newest([snap(2, "assigned"), snap(1, "waiting"), other]) == [other, snap(2, "assigned")]


def test_status_entries_skips_what_is_not_newer() -> None:
    fresh, entries = domain.status_entries(
        [snap(1, "waiting"), snap(2, "assigned"), snap(2, "assigned")], {("t", "k"): Held(1, "in_line", "", 9)}
    )
    assert [s.version for s in fresh] == [2]
    assert [e.kind for e in entries] == ["with_agent"]


def test_status_entries_offer_and_its_lapse_are_not_shown() -> None:
    fresh, entries = domain.status_entries([snap(1, "waiting"), snap(2, "offered"), snap(3, "waiting")], FIRST)
    assert len(fresh) == 3
    assert [e.kind for e in entries] == ["in_line"]


def test_status_entries_another_agent_takes_over_is_shown() -> None:
    _, entries = domain.status_entries(
        [snap(1, "assigned", agent_id="a"), snap(2, "assigned", agent_id="a"), snap(3, "assigned", agent_id="b")], FIRST
    )
    assert [(e.kind, e.author_id) for e in entries] == [("with_agent", "a"), ("with_agent", "b")]


def test_status_entries_received_is_left_to_intake() -> None:
    fresh, entries = domain.status_entries([snap(1, "received")], FIRST)
    assert len(fresh) == 1
    assert entries == []


def test_status_entries_ticket_that_lost_the_race_makes_none() -> None:
    assert domain.status_entries([snap(1, "waiting")], {}) == ([], [])


def test_step_of_on_hold_tells_whose_turn_it_is() -> None:
    assert domain.step_of("on_hold", "customer") == "awaiting_you"
    assert domain.step_of("on_hold", "carrier") == "awaiting_others"
