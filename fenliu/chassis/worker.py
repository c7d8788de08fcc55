"""Loops that no record drives: relays, dispatchers, timers, deliveries."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fenliu.chassis.errors import Transient
from fenliu.chassis.observability import FAST_BUCKETS, counter, gauge, get_logger, histogram

log = get_logger(__name__)

MAX_BACKOFF_S = 10.0

steps_total = counter(
    "fenliu_worker_steps_total",
    "Steps of a background loop that finished.",
    reaction="Stands still: the loop hangs in a step or the process does not run it; look at its log lines.",
    labels={"loop": None},
)
failures_total = counter(
    "fenliu_worker_failures_total",
    "Steps of a background loop that raised.",
    reaction="Grows: read `loop_step_failed` in the log; the step is repeated with growing pauses of at most 10 s.",
    labels={"loop": None},
)
done_total = counter(
    "fenliu_worker_done_total",
    "Things that a background loop's steps did (rows published, tickets moved, deliveries sent).",
    reaction="Stands still while work is waiting: look at the loop's failures.",
    labels={"loop": None},
)
last_success = gauge(
    "fenliu_worker_last_success_timestamp_seconds",
    "Unix time of a background loop's last good step.",
    reaction="Older than a minute: the loop fails or hangs; restart the service if its log does not say why.",
    labels={"loop": None},
)
step_seconds = histogram(
    "fenliu_worker_step_seconds",
    "Length of one step of a background loop.",
    reaction="Rises: the database or the far side is slow.",
    labels={"loop": None},
    buckets=FAST_BUCKETS,
)


class Loop:
    """Runs `step` again and again until it is stopped.

    step      does what is due and returns how many things it did; above 0 it is called again at once.
    every_s   longest pause between two steps, seconds: the guarantee behind every wake-up.
    rest_s    after a step that did something the loop rests for as long as that took, at most so many seconds: that
              leaves the process half of its time, and the next step finds more to do at once. 0: it does not rest.
    A step that raises is logged and counted, and the next one waits with growing jitter (at most 10 s).
    """

    def __init__(self, name: str, step: Callable[[], Awaitable[int]], *, every_s: float, rest_s: float = 0.0) -> None:
        self.name = name
        self.stepped = asyncio.Event()
        """Set after every completed step; tests clear it and wait for it."""
        self._step = step
        self._every_s = every_s
        self._rest_s = rest_s
        self._woken = asyncio.Event()
        self._steps = steps_total.labels(loop=name)
        self._failures = failures_total.labels(loop=name)
        self._done = done_total.labels(loop=name)
        self._last_success = last_success.labels(loop=name)
        self._seconds = step_seconds.labels(loop=name)

    def wake(self, *_: object) -> None:
        """Make the next step start now. A hint: losing it costs at most `every_s`. Safe from after_commit."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Step until `stop` is set; a step under way is finished first."""
        failed = 0
        stopping: asyncio.Task[Any] = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._woken.clear()
                started = time.perf_counter()
                done = await self._one_step()
                if done is None:
                    failed += 1
                    ceiling = min(MAX_BACKOFF_S, 0.1 * 2 ** min(failed, 10))
                    await _sleep_until(stopping, random.uniform(ceiling / 2, ceiling))  # noqa: S311 - jitter
                    continue
                failed = 0
                if done > 0:  # a busy loop must not starve the others
                    await asyncio.sleep(min(self._rest_s, time.perf_counter() - started))
                else:
                    await self._pause(stopping)
        finally:
            stopping.cancel()

    async def _one_step(self) -> int | None:
        started = time.perf_counter()
        try:
            done = await self._step()
        except Transient as error:
            self._failures.inc()
            log.warning("loop_step_postponed", loop=self.name, reason=error.slug)
            return None
        except Exception:
            self._failures.inc()
            log.exception("loop_step_failed", loop=self.name)
            return None
        self._seconds.observe(time.perf_counter() - started)
        self._steps.inc()
        self._done.inc(done)
        self._last_success.set_to_current_time()
        self.stepped.set()
        return done

    async def _pause(self, stopping: asyncio.Task[Any]) -> None:
        woken: asyncio.Task[Any] = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait({woken, stopping}, timeout=self._every_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()


async def _sleep_until(stopping: asyncio.Task[Any], seconds: float) -> None:
    await asyncio.wait({stopping}, timeout=seconds)
