"""A plan of a busy desk, made again from the part of it that it looked at."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from services.router.domain.engine import Seen, plan
from services.router.domain.outlook import Outlook
from services.router.domain.policies import POLICIES
from services.router.domain.pool import Work
from services.router.domain.queues import Requirement
from services.router.domain.replay import replay, scene_of
from services.router.domain.ticket import Agent
from services.router.store.scenes import packed, unpacked
from tests.unit.router.test_engine import NOW, agent, indexes, work

SKILLS = ("order", "payment", "returns")


def _desk(policy: str) -> tuple[list[Agent], list[Work], Outlook]:
    random = Random(7)
    staff = [
        agent(
            f"a{n:03}", skills={skill: random.choice([0.5, 1.0]) for skill in random.sample(SKILLS, 2)}, capacity=3,
            load=random.randint(0, 3), presence=random.choice(["online", "online", "away"]),
            last_assigned_at=NOW - timedelta(seconds=random.randint(0, 999)),
        )
        for n in range(60)
    ]  # fmt: skip
    items = []
    for n in range(300):
        skill = random.choice(SKILLS)
        items.append(
            work(
                f"k{n:03}", policy=policy, needed=Requirement(skill, 0.3), category=skill, complexity="simple",
                weight=random.choice([1.0, 2.0, 4.0]), target_s=3600.0, received_ts=NOW.timestamp() - 2000 * random.random(),
                due_ts=NOW.timestamp() + 3000 * random.random(), predicted_min=4.0,
                known_agent=random.choice(["", f"a{random.randint(0, 80):03}"]), wish=1.0,
            )
        )  # fmt: skip
    known = {(item.agent_id, skill, "simple"): random.uniform(2, 9) for item in staff for skill in SKILLS}
    return staff, items, Outlook(known_min=known, mean_min=4.5)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_replay_of_a_part_of_a_busy_desk_gives_the_whole_plan_bit_for_bit(policy: str) -> None:
    staff, items, outlook = _desk(policy)
    seen = Seen()
    decisions = plan(*indexes(staff, items), POLICIES, NOW, limit=20, outlook=outlook, seen=seen)
    scene = scene_of(seen, NOW, 20)
    assert len(decisions) == 20
    assert len(scene.works) < len(items), "only a part was looked at"
    again = unpacked(packed(scene))
    assert again == scene
    assert replay(again, POLICIES) == decisions
