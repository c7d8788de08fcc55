"""How much one tenant may send: token buckets in memory, per process."""

from __future__ import annotations

MAX_TENANTS = 10_000
"""Buckets kept; beyond it the full ones are dropped, which changes nothing for their owners."""


class TokenBuckets:
    """One bucket per tenant. rate_per_s: refill; 0 switches the limit off. burst: size of a bucket."""

    __slots__ = ("_buckets", "burst", "policy", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.policy = f'"tenant";q={burst};w={max(1, round(burst / rate_per_s))}'.encode() if rate_per_s else b""
        self._buckets: dict[str, list[float]] = {}

    def take(self, tenant_id: str, now: float) -> float:
        """Take one token at `now` (monotonic seconds). Returns what is left, or minus the seconds to wait."""
        bucket = self._buckets.get(tenant_id)
        if bucket is None:
            if len(self._buckets) >= MAX_TENANTS:
                self._drop_full(now)
            self._buckets[tenant_id] = [self.burst - 1.0, now]
            return self.burst - 1.0
        left = min(float(self.burst), bucket[0] + (now - bucket[1]) * self.rate_per_s)
        bucket[1] = now
        if left < 1.0:
            bucket[0] = left
            return -(1.0 - left) / self.rate_per_s
        bucket[0] = left - 1.0
        return left - 1.0

    def _drop_full(self, now: float) -> None:
        full_after_s = self.burst / self.rate_per_s
        for tenant_id in [t for t, bucket in self._buckets.items() if now - bucket[1] >= full_after_s]:
            del self._buckets[tenant_id]
