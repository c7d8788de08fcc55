"""What follows from an attempt, and who is owed a delivery."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from services.notifier import domain
from services.notifier.domain import Deferred, Delivered, GivenUp, Rejected, RetryAt, Sent, Snapshot, Subscriber

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def snapshot(**changes: object) -> Snapshot:
    facts = {"tenant_id": "t", "ticket_id": "k", "state": "assigned", "version": 3, "changed_at": NOW} | changes
    return Snapshot(**facts)


def test_next_step_answer_2xx_is_sent() -> None:
    assert domain.next_step(1, Delivered(204), NOW, 0) == Sent()


@pytest.mark.parametrize("attempt", range(1, len(domain.RETRY_DELAYS) + 1))
@pytest.mark.parametrize("jitter", [-1.0, 0.0, 1.0])
def test_next_step_failure_waits_within_ten_percent_of_the_schedule(attempt: int, jitter: float) -> None:
    step = domain.next_step(attempt, Deferred("500", 500), NOW, jitter)
    assert isinstance(step, RetryAt)
    planned = domain.RETRY_DELAYS[attempt - 1]
    assert step.at - NOW == planned * (1 + 0.1 * jitter)


def test_next_step_last_attempt_fails_is_given_up_and_subscription_stays() -> None:
    assert domain.next_step(len(domain.RETRY_DELAYS) + 1, Deferred("500", 500), NOW, 0) == GivenUp(disable=False)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("jitter", [-1.0, 0.0, 1.0])
def test_next_step_retry_after_is_never_undercut(status: int, jitter: float) -> None:
    step = domain.next_step(1, Deferred("later", status, retry_after_s=120), NOW, jitter)
    assert isinstance(step, RetryAt)
    assert timedelta(seconds=120) <= step.at - NOW <= timedelta(seconds=132)


def test_next_step_retry_after_on_other_status_is_ignored() -> None:
    assert domain.next_step(1, Deferred("500", 500, retry_after_s=9999), NOW, 0) == RetryAt(NOW + timedelta(seconds=5))


@pytest.mark.parametrize(("wished_s", "waits"), [(0, timedelta(seconds=1)), (1e12, timedelta(hours=24))])
def test_next_step_absurd_retry_after_is_bounded(wished_s: float, waits: timedelta) -> None:
    assert domain.next_step(1, Deferred("503", 503, retry_after_s=wished_s), NOW, 0) == RetryAt(NOW + waits)


def test_next_step_gone_disables_the_subscription() -> None:
    assert domain.next_step(1, Rejected("gone", 410, gone=True), NOW, 0) == GivenUp(disable=True)


def test_next_step_blocked_address_is_given_up_at_once() -> None:
    assert domain.next_step(1, Rejected("blocked"), NOW, 0) == GivenUp(disable=False)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_next_step_other_4xx_is_tried_again(status: int) -> None:
    assert isinstance(domain.next_step(1, Deferred("no", status), NOW, 0), RetryAt)


def test_deliveries_for_matches_state_and_tenant_only() -> None:
    subscribers = {
        "t": [
            Subscriber("all", "t", frozenset({"*"})),
            Subscriber("assigned", "t", frozenset({"assigned"})),
            Subscriber("closed", "t", frozenset({"closed"})),
        ],
        "other": [Subscriber("foreign", "other", frozenset({"*"}))],
    }
    owed = domain.deliveries_for([snapshot()], subscribers)
    assert [d.subscription_id for d in owed] == ["all", "assigned"]
    assert {d.event_type for d in owed} == {"ticket.assigned"}


def test_delivery_id_is_stable_and_differs_by_subscription_and_version() -> None:
    everybody = {"t": [Subscriber("a", "t", frozenset({"*"})), Subscriber("b", "t", frozenset({"*"}))]}
    first = [d.delivery_id for d in domain.deliveries_for([snapshot()], everybody)]
    again = [d.delivery_id for d in domain.deliveries_for([snapshot()], everybody)]
    newer = [d.delivery_id for d in domain.deliveries_for([snapshot(version=4)], everybody)]
    assert first == again
    assert len({*first, *newer}) == 4


def test_payload_says_what_changed_and_when() -> None:
    [owed] = domain.deliveries_for(
        [snapshot(first_response_due_at=NOW + timedelta(hours=2), agent_name="林晓")],
        {"t": [Subscriber("a", "t", frozenset({"*"}))]},
    )
    body = json.loads(owed.payload)
    assert body["type"] == "ticket.assigned"
    assert body["timestamp"] == "2026-11-21T12:00:00.000Z"
    assert body["data"]["ticket_id"] == "k"
    assert body["data"]["first_response_due_at"] == "2026-11-21T14:00:00.000Z"
    assert body["data"]["resolution_due_at"] is None
    assert "text" not in owed.payload
