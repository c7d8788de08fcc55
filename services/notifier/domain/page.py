"""What the status page answers: what happens now, what next and when, and what the customer can do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.notifier.domain.timeline import Entry, TicketCopy, step_of
from services.notifier.domain.words import LANGUAGES

OPEN_STEPS = frozenset({"received", "self_help", "in_line", "with_agent", "being_handled", "awaiting_others"})

ACTIONS: dict[str, tuple[str, ...]] = {
    "received": ("help", "cancel"),
    "self_help": ("confirm", "help", "cancel"),
    "in_line": ("confirm", "cancel"),
    "with_agent": ("confirm", "cancel"),
    "being_handled": ("confirm", "cancel"),
    "awaiting_you": ("confirm", "cancel"),
    "awaiting_others": ("confirm", "cancel"),
    "solved": ("confirm", "reopen", "rate"),
    "finished": ("rate",),
    "withdrawn": (),
}
"""Buttons by step, most useful first. The router decides what becomes of them. A colleague can be asked for while none
is on the way yet; from solved, "reopen" leads to one."""


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


def actions_for(step: str, kinds: Collection[str]) -> tuple[str, ...]:
    """Buttons to show. kinds: of the timeline's lines; a wish to cancel or for a colleague is not taken twice."""
    once = ("cancel", "help")
    return tuple(a for a in ACTIONS[step] if not (a in once and f"{a}_requested" in kinds))


def last_words(lines: Sequence[Entry]) -> tuple[Entry, ...]:
    """What a reader wants first: our newest answer, then what the customer wrote since.

    lines: newest first. A colleague's answer stays until the next one; an automatic message counts where there is none.
    """
    ours = [line for line in lines if line.kind in ("message_agent", "message_system")]
    answer = next((line for line in ours if line.kind == "message_agent"), ours[0] if ours else None)
    since = lines if answer is None else lines[: lines.index(answer)]
    wrote = next((line for line in since if line.kind == "message_customer"), None)
    return tuple(line for line in (answer, wrote) if line is not None)


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
