"""A client of Kafka that does not let go is given up: closing it, and waiting for what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fenliu.chassis.messaging.kafka.options import KafkaUnavailable, bounded, closed


async def refused(work: Awaitable[Any], timeout_s: float) -> None:
    with pytest.raises(KafkaUnavailable):
        await bounded(work, timeout_s)


@pytest.mark.parametrize("waiting", [closed, refused])
async def test_client_that_swallows_its_cancellation_is_given_up(
    waiting: Callable[[Awaitable[Any], float], Awaitable[None]],
) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    giving_up = asyncio.ensure_future(waiting(stubborn(), 0.01))
    ended, _ = await asyncio.wait({giving_up}, timeout=5)
    release.set()  # lets what is still waiting end, also when the assertion fails
    assert ended == {giving_up}
    giving_up.result()


async def test_waiting_that_is_cancelled_cancels_what_it_waits_for() -> None:
    cancelled = asyncio.Event()

    async def polling() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    waiting = asyncio.create_task(bounded(polling(), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(cancelled.wait(), 5)


@pytest.mark.parametrize("waiting", [closed, refused])
async def test_request_that_the_client_cancels_does_not_cancel_who_waits(
    waiting: Callable[[Awaitable[Any], float], Awaitable[None]],
) -> None:
    given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    given_up.cancel()
    await waiting(given_up, 5)
