"""Labels corrected by people: they win over the classifier's, and become what it learns from."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Conflict, Malformed
from fenliu.chassis.http import Identifier, StrictModel, Text, Whole, problem_responses, require
from fenliu.contracts.vocabulary import CATEGORIES, COMPLEXITIES, TIERS
from services.router import metrics
from services.router.api.parts import Parts, TicketOut, Wish, change_ticket
from services.router.domain.correction import CORRECTABLE, Correction, correct
from services.router.domain.ticket import Ticket
from services.router.domain.transitions import Change, IllegalTransition
from services.router.store.snapshots import emit_relabelled


class StaleVersion(Conflict):
    """The ticket has changed since you read it. Read it again, and correct what you find then."""

    slug = "stale-version"


class TicketOver(Conflict):
    """The ticket is closed or cancelled; its labels stay."""

    slug = "ticket-over"


class NoLabels(Malformed):
    """There is no label in this request. Name at least one of category, tier, complexity."""

    slug = "no-labels"
    http_status = 422


def _slug(known: tuple[str, ...], description: str) -> Any:
    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value

    field = Field(None, description=description, json_schema_extra={"enum": [*known, None]})
    return Annotated[Annotated[str, AfterValidator(check)] | None, field]


class LabelsIn(StrictModel):
    """Labels as they should be. One that is absent stays as it is; the same labels again confirm them."""

    category: _slug(CATEGORIES, "What it is about.") = None  # type: ignore[valid-type]
    tier: _slug(TIERS, "How soon it must be answered.") = None  # type: ignore[valid-type]
    complexity: _slug(COMPLEXITIES, "How much work it is.") = None  # type: ignore[valid-type]
    reason: Annotated[str, Text(200)] | None = Field(None, description="Why, in your words.")
    version: Annotated[int, Field(ge=1, lt=2**53), Whole] | None = Field(
        None, description="Version of the ticket that you saw; where it has another one, nothing changes (409)."
    )


def routes(parts: Parts) -> APIRouter:
    """PUT of a ticket's labels."""
    router = APIRouter(tags=["routing"])

    @router.put("/v1/routing/tickets/{ticket_id}/labels", responses=problem_responses(401, 403, 404, 409, 422))
    async def correct_labels(
        ticket_id: Identifier, body: LabelsIn, caller: Annotated[Principal, require("agent", "supervisor")]
    ) -> TicketOut:
        """Correct or confirm labels. They win over what the classifier says later, and a ticket that waits is queued
        and timed by them. Sending the same again changes nothing."""
        if not any(getattr(body, label) for label in CORRECTABLE):
            raise NoLabels()

        return await change_ticket(parts, Wish(caller, ticket_id, partial(_correct, parts, caller, body)))

    return router


async def _correct(parts: Parts, caller: Principal, body: LabelsIn, tx: Transaction, ticket: Ticket) -> Change | None:
    if body.version not in (None, ticket.version):
        raise StaleVersion(current={"version": ticket.version, "state": ticket.state})
    wanted = Correction(body.category or "", body.tier or "", body.complexity or "")
    who = "supervisor" if caller.has("supervisor") else "agent"
    try:
        change = correct(ticket, wanted, who, rules=parts.rules, levels=parts.levels, now=tx.now)  # type: ignore[arg-type]
    except IllegalTransition as error:
        raise TicketOver(current={"version": ticket.version, "state": ticket.state}) from error
    if change is not None:
        emit_relabelled(
            tx, change.before, change.after, by=caller.subject, role=_role(caller), reason=body.reason or ""
        )  # fmt: skip
        tx.after_commit(_count, change)
    return change


def _role(caller: Principal) -> str:
    return next(role for role in ("admin", "supervisor", "agent") if role in caller.roles)


def _count(change: Change) -> None:
    before, after = change.before.labels, change.after.labels
    changed = [label for label in CORRECTABLE if getattr(before, label, "") != getattr(after, label)]
    for label in changed:
        metrics.corrections.inc(label=label, before=getattr(before, label, "") or "none", after=getattr(after, label))
    if not changed:
        metrics.confirmations.inc()
