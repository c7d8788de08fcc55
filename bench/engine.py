"""The engine alone, on a large desk in memory, and beside it a naive filter-and-sort of the same state.

python -m bench.engine [--agents 10000] [--waiting 100000] [--decisions 4000] [--wide 1000000]
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from time import process_time
from typing import Any

from bench.machine import write_result
from services.router.domain.eligibility import qualifies
from services.router.domain.engine import plan_in_steps
from services.router.domain.outlook import NEUTRAL
from services.router.domain.policies import POLICIES
from services.router.domain.policies.policy import Moment, Policy
from services.router.domain.pool import Agents, Seat, Waiting, Work
from services.router.domain.queues import Requirement
from services.router.domain.ticket import Agent

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SKILLS = tuple(f"skill{number}" for number in range(10))
MINUTES = {"simple": 4.0, "moderate": 9.0, "complex": 20.0}
TIERS = (("urgent", 4.0, 1800.0), ("priority", 2.0, 7200.0), ("standard", 1.0, 14400.0))
BATCH = 200
"""Most decisions of one plan, as the dispatcher has it; the engine makes them in steps, and each step is timed."""


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--decisions", type=int, default=4_000)
    parser.add_argument(
        "--wide", type=int, default=1_000_000, help="most waiting tickets for the cost's growth; 0: skip"
    )
    parser.add_argument("--policy", default="fenliu", choices=sorted(POLICIES))
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    policy = POLICIES[options.policy]
    figures: dict[str, Any] = {"agents": options.agents, "policy": f"{policy.name}/{policy.version}"}
    figures["burst"] = _measure(options.agents, options.waiting, policy, options.decisions, BATCH)
    figures["one_freed"] = _measure(options.agents, options.waiting, policy, options.decisions // 8, 1)
    figures["naive_ms_per_assignment"] = _naive(options.agents, options.waiting, policy)
    figures["naive_over_engine"] = round(
        figures["naive_ms_per_assignment"] / figures["one_freed"]["cpu_ms_per_assignment"], 1
    )
    if options.wide:
        sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= options.wide]
        figures["by_waiting"] = {
            str(size): _measure(options.agents, size, policy, min(options.decisions, 2_000), BATCH) for size in sizes
        }
        costs = [row["cpu_ms_per_assignment"] for row in figures["by_waiting"].values()]
        figures["growth"] = round(costs[-1] / costs[0], 2)
    print(json.dumps(figures, indent=1))
    if options.store:
        print("stored in", write_result("engine", figures))


def _agent(number: int, random: Random, load: int = 2) -> Agent:
    skills = {name: random.choice((0.4, 0.7, 1.0)) for name in random.sample(SKILLS, 2)}
    languages = frozenset({"zh"} if random.random() < 0.7 else {"zh", "en"})
    return Agent(
        "t", f"a{number:05}", "main", "n", skills, languages, random.choice((0.2, 0.7, 1.0)), 2, load, "online",
        NOW - timedelta(seconds=random.randrange(3600)),
    )  # fmt: skip


def _work(number: int, random: Random, policy: Policy) -> Work:
    skill, complexity = random.choice(SKILLS), random.choices(tuple(MINUTES), (0.5, 0.35, 0.15))[0]
    _, weight, target_s = random.choices(TIERS, (0.1, 0.3, 0.6))[0]
    received = NOW.timestamp() - random.uniform(0.0, 10_000.0)
    known = f"a{random.randrange(10_000):05}" if random.random() < 0.1 else ""
    return Work(
        f"k{number:07}", skill, 1, Requirement(skill, 0.3, 0.6 if complexity == "complex" else 0.0, "zh"), policy.name,
        "assign", 60, received, received + target_s, MINUTES[complexity], frozenset(), skill, complexity, weight,
        target_s, known, float(bool(known)),
    )  # fmt: skip


def _desk(agents: int, waiting: int, policy: Policy) -> tuple[Waiting, Agents, dict[str, Agent]]:
    random = Random(7)
    pool, queue, staff = Agents(), Waiting(), {}
    for number in range(agents):
        agent = staff[f"a{number:05}"] = _agent(number, random)
        pool.put(agent)
    for number in range(waiting):
        work = _work(number, random, policy)
        queue.put(work, policy.order(work))
    return queue, pool, staff


def _measure(agents: int, waiting: int, policy: Policy, wanted: int, freed: int) -> dict[str, float]:
    """Everybody is full; again and again some get room, and the engine gives them work."""
    queue, pool, _ = _desk(agents, waiting, policy)
    random, number, now, made, spans, total = Random(8), waiting, NOW, 0, [], 0.0
    gc.collect()
    gc.freeze()
    for turn in range(1 + wanted // freed):
        now += timedelta(milliseconds=100)
        for agent_id in random.sample([f"a{index:05}" for index in range(agents)], freed):
            agent = pool.get(agent_id)
            if agent is not None:
                pool.put(_replace(agent, 1))
        decisions, parts, started = [], [], process_time()
        for step in plan_in_steps(queue, pool, POLICIES, now, limit=BATCH):
            decisions += step
            parts.append(process_time() - started - sum(parts))
        parts.append(process_time() - started - sum(parts))
        _carry_out(decisions, queue, pool, now)
        if turn:  # the first builds the lines, which a running dispatcher has
            spans += parts
            total, made = total + process_time() - started, made + len(decisions)
        for _ in decisions:
            work = _work(number, random, policy)
            queue.put(work, policy.order(work))
            number += 1
    gc.unfreeze()
    spans.sort()
    return {
        "assignments": made,
        "freed_between_plans": freed,
        "cpu_ms_per_assignment": round(total / made * 1e3, 4),
        "step_ms_p50": round(spans[len(spans) // 2] * 1e3, 3),
        "step_ms_p99": round(spans[int(len(spans) * 0.99)] * 1e3, 3),
    }


def _replace(agent: Agent, load: int, now: datetime | None = None) -> Agent:
    return Agent(
        agent.tenant_id, agent.agent_id, agent.desk_id, agent.name, agent.skills, agent.languages, agent.seniority,
        agent.capacity, load, agent.presence, now or agent.last_assigned_at, revision=agent.revision + 1,
    )  # fmt: skip


def _carry_out(decisions: list[Any], queue: Waiting, pool: Agents, now: datetime) -> None:
    for decision in decisions:
        queue.discard(decision.ticket_id)
        agent = pool.get(decision.agent_id)
        if agent is not None:
            pool.put(_replace(agent, agent.load + 1, now))


def _naive(agents: int, waiting: int, policy: Policy) -> float:
    """CPU of one assignment, ms: sort what waits by urgency, for each in turn filter everybody and take the best."""
    random = Random(7)
    staff = [_agent(number, random) for number in range(agents)]
    works = [_work(number, random, policy) for number in range(waiting)]
    free = random.choice(staff)
    seats = [Seat(_replace(agent, 1) if agent is free else agent) for agent in staff]
    moment = Moment(NOW.timestamp(), NEUTRAL, waiting / agents)
    urgency: Callable[[Work, Moment], float] = policy.urgency or (lambda work, _: -policy.order(work))
    started = process_time()
    for work in sorted(works, key=lambda item: -urgency(item, moment)):
        able = [seat for seat in seats if seat.free and qualifies(seat.agent, work.needed)]
        if able:
            min(able, key=policy.rank)
            break
    return round((process_time() - started) * 1e3, 3)


if __name__ == "__main__":
    main()
