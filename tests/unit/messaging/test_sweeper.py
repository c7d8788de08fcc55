"""When something unanswered is announced again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fenliu.chassis.messaging.sweeper import AnnounceAgain, GivenUp, GroupsRead, KeepWaiting, next_announcement

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("announced", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_next_announcement_waits_one_two_four_eight_minutes(announced: int, minutes: int) -> None:
    due = T0 + timedelta(minutes=minutes)
    before = next_announcement(announced, T0, read=True, now=due - timedelta(seconds=1))
    assert before == KeepWaiting(due)
    assert isinstance(next_announcement(announced, T0, read=True, now=due), AnnounceAgain)


def test_next_announcement_of_a_record_that_nobody_has_read_yet_waits() -> None:
    now = T0 + timedelta(hours=1)
    assert next_announcement(1, T0, read=False, now=now) == KeepWaiting(now + timedelta(minutes=1))


def test_next_announcement_after_the_fourth_copy_gives_up() -> None:
    assert next_announcement(5, T0, read=True, now=T0 + timedelta(days=1)) == GivenUp()


def test_next_announcement_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="never"):
        next_announcement(0, T0, read=True, now=T0)


@pytest.mark.parametrize(
    ("partition", "offset", "read"), [(0, 9, True), (0, 10, False), (1, 0, False), (None, None, False)]
)
def test_groups_read_only_what_lies_behind_every_groups_offset(
    partition: int | None, offset: int | None, read: bool
) -> None:
    assert GroupsRead({("t", 0): 10}).has_read("t", partition, offset) is read
