"""Classifier process: reads what customers write, publishes labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.messaging.consumer import Subscription
from fenliu.chassis.service import Service
from fenliu.chassis.worker import Loop
from fenliu.contracts import topics
from fenliu.contracts.events import TicketMessageAdded, TicketReceived
from services.classifier import api, handlers
from services.classifier.model.current import CurrentModel
from services.classifier.settings import ClassifierSettings


def build(settings: ClassifierSettings, clock: Clock | None = None) -> Service:
    """Everything that the classifier consists of. Raises UnusableArtifact where the model does not fit."""
    clock = clock or SystemClock()
    directory = Path(settings.model_directory) if settings.model_directory else None
    model = CurrentModel(directory, settings.model_version)
    return Service(
        name="classifier",
        settings=settings,
        clock=clock,
        routers=[api.routes(model)],
        subscriptions=[
            Subscription(
                topics.TICKET_INBOUND,
                answer=partial(handlers.on_ticket_inbound, label=model.label, clock=clock),
                answers=(TicketReceived, TicketMessageAdded),
            )
        ],
        workers=[Loop("model", model.step, every_s=settings.model_poll_s)],
        links={
            "/v1/classify": "POST {text} or {texts}: category, tier, complexity, sentiment, language, reasons.",
            "/v1/models": "Which models there are, and which one labels.",
        },
    )
