"""`fenliu explain TICKET`: why a ticket is where it is, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx2

STATES = {
    "received": "has arrived and waits for its labels",
    "self_service": "was answered by a self-service page, and the customer has not said whether that helped",
    "waiting": "waits for an agent",
    "offered": "is offered to {agent}",
    "assigned": "is with {agent}, who has not started yet",
    "in_progress": "is being worked on by {agent}",
    "on_hold": "is on hold with {agent} and waits for the {awaited}",
    "resolved": "is resolved; the customer may still reopen it",
    "closed": "is closed",
    "cancelled": "is cancelled",
}
"""State to how a ticket in it stands."""

ACTIONS = {
    "receive": "arrived",
    "queue": "put in line",
    "self_serve": "answered by a self-service page",
    "relabel": "labelled anew by the classifier",
    "correct": "labels corrected by a person",
    "explain": "looked for an agent, in vain",
    "move": "moved to another queue",
    "offer": "offered to {agent}",
    "assign": "given to {agent}",
    "accept": "accepted by {agent}",
    "decline": "declined",
    "lapse": "offer not answered in time",
    "requeue": "taken back and put in line again",
    "start": "started by {agent}",
    "hold": "put on hold",
    "resume": "taken up again",
    "park": "customer quiet; {agent}'s place given back",
    "wake": "back in line after a quiet spell",
    "remind": "the awaited party was reminded",
    "note": "noted",
    "breach": "a due time passed",
    "warn": "a due time comes near",
    "notify": "supervisors told",
    "acknowledge": "a supervisor takes care of the escalation",
    "widen": "agents with less skill may take it",
    "second_line": "passed to the second line",
    "overflow": "passed to the overflow queue",
    "resolve": "resolved",
    "confirm": "customer says it is settled",
    "close": "closed",
    "reopen": "reopened",
    "cancel": "cancelled",
    "give": "handed to {agent}",
    "return": "returned to the line",
}
"""Action of a change to what happened."""

REASONS = {
    "queued": "it has just been put in line, or an agent is about to get it",
    "no_agent_with_skill": "nobody on this desk has the skill, so the general queue serves it",
    "nobody_online": "nobody who could take it is online",
    "all_agents_full": "everybody who could take it has as much as they may have",
    "all_declined": "everybody who could take it has declined it",
    "known_agent_busy": "the agent who knows the customer is busy, and waiting for them costs little so far",
    "agent_gone": "the agent went offline",
    "agent_silent": "the agent did not start in time",
    "shift_ended": "the agent's shift ended",
    "offer_lapsed": "the agent did not answer the offer",
    "hold_expired": "the awaited party did not answer in time",
    "customer_answered": "the customer answered",
    "cancel_requested": "the customer asked for it",
    "confirmed_by_customer": "the customer said so",
    "help_requested": "the customer asked for a human",
    "needs_review": "the labels are unsure; a person should look",
    "not_labelled": "no labels in time; the general queue serves it",
    "not_reopened": "nobody reopened it in time",
    "self_service_unanswered": "the customer did not come back",
    "settled_by_event": "an order or logistics event settled it",
}
"""Slug of a reason to what it means; one that is not here is shown as it is."""

PLAIN = frozenset({"received", "queued", "accepted", "started", "resumed", "declined", "transferred"})
"""Reasons that say no more than the action does."""


class NoStory(RuntimeError):
    """The router could not be asked, or does not know the ticket; the message says which and what to do."""


def fetch(url: str, token: str, ticket_id: str) -> dict[str, Any]:
    """The router's story of a ticket. Raises NoStory."""
    try:
        answer = httpx2.get(
            f"{url}/v1/routing/tickets/{ticket_id}", headers={"Authorization": f"Bearer {token}"}, timeout=10
        )
    except httpx2.HTTPError as error:
        raise NoStory(f"The router at {url} does not answer ({error}). Is it running? Try fenliu doctor.") from error
    if answer.status_code != 200:
        detail = answer.json().get("detail", "") if "json" in answer.headers.get("content-type", "") else ""
        raise NoStory(f"The router answers {answer.status_code}. {detail}".strip())
    found: dict[str, Any] = answer.json()
    return found


def told(story: dict[str, Any]) -> list[str]:
    """The story line by line: where the ticket is and why, then what happened to it and why it was given to whom.

    Times are UTC, to the second; a day is named where it begins.
    """
    lines = [_heading(story)]
    words = {decision["version"]: decision["words"] for decision in story.get("decisions", [])}
    day, queue = "", ""
    for step in story["history"]:
        at = datetime.fromisoformat(step["at"]).astimezone(UTC)
        if f"{at:%Y-%m-%d}" != day:
            day = f"{at:%Y-%m-%d}"
            lines.append(f"{day}, UTC")
        happened = ACTIONS.get(step["action"], step["action"]).format(agent=step.get("agent_id") or "its agent")
        place = f", queue {step['queue_id']}" if step.get("queue_id") and step["queue_id"] != queue else ""
        queue = step.get("queue_id") or queue
        lines.append(f"  {at:%H:%M:%S}  {happened}{place}{_why(step)}")
        lines += [f"            {line}" for line in words.get(step["version"], [])]
    return lines


def _heading(story: dict[str, Any]) -> str:
    stands = STATES.get(story["state"], f"is {story['state']}")
    # A parked ticket is on hold without an agent.
    found = stands.format(agent=story.get("agent_id") or "nobody", awaited=story.get("awaited") or "answer")
    heading = f"Ticket {story['ticket_id']} {found}"
    if story["state"] != "waiting":
        return f"{heading}."
    queue = f" in queue {story['queue_id']}" if story.get("queue_id") else ""
    meaning = REASONS.get(story.get("reason") or "", story.get("reason") or "")
    return f"{heading}{queue}: {meaning}." if meaning else f"{heading}{queue}."


def _why(step: dict[str, Any]) -> str:
    reason = step.get("reason") or ""
    if reason in ("", step["action"], step["state"], *PLAIN):
        return ""
    if step["action"] in ("assign", "offer") and reason not in REASONS:
        return ""  # the policy's name, which the grounds below the step begin with
    return f": {REASONS.get(reason, reason.replace('_', ' '))}"
