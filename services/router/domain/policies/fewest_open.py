"""B3: fewest open tickets, ties to the longest without a new one; first in, first out (Intercom, Chatwoot, Zendesk)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_open_count, by_receipt

POLICY = Policy("fewest_open", by_receipt, by_open_count)
