"""kill -9 at every step between two durable facts: nothing is lost and nothing has two effects."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from fenliu.chassis.messaging.embedded import EmbeddedBroker
from tests.integration.messaging_lab import lab_on, received

POINTS = (
    "relay_read",
    "relay_acknowledged",
    "relay_marked",
    "consumer_polled",
    "consumer_mid_transaction",
    "consumer_committed",
    "consumer_offsets_committed",
)
TICKETS = 40


async def run(point: str, *arguments: str) -> int:
    """Run the process to its end; returns its exit code, negative for a signal."""
    environment = {k: v for k, v in os.environ.items() if k != "FENLIU_TEST_CRASHPOINT"}
    if point:
        environment["FENLIU_TEST_CRASHPOINT"] = point
    command = [sys.executable, "-m", "tests.integration.crashing_process", *arguments]
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=Path(__file__).parents[2])
    return await process.wait()


@pytest.mark.parametrize("point", POINTS)
async def test_process_killed_at_any_step_loses_nothing_and_repeats_nothing(tmp_path: Path, point: str) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/lab.db"
    async with EmbeddedBroker() as broker, lab_on(url, broker.bootstrap) as lab:
        await lab.emit(*[received(f"t{n}") for n in range(TICKETS)])
        arguments = (url, broker.bootstrap, lab.service, str(TICKETS))
        assert await run(f"{point}:2", *arguments) == -signal.SIGKILL
        assert await run("", *arguments) == 0
        effects = [ticket for ticket, _, _ in await lab.effects()]
        assert sorted(effects) == sorted(f"t{n}" for n in range(TICKETS))
