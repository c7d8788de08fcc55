"""The real clock, which a test may set ahead."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class TravelClock:
    """The real clock, and jumps ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead.total_seconds()

    def jump(self, **span: float) -> None:
        self.ahead += timedelta(**span)
