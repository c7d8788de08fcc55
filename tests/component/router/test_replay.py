"""Stored decisions, made again from what was kept of their plans: the same, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from fenliu.chassis.db import Transaction
from services.router.domain.policies import POLICIES
from services.router.domain.replay import replay
from services.router.store import decisions, scenes
from services.router.tables import ticket_decisions, ticket_history
from tests.component.router.simulation import Simulation

SEEDS = range(6)


async def _check_all(tx: Transaction) -> int:
    """Replay every decision; returns how many there were."""
    rows = (await tx.execute(select(ticket_decisions).where(ticket_decisions.c.version > 0))).mappings().all()
    for row in rows:
        scene = await decisions.load_scene(tx, row["ticket_id"], row["version"])
        assert scene is not None, f"{row['ticket_id']}@{row['version']}: nothing was kept"
        (again,) = [item for item in replay(scene, POLICIES) if item.ticket_id == row["ticket_id"]]
        assert decisions.grounds_of(again) == row["grounds"]
        assert (again.policy, again.version) == (row["policy"], row["version"] - 1)
        key = (ticket_history.c.ticket_id == row["ticket_id"], ticket_history.c.version == row["version"])
        step = (await tx.execute(select(ticket_history).where(*key))).mappings().one()
        assert (again.agent_id, again.queue_id, again.reason) == (step["agent_id"], step["queue_id"], step["reason"])
    return len(rows)


@pytest.mark.parametrize("policy", ["fenliu", "earliest_deadline"])
async def test_replay_of_every_decision_of_the_simulation_gives_the_same_bit_for_bit(
    migrated_sqlite: Path, tmp_path: Path, policy: str
) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "router.db")
    simulation = Simulation(tmp_path / "router.db", policy=policy)
    try:
        total = 0
        for seed in SEEDS:
            await simulation.run(seed)
            async with simulation.simulated.outside() as tx:
                total += await _check_all(tx)
        assert total >= 15
    finally:
        await simulation.close()


async def test_scene_kept_and_read_again_is_the_same(migrated_sqlite: Path, tmp_path: Path) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "router.db")
    simulation = Simulation(tmp_path / "router.db", policy="fenliu")
    try:
        await simulation.run(1)
        async with simulation.simulated.outside() as tx:
            kept = (await tx.execute(select(ticket_decisions.c.scene))).scalars().all()
        found = [scenes.unpacked(item) for item in kept if item]
        assert found
        assert [scenes.unpacked(scenes.packed(scene)) for scene in found] == found
    finally:
        await simulation.close()
