"""`fenliu explain TICKET`: why a ticket is where it is, in words."""

from __future__ import annotations

from typing import Any

import httpx2


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
    """The story line by line: where the ticket is, what happened to it, and why it was given to whom."""
    owner = f" with {story['agent_id']}" if story.get("agent_id") else ""
    lines = [f"Ticket {story['ticket_id']} is {story['state']}{owner}."]
    words = {decision["version"]: decision["words"] for decision in story.get("decisions", [])}
    for step in story["history"]:
        place = f", queue {step['queue_id']}" if step.get("queue_id") else ""
        reason = f" ({step['reason']})" if step.get("reason") else ""
        lines.append(f"{step['at']}  {step['action']}: {step['state']}{place}{reason}")
        lines += [f"    {line}" for line in words.get(step["version"], [])]
    return lines
