"""Seeds of the simulation, and planted bugs that it must find."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from tests.component.router.ledger import Ledger
from tests.component.router.plants import PLANTS, Plant
from tests.component.router.simulation import Simulation

CHUNK = 50
CHUNKS = 4
MOST_SEEDS = 100
"""A planted bug must be found within so many."""

FOUND_BY_THE_LONG_RUN = (801, 984, 2038)
"""Seeds of it with which a defect came to light."""

SOAK_CHUNK = 100
SOAK_CHUNKS = -(-int(os.environ.get("FENLIU_TEST_SIMULATION_SEEDS", "2500")) // SOAK_CHUNK)


@pytest.fixture
async def simulation(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Simulation]:
    path = tmp_path / "router.db"
    shutil.copy(migrated_sqlite, path)
    made = Simulation(path)
    yield made
    await made.close()


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_every_seed_keeps_every_invariant(simulation: Simulation, chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        try:
            await simulation.run(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("seed", FOUND_BY_THE_LONG_RUN)
async def test_seed_that_the_long_run_once_failed_on_keeps_every_invariant(simulation: Simulation, seed: int) -> None:
    await simulation.run(seed)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
async def test_planted_bug_is_found(plant: Plant, simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, simulation)
    assert await _first_found(simulation) >= 0


async def test_seed_runs_the_same_way_every_time(simulation: Simulation) -> None:
    first = [await simulation.run(seed) for seed in (3, 4)]
    assert [await simulation.run(seed) for seed in (3, 4)] == first
    assert all(outcome.assigned for outcome in first)


@pytest.mark.soak
@pytest.mark.parametrize("chunk", range(SOAK_CHUNKS))
async def test_every_seed_of_the_long_run_keeps_every_invariant(simulation: Simulation, chunk: int) -> None:
    ledger, part = Ledger(), f"seeds-{chunk * SOAK_CHUNK:05}"
    if ledger.has(part):
        return
    began, outcomes = time.process_time(), []
    for seed in range(chunk * SOAK_CHUNK, (chunk + 1) * SOAK_CHUNK):
        try:
            outcomes.append(await simulation.run(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    figures = {
        "seeds": len(outcomes),
        "scheduled_steps": sum(outcome.steps for outcome in outcomes),
        "crashes": sum(outcome.crashes for outcome in outcomes),
        "assignments": sum(outcome.assigned for outcome in outcomes),
        "cpu_s": round(time.process_time() - began, 1),
    }
    ledger.note(part, figures)


@pytest.mark.soak
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
async def test_planted_bug_is_found_and_noted(
    plant: Plant, simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger()
    if ledger.has(plant.__name__):
        return
    plant(monkeypatch, simulation)
    seed = await _first_found(simulation)
    assert seed >= 0
    ledger.note(plant.__name__, {"found": {plant.__name__: seed}})


async def _first_found(simulation: Simulation) -> int:
    for seed in range(MOST_SEEDS):
        try:
            await simulation.run(seed)
        except (AssertionError, ValueError, KeyError, SQLAlchemyError):
            return seed
    return -1
