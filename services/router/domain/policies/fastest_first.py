"""P6: the agent expected to need the fewest minutes; first in, first out (Armony 2005)."""

from __future__ import annotations

from services.router.domain.policies.policy import Policy, by_idle_time, by_receipt, minutes

POLICY = Policy("fastest_first", by_receipt, by_idle_time, minutes, consider=64)
