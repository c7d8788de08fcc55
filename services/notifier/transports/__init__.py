"""Ways out. One file each, one line here."""

from __future__ import annotations

from services.notifier.transports.webhook import Webhooks

TRANSPORTS = {"webhook": Webhooks}

__all__ = ["TRANSPORTS", "Webhooks"]
