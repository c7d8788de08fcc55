"""B5: classes strictly one after the other, first in, first out inside; longest idle agent (Dynamics, Salesforce)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_idle_time, by_priority

POLICY = Policy("strict_priority", by_priority, by_idle_time)
