"""What people say of the work: labels that agents corrected, and ratings by customers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Database
from fenliu.chassis.http import Cursor, Page, Paged, page, problem_responses, require
from fenliu.masking import mask_personal
from services.intake.api.views import RatingView
from services.intake.store import corrections, reading

SUPERVISING = ("agent", "supervisor", "integration", "storefront")


class CorrectionView(BaseModel):
    """Labels of a ticket as somebody corrected or confirmed them, with the text that they are about."""

    model_config = {"protected_namespaces": ()}

    ticket_id: str
    version: int = Field(description="The router's version of the ticket after it.")
    text: str = Field(
        description="What the customer had written by then, joined, at most 2,000 characters; personal data is masked. "
        "Empty where an order or logistics fact opened the ticket."
    )
    labels_before: dict[str, str] = Field(description="Label, slug; without those that were unknown.")
    labels_after: dict[str, str]
    corrected_by_role: str = Field(description="agent, supervisor or admin.")
    reason: str | None = Field(description="In their words, masked.")
    model_version: str | None = Field(description="Model that had labelled; null: none had.")
    corrected_at: AwareDatetime


def routes(db: Database) -> APIRouter:
    """GET /v1/feedback and GET /v1/feedback/ratings."""
    router = APIRouter(tags=["feedback"])

    @router.get("/v1/feedback", responses=problem_responses(401, 403, 422, 503))
    async def list_feedback(caller: Annotated[Principal, require("admin")], paging: Paged) -> Page[CorrectionView]:
        """Labels that people corrected or confirmed, newest first. `fenliu classifier export-feedback` makes training
        rows of them."""
        after = Cursor.decode(paging.cursor, datetime, str, int)
        position = (after[0], after[1], after[2]) if after else None
        async with db.read() as tx:
            rows = await corrections.load_corrections(tx, caller.tenant_id, paging.limit + 1, position)
            shown = rows[: paging.limit]
            texts = await corrections.load_texts(tx, shown)
        last = shown[-1] if len(rows) > len(shown) else None
        following = Cursor.encode(last.corrected_at, last.ticket_id, last.version) if last else None
        return page([_correction_view(row, text) for row, text in zip(shown, texts, strict=True)], following)

    @router.get("/v1/feedback/ratings", responses=problem_responses(401, 403, 422, 503))
    async def list_ratings(caller: Annotated[Principal, require(*SUPERVISING)], paging: Paged) -> Page[RatingView]:
        """Ratings by customers, newest first."""
        after = Cursor.decode(paging.cursor, datetime, str)
        position = (after[0], after[1]) if after else None
        async with db.read() as tx:
            rows = await reading.load_ratings(tx, caller.tenant_id, paging.limit + 1, position)
        shown = rows[: paging.limit]
        following = Cursor.encode(shown[-1].rated_at, shown[-1].ticket_id) if len(rows) > len(shown) else None
        return page([_rating_view(row) for row in shown], following)

    return router


def _correction_view(row: Any, text: str) -> CorrectionView:
    return CorrectionView(
        ticket_id=row.ticket_id,
        version=row.version,
        text=mask_personal(text),
        labels_before=_known(row.labels_before),
        labels_after=_known(row.labels_after),
        corrected_by_role=row.corrected_by_role,
        reason=mask_personal(row.reason) or None,
        model_version=row.model_version or None,
        corrected_at=row.corrected_at,
    )


def _known(labels: str) -> dict[str, str]:
    return {label: slug for label, slug in orjson.loads(labels).items() if slug}


def _rating_view(row: Any) -> RatingView:
    return RatingView(ticket_id=row.ticket_id, score=row.score, comment=row.comment or None, rated_at=row.rated_at)
