"""Every state has words in every language, and none of them is the router's own."""

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest

from fenliu.contracts.vocabulary import STATES
from services.notifier import domain
from services.notifier.domain import Entry, TicketCopy
from services.notifier.domain.page import ACTIONS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AWAITED = ("", "customer", "carrier", "third_party", "finance")


def ticket(state: str, **changes: object) -> TicketCopy:
    facts = {
        "tenant_id": "t",
        "ticket_id": "k",
        "customer_id": "c",
        "state": state,
        "version": 1,
        "agent_name": "",
        "awaited": "",
        "order_id": "",
        "parcel_id": "",
        "last_sequence": 1,
        "received_at": NOW,
        "changed_at": NOW,
        "first_response_due_at": None,
        "resolution_due_at": None,
        "first_responded_at": None,
    }
    return TicketCopy(**(facts | changes))


@pytest.mark.parametrize("language", domain.LANGUAGES)
@pytest.mark.parametrize("awaited", AWAITED)
@pytest.mark.parametrize("state", [*STATES, "a_state_of_the_future"])
def test_words_every_state_has_headline_line_and_next(state: str, awaited: str, language: str) -> None:
    times = (None, NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    for due, answered in itertools.product(times, (None, NOW)):
        facts = {"first_response_due_at": due, "resolution_due_at": due, "first_responded_at": answered}
        view = domain.outlook(ticket(state, awaited=awaited, **facts), NOW)
        assert domain.say(f"now_{view.step}", language)
        assert domain.say(f"line_{view.step}", language)
        assert domain.say(view.next, language)
        for action in domain.actions_for(view.step, ()):
            assert domain.say(f"do_{action}", language)


@pytest.mark.parametrize("state", sorted(set(STATES) - {"received", "cancelled"}))
def test_words_for_customers_are_not_the_routers(state: str) -> None:
    step = domain.step_of(state, "")
    assert step != state
    assert state.replace("_", " ") not in domain.say(f"now_{step}", "en").lower()


def test_words_exist_in_both_languages_and_differ() -> None:
    for key, (english, chinese) in domain.WORDS.items():
        assert english.strip(), key
        assert chinese.strip(), key
        assert english != chinese, key
        if key != "other_language":
            assert re.search(r"[\u4e00-\u9fff]", chinese), key
            assert not re.search(r"[\u4e00-\u9fff]", english), key


def test_actions_cover_every_step() -> None:
    steps = {domain.step_of(state, awaited) for state in STATES for awaited in AWAITED}
    assert steps == set(ACTIONS)


def test_actions_after_wish_to_cancel_or_for_a_colleague_offer_no_second_one() -> None:
    assert domain.actions_for("received", {"received"}) == ("help", "cancel")
    assert domain.actions_for("received", {"received", "help_requested"}) == ("cancel",)
    assert domain.actions_for("received", {"received", "cancel_requested"}) == ("help",)


@pytest.mark.parametrize(
    ("oldest_first", "shown"),
    [
        ("received in_line", ""),
        ("received message_customer in_line", "1"),
        ("received message_agent awaiting_you", "1"),
        ("received message_customer message_agent awaiting_you message_customer message_customer", "2 5"),
        ("received message_agent message_agent message_system", "2"),
        ("received message_system self_help", "1"),
    ],
)
def test_last_words_are_our_newest_answer_and_what_was_written_since(oldest_first: str, shown: str) -> None:
    lines = [Entry("t", "k", kind, NOW, "intake", at, sequence=at) for at, kind in enumerate(oldest_first.split())]
    assert " ".join(str(line.sequence) for line in domain.last_words(lines[::-1])) == shown


def test_outlook_without_snapshot_promises_nothing() -> None:
    assert domain.outlook(None, NOW) == domain.Outlook("received", "next_sorting")


def test_outlook_before_first_answer_promises_its_due_time() -> None:
    due = NOW + timedelta(minutes=30)
    view = domain.outlook(ticket("waiting", first_response_due_at=due, resolution_due_at=NOW + timedelta(days=1)), NOW)
    assert (view.next, view.when, view.late) == ("next_answer_by", due, False)


def test_outlook_after_first_answer_promises_the_solution() -> None:
    due = NOW + timedelta(days=1)
    view = domain.outlook(
        ticket(
            "in_progress", first_response_due_at=NOW - timedelta(hours=1), first_responded_at=NOW, resolution_due_at=due
        ),
        NOW,
    )
    assert (view.next, view.when, view.late) == ("next_solution_by", due, False)


def test_outlook_after_due_time_says_so() -> None:
    view = domain.outlook(ticket("waiting", first_response_due_at=NOW), NOW)
    assert (view.next, view.late) == ("next_answer_late", True)


def test_outlook_without_due_time_is_honest() -> None:
    assert domain.outlook(ticket("waiting"), NOW).next == "next_answer_unknown"


@pytest.mark.parametrize(
    ("wished", "accepted", "language"),
    [
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en-GB,en;q=0.9", "en"),
        (None, "fr;q=0.9, zh-TW;q=0.3, en;q=0.2", "zh"),
        (None, "fr", "en"),
        (None, "", "en"),
        (None, "zh;q=nonsense", "en"),
        ("zh", "en", "zh"),
        ("<script>", "zh", "zh"),
    ],
)
def test_choose_language_follows_wish_then_header(wished: str | None, accepted: str, language: str) -> None:
    assert domain.choose_language(wished, accepted) == language
