from __future__ import annotations

import asyncio
import contextlib

from fenliu.chassis.messaging.kafka.options import closed


async def test_closed_client_that_swallows_its_cancellation_is_given_up() -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    giving_up = asyncio.create_task(closed(stubborn(), 0.01))
    ended, _ = await asyncio.wait({giving_up}, timeout=5)
    release.set()  # lets what is still closing end, also when the assertion fails
    assert ended == {giving_up}
