"""Loops that no record drives: sending webhooks, feeding open streams, keeping house."""

from services.notifier.workers.dispatch import Deliveries, Housekeeping
from services.notifier.workers.streams import Streams, TooManyStreams, Watcher

__all__ = ["Deliveries", "Housekeeping", "Streams", "TooManyStreams", "Watcher"]
