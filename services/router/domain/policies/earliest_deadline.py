"""B9: the ticket that is due first goes to the agent with the smallest share of capacity in use (Zendesk, Gladly)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_deadline, by_share_in_use

POLICY = Policy("earliest_deadline", by_deadline, by_share_in_use)
