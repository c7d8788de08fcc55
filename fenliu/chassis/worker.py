"""Loops that no record drives: relays, dispatchers, timers, deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Loop:
    """Runs `step` again and again until it is stopped.

    step      does what is due and returns how many things it did; above 0 it is called again at once.
    every_s   longest pause between two steps, seconds: the guarantee behind every wake-up.
    A step that raises is logged and counted, and the next one waits with growing jitter (at most 10 s).
    """

    def __init__(self, name: str, step: Callable[[], Awaitable[int]], *, every_s: float) -> None:
        self.name = name
        self.stepped = asyncio.Event()
        """Set after every completed step; tests clear it and wait for it."""
        self._step = step
        self._every_s = every_s

    def wake(self, *_: object) -> None:
        """Make the next step start now. A hint: losing it costs at most `every_s`. Safe from after_commit."""
        raise NotImplementedError

    async def run(self, stop: asyncio.Event) -> None:
        """Step until `stop` is set; a step under way is finished first."""
        raise NotImplementedError
