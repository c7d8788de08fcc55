from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.intake.domain.ticket import (
    Snapshot,
    is_over,
    is_passed,
    is_untouched,
    newest,
    next_announcement,
    reopens,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE = Snapshot("t1", "a", "waiting", 1, 0, "", "", "", "{}", "", "", 0, None, None, None, None)


def test_newest_keeps_the_highest_version_of_each_ticket():
    other = replace(ONE, ticket_id="b", version=2)
    folded = newest([replace(ONE, version=3, state="assigned"), ONE, other, replace(ONE, tenant_id="t0")])
    assert [(s.tenant_id, s.ticket_id, s.version) for s in folded] == [("t0", "a", 1), ("t1", "a", 3), ("t1", "b", 2)]


def test_next_announcement_comes_after_1_3_7_and_15_minutes_and_then_never():
    minutes = []
    for announcements in range(4):
        at = next_announcement(announcements, NOON)
        assert at is not None
        minutes.append((at - NOON) / timedelta(minutes=1))
    assert minutes == [1, 3, 7, 15]
    assert next_announcement(4, NOON) is None


@pytest.mark.parametrize(
    ("published", "read_until", "passed"),
    [
        (None, {0: 100}, False),
        ((0, 7), {0: 8}, True),
        ((0, 7), {0: 7}, False),
        ((0, 7), {1: 100}, False),
        ((0, 7), {}, False),
    ],
    ids=["in the outbox", "read", "next to be read", "other partition", "never read"],
)
def test_is_passed_only_where_the_group_has_read_the_record(published, read_until, passed):
    assert is_passed(published, read_until) is passed


@pytest.mark.parametrize("state", ["", "received", "waiting", "offered", "assigned"])
def test_is_untouched_before_anybody_works(state):
    assert is_untouched(state, "event", 0)
    assert not is_untouched(state, "event", 1)
    assert not is_untouched(state, "customer", 0)


@pytest.mark.parametrize("state", ["in_progress", "on_hold", "resolved", "closed", "cancelled"])
def test_is_untouched_once_somebody_works_is_false(state):
    assert not is_untouched(state, "event", 0)


def test_reopens_only_a_customers_message_on_a_resolved_ticket():
    assert reopens("resolved", "customer")
    assert not reopens("resolved", "agent")
    assert not reopens("waiting", "customer")


def test_is_over_resolved_is_not():
    assert [state for state in ("waiting", "resolved", "closed", "cancelled") if is_over(state)] == [
        "closed",
        "cancelled",
    ]
