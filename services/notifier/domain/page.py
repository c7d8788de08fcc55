"""What the status page answers: what happens now, what next and when, and what the customer can do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.notifier.domain.timeline import TicketCopy, step_of
from services.notifier.domain.words import LANGUAGES

OPEN_STEPS = frozenset({"received", "self_help", "in_line", "with_agent", "being_handled", "awaiting_others"})

ACTIONS: dict[str, tuple[str, ...]] = {
    "received": ("cancel",),
    "self_help": ("confirm", "help", "cancel"),
    "in_line": ("confirm", "cancel"),
    "with_agent": ("confirm", "cancel"),
    "being_handled": ("confirm", "cancel"),
    "awaiting_you": ("confirm", "cancel"),
    "awaiting_others": ("confirm", "cancel"),
    "solved": ("confirm", "reopen"),
    "finished": (),
    "withdrawn": (),
}
"""Buttons by step, most useful first. The router decides what becomes of them."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The answer to "what happens now and when".

    next   key of the sentence that says what comes next.
    when   moment by which it has been promised; None where nothing can be promised honestly.
    late   True where that moment has passed.
    """

    step: str
    next: str
    when: datetime | None = None
    late: bool = False


def outlook(ticket: TicketCopy | None, now: datetime) -> Outlook:
    """What to tell the customer. ticket None, or without a snapshot: it is known to be received and nothing else."""
    if ticket is None or ticket.version == 0:
        return Outlook("received", "next_sorting")
    step = step_of(ticket.state, ticket.awaited)
    if step not in OPEN_STEPS:
        return Outlook(step, f"next_{step}")
    if step == "self_help":
        return Outlook(step, "next_self_help")
    promised = ticket.first_response_due_at if ticket.first_responded_at is None else ticket.resolution_due_at
    what = "next_answer" if ticket.first_responded_at is None else "next_solution"
    if promised is None:
        return Outlook(step, f"{what}_unknown")
    late = promised <= now
    return Outlook(step, f"{what}_late" if late else f"{what}_by", promised, late)


def actions_for(step: str, *, cancel_requested: bool) -> tuple[str, ...]:
    """Buttons to show. While a wish to cancel waits for the router's decision, it cannot be made again."""
    return tuple(a for a in ACTIONS[step] if not (cancel_requested and a == "cancel"))


def choose_language(wished: str | None, accept_language: str) -> str:
    """The page's language: what the reader chose, else the best of Accept-Language (RFC 9110, 12.5.4), else English."""
    if wished in LANGUAGES:
        return str(wished)
    best, quality = "en", 0.0
    for part in accept_language[:500].split(","):
        tag, _, parameter = part.strip().partition(";")
        language = tag.strip().lower().split("-")[0]
        weight = _quality(parameter)
        if language in LANGUAGES and weight > quality:
            best, quality = language, weight
    return best


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
