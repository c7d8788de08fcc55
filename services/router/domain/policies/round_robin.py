"""B1: everybody in turn, whoever is full is passed over; first in, first out (Libredesk, Chatwoot, Tiledesk)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_receipt, by_turn

POLICY = Policy("round_robin", by_receipt, by_turn)
