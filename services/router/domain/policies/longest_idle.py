"""B2: whoever has waited longest for work gets the ticket that has waited longest (the usual call-centre rule)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_idle_time, by_receipt

POLICY = Policy("longest_idle", by_receipt, by_idle_time, version=2)
