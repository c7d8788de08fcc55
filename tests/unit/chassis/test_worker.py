"""Loops."""

from __future__ import annotations

import asyncio

import pytest

from fenliu.chassis.errors import Transient
from fenliu.chassis.worker import Loop, failures_total


async def ran(loop: Loop, until: asyncio.Event) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(loop.run(stop))
    async with asyncio.timeout(5):
        await until.wait()
        stop.set()
        await task


async def test_loop_steps_again_at_once_while_there_is_work() -> None:
    done = asyncio.Event()
    left = 5

    async def step() -> int:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()
        return 1

    await ran(Loop("busy", step, every_s=3600), done)
    assert left <= 0


async def test_loop_wake_starts_the_next_step_now() -> None:
    done = asyncio.Event()
    steps = 0

    async def step() -> int:
        nonlocal steps
        steps += 1
        if steps == 3:
            done.set()
        else:
            asyncio.get_running_loop().call_soon(loop.wake, {"desk"})
        return 0

    loop = Loop("woken", step, every_s=3600)
    await ran(loop, done)
    assert steps == 3
    assert loop.stepped.is_set()


async def test_loop_poll_is_the_guarantee_without_a_wake() -> None:
    done = asyncio.Event()
    steps = 0

    async def step() -> int:
        nonlocal steps
        steps += 1
        if steps == 3:
            done.set()
        return 0

    await ran(Loop("polling", step, every_s=0.01), done)


@pytest.mark.allows_errors
async def test_loop_goes_on_after_failures_and_counts_them() -> None:
    done = asyncio.Event()
    outcomes = iter([ValueError("bug"), Transient(), None])
    before = failures_total.value(loop="failing")

    async def step() -> int:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome
        done.set()
        return 0

    await ran(Loop("failing", step, every_s=0.01), done)
    assert failures_total.value(loop="failing") - before == 2


async def test_loop_stop_finishes_the_step_under_way() -> None:
    entered, release, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def step() -> int:
        entered.set()
        await release.wait()
        finished.set()
        return 1

    stop = asyncio.Event()
    task = asyncio.create_task(Loop("stopping", step, every_s=1).run(stop))
    await entered.wait()
    stop.set()
    release.set()
    await task
    assert finished.is_set()
