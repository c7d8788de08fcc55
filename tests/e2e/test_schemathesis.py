"""Every service answers as its own /openapi.json says, whatever schemathesis makes of that description."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.stack import SERVICES, Stack, token

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

HERE = Path(__file__).parent
EXAMPLES = 5
"""Random cases per operation and phase, on top of those that cover each constraint of each schema."""

LEAST_CASES = {"intake": 500, "classifier": 80, "router": 500, "notifier": 300}
"""Fewer would mean that the run ended early or found nothing to ask."""

ENOUGH_S = 25
"""A long poll for work may take 20 s."""


@pytest.mark.parametrize("service", SERVICES)
async def test_schemathesis_finds_nothing_on(stack: Stack, service: str, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("st")), "--config-file", str(HERE / "schemathesis.toml"),
        "run", f"{stack.url(service)}/openapi.json",
        "--header", f"Authorization: Bearer {token('fuzz', 'admin')}",
        "--phases", "coverage,fuzzing,stateful",
        "--max-examples", str(EXAMPLES),
        "--request-timeout", str(ENOUGH_S),
        "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_rules.py")}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        report = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, "\n".join(line[:500] for line in report.splitlines())[-12_000:]
    made = re.search(r"(\d+) generated", report)
    assert made is not None, report[-2000:]
    assert int(made[1]) >= LEAST_CASES[service], f"only {made[1]} cases"
    assert stack.processes[service].poll() is None
