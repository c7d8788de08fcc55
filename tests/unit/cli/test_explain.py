"""`fenliu explain` speaks in words."""

from __future__ import annotations

from typing import Any

from fenliu.cli import explain
from services.router.domain import waiting
from services.router.domain.transitions import ACTIONS, STATES


def step(version: int, action: str, state: str, reason: str, at: str, **fields: Any) -> dict[str, Any]:
    return {"version": version, "action": action, "state": state, "reason": reason, "at": at, **fields}


STORY: dict[str, Any] = {
    "ticket_id": "t1",
    "state": "waiting",
    "queue_id": "payment",
    "agent_id": None,
    "reason": "nobody_online",
    "history": [
        step(1, "receive", "received", "received", "2026-11-22T23:59:58.123456+00:00"),
        step(2, "queue", "waiting", "queued", "2026-11-22T23:59:59+00:00", queue_id="payment"),
        step(3, "assign", "assigned", "fenliu", "2026-11-23T00:00:01+00:00", queue_id="payment", agent_id="li"),
        step(4, "requeue", "waiting", "agent_gone", "2026-11-23T00:05:00+00:00", queue_id="payment"),
    ],
    "decisions": [{"version": 3, "words": ["li was chosen."]}],
}


def test_every_state_action_and_cause_of_waiting_has_words() -> None:
    assert set(explain.ACTIONS) == {"receive", *ACTIONS}
    assert set(explain.STATES) == set(STATES)
    causes = (
        waiting.NO_SKILL,
        waiting.NOBODY_ONLINE,
        waiting.ALL_FULL,
        waiting.ALL_DECLINED,
        waiting.KNOWN_BUSY,
        waiting.ABOUT_TO_BE_ASSIGNED,
    )
    assert set(causes) <= set(explain.REASONS)


def test_first_line_says_where_the_ticket_is_and_why_it_is_not_further() -> None:
    assert explain.told(STORY)[0] == (
        "Ticket t1 waits for an agent in queue payment: nobody who could take it is online."
    )


def test_story_names_each_day_once_and_times_to_the_second() -> None:
    assert explain.told(STORY)[1:] == [
        "2026-11-22, UTC",
        "  23:59:58  arrived",
        "  23:59:59  put in line, queue payment",
        "2026-11-23, UTC",
        "  00:00:01  given to li",
        "            li was chosen.",
        "  00:05:00  taken back and put in line again: the agent went offline",
    ]


def test_ticket_with_an_agent_names_the_agent_and_whom_it_waits_for() -> None:
    story = STORY | {"state": "on_hold", "agent_id": "li", "awaited": "customer"}
    assert explain.told(story)[0] == "Ticket t1 is on hold with li and waits for the customer."
