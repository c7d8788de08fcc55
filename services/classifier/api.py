"""HTTP of the classifier: labels for a caller who waits, and which model gives them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.http import Page, RawText, StrictModel, page, problem_responses, require
from services.classifier import metrics
from services.classifier.domain.label import Prediction
from services.classifier.model.current import CurrentModel

MAX_TEXTS = 100
MAX_CHARS = 16_000
"""As long as the text of a ticket may be."""

Text = Annotated[str, RawText(MAX_CHARS)]
Caller = Annotated[Principal, require("storefront", "integration", "agent", "supervisor")]


class OneText(StrictModel):
    """One text to be labelled."""

    text: Text = Field(description="What a customer wrote. An empty text is labelled too, as unclear.")


class SeveralTexts(StrictModel):
    """Texts to be labelled."""

    texts: list[Text] = Field(min_length=1, max_length=MAX_TEXTS, description="Answered in the same order.")


class PredictionOut(BaseModel):
    """The labels of one text."""

    model_config = {"protected_namespaces": ()}

    category: str = Field(description="What it is about; slugs and meanings in docs/taxonomy.md.")
    tier: str = Field(description="How fast somebody must answer: urgent, priority, standard.")
    complexity: str = Field(description="How much work it is: simple, moderate, complex.")
    sentiment: str = Field(description="negative, neutral, positive; from wording only.")
    language: str = Field(description="BCP 47 code; empty where the text shows no letters.")
    intent: str = Field(description="Which of 44 frequent simple requests it is; empty where it is none, or not sure.")
    confidence: float = Field(description="Probability of the category, 0 to 1.")
    needs_review: bool = Field(description="True where a person should look.")
    probabilities: dict[str, dict[str, float]] = Field(description="Label, slug, 0 to 1.")
    reasons: list[str] = Field(description="At most 8, without personal data.")
    model_version: str


class Classified(BaseModel):
    """Labels in the order of the texts."""

    items: list[PredictionOut]


class ModelOut(BaseModel):
    """A version of the model."""

    model_config = {"protected_namespaces": ()}

    model_version: str
    data_version: str = Field(description="Hash of the corpus that it learned from.")
    trained_at: str = Field(description="UTC; empty where its header does not say.")
    examples: int = Field(description="Texts in the corpus.")
    current: bool = Field(description="Whether new tickets are labelled with it.")
    labels: dict[str, list[str]] = Field(description="Every slug of every label.")
    review_below: float = Field(description="Confidence under which needs_review is set.")


def routes(model: CurrentModel) -> APIRouter:
    """POST /v1/classify and GET /v1/models."""
    router = APIRouter()

    @router.post("/v1/classify", responses=problem_responses(400, 401, 403, 413, 422, 429, 503))
    async def classify(body: OneText | SeveralTexts, caller: Caller) -> Classified:
        """Label one text or up to 100. Nothing is stored, and no ticket is made."""
        texts = [body.text] if isinstance(body, OneText) else body.texts
        predictions = await model.label(texts)
        for prediction in predictions:
            metrics.observe(prediction, "request")
        return Classified(items=[_shown(prediction) for prediction in predictions])

    @router.get("/v1/models", responses=problem_responses(401, 403, 429, 503))
    async def list_models(caller: Caller) -> Page[ModelOut]:
        """The models that are there; one is current. `fenliu classifier promote` and `rollback` change which."""
        listed = await asyncio.to_thread(model.listed)
        below = model.predictor.costs.review_below
        return page([_model(header, below, current=current) for header, current in listed], None)

    return router


def _shown(prediction: Prediction) -> PredictionOut:
    return PredictionOut(
        category=prediction.category,
        tier=prediction.tier,
        complexity=prediction.complexity,
        sentiment=prediction.sentiment,
        language=prediction.language,
        intent=prediction.intent,
        confidence=round(prediction.confidence, 4),
        needs_review=prediction.needs_review,
        probabilities={
            label: {slug: round(value, 4) for slug, value in slugs.items()}
            for label, slugs in prediction.probabilities.items()
        },
        reasons=list(prediction.reasons),
        model_version=prediction.model_version,
    )


def _model(header: Mapping[str, Any], review_below: float, *, current: bool) -> ModelOut:
    return ModelOut(
        model_version=header["model_version"],
        data_version=header.get("data_version", ""),
        trained_at=header.get("trained_at", ""),
        examples=header.get("examples", 0),
        current=current,
        labels=header.get("labels", {}),
        review_below=review_below,
    )
