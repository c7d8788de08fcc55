"""HTTP of the notifier, one file per prefix."""

from __future__ import annotations

from services.notifier.api import delivery, page, subscription, timeline
from services.notifier.api.page import PageTexts
from services.notifier.api.stream import OpenStreams, StreamLimits

delivery_routes = delivery.routes
page_routes = page.routes
subscription_routes = subscription.routes
timeline_routes = timeline.routes

__all__ = [
    "OpenStreams",
    "PageTexts",
    "StreamLimits",
    "delivery_routes",
    "page_routes",
    "subscription_routes",
    "timeline_routes",
]
