"""P11, the default: delay cost saved, less the price of scarce minutes, misfit, hand-off, unfairness and overrun.

Everything is in the cost of an average minute of the ticket, so that no addend outgrows the others.
A ticket waits for the agent who knows the customer exactly as long as that costs less than it brings: no timers.
Bounded starvation: the cost of a minute grows with age without limit, so every ticket becomes the most pressing one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import exp

from services.router.domain.policies.policy import (
    Moment,
    Policy,
    by_deadline,
    by_share_then_idle,
    mean_minutes,
    minutes,
)
from services.router.domain.pool import Seat, Work

CALM_MIN = 30.0
"""Queues much shorter than this, in minutes of work per able agent, are as good as equally long."""


@dataclass(frozen=True, slots=True)
class Dial:
    """How much each consideration counts; found on days 1 to 7 of the bank's log and seeds 101 to 140 of the stressed
    desks. The other days and seeds are for evaluation: bench/results/policies-*.json.

    floor      cost of a minute long before the due time, as a share of a late ticket's.
    ahead      how far ahead a due time is seen, in times the backlog takes to clear.
    ahead_min  least of that, minutes.
    ageing     growth of a late ticket's cost per target that it has waited.
    stale_s    age, in seconds, from which the cost grows with the cube, so that nobody starves, for targets below it.
    stale_targets  the same for longer targets, in targets; the greater of the two counts.
    stale_power    how steeply it grows from there.
    short          0: the minutes of a ticket do not matter to its urgency; 1: cost per minute of work, as in c-mu;
                   more: short tickets first, which empties a queue that grows.
    press          power of the queue's length over the desk's: of two tickets the one whose skill has more minutes of
                   work waiting per able agent goes first, so that no skill's queue outlives the others.
    quick          power of the agent's advantage over the average agent; above 1, everybody does what they do best.
    vip            power of a class's weight; above 1, heavy classes count for more than their cost.
    scarce, misfit, hand_off, crowding, unfair, overrun   prices; unfair is the fairness dial, off by default.
    """

    floor: float = 0.05
    ahead: float = 0.1
    ahead_min: float = 3.0
    ageing: float = 0.0
    stale_s: float = 1000.0
    stale_targets: float = 4.0
    stale_power: float = 3.0
    short: float = 1.7
    press: float = 1.0
    quick: float = 2.0
    vip: float = 1.3
    scarce: float = 0.02
    misfit: float = 0.1
    hand_off: float = 0.3
    crowding: float = 0.3
    unfair: float = 0.0
    overrun: float = 0.2


def make(name: str, dial: Dial, version: int = 1) -> Policy:
    """A policy of this family. See Dial."""
    return Policy(
        name,
        by_deadline,
        by_share_then_idle,
        consider=8,
        urgency=partial(urgency, dial),
        parts=partial(parts, dial),
        values=partial(values, dial),
        hold=partial(hold, dial),
        version=version,
    )


def rate(dial: Dial, work: Work, moment: Moment) -> float:
    """What the next minute costs over what a late minute of the same class costs at its due time."""
    mean_min = moment.outlook.mean_min
    target_s = work.target_s or 14400.0
    slack_min = (work.due_ts - moment.now_ts) / 60.0
    if slack_min > 0:
        near = exp(-min(slack_min / max(dial.ahead * moment.backlog * mean_min, dial.ahead_min), 60.0))
    else:
        near = 1.0 - dial.ageing * slack_min * 60.0 / target_s
    age = max(0.0, moment.now_ts - work.received_ts) / max(dial.stale_s, target_s * dial.stale_targets)
    cost: float = dial.floor + near + pow(age, dial.stale_power)
    return min(cost, 1e4) * pressure(dial, work, moment)


def pressure(dial: Dial, work: Work, moment: Moment) -> float:
    """How long the queue for the ticket's skill takes to clear over how long the desk does, to the power of `press`;
    1 for an average queue, and near 1 where all of them clear well within half an hour."""
    queue_min = moment.queue_min.get(work.needed.skill)
    if queue_min is None:
        return 1.0
    found: float = min(max((queue_min + CALM_MIN) / (moment.backlog_min + CALM_MIN), 0.25), 4.0) ** dial.press
    return found


def urgency(dial: Dial, work: Work, moment: Moment) -> float:
    """Cost of the next minute, per minute of work."""
    pressing: float = work.weight**dial.vip * rate(dial, work, moment) / mean_minutes(work, moment) ** dial.short
    return pressing


def parts(dial: Dial, work: Work, seat: Seat, moment: Moment) -> dict[str, float]:
    """The addends, by name."""
    outlook, needed = moment.outlook, work.needed
    mean = mean_minutes(work, moment)
    unit = work.weight**dial.vip / mean**dial.short
    level = seat.agent.skills.get(needed.skill, 0.0) if needed.skill else 1.0
    expected = minutes(work, seat, moment)
    price = max(0.0, outlook.top.get(seat.agent_id, 0.0) - outlook.scarcity.get(needed.skill, 0.0))
    found = {
        "delay_cost_saved": unit * rate(dial, work, moment) * (mean / expected) ** dial.quick,
        "scarce_minutes": -dial.scarce * unit * min(price, 3.0),
        "misfit": -dial.misfit * unit * (1.0 - level),
    }
    if seat.load:
        found["crowding"] = -dial.crowding * unit * seat.load / max(seat.capacity, 1)
    if work.known_agent:
        found["known_customer"] = dial.hand_off * unit * work.wish * (seat.agent_id == work.known_agent)
    if dial.unfair:
        busy = outlook.occupancy.get(seat.agent_id, outlook.mean_occupancy)
        found["unfairness"] = -dial.unfair * unit * (busy - outlook.mean_occupancy)
    if seat.agent.shift_ends_at is not None:
        left_min = max(0.0, seat.agent.shift_ends_at.timestamp() - moment.now_ts) / 60.0
        found["shift_overrun"] = -dial.overrun * unit * exp(-left_min / expected)
    return found


def values(dial: Dial, work: Work, seats: Sequence[Seat], moment: Moment) -> list[float]:
    """Sums of parts; what does not depend on the agent is worked out once."""
    outlook, needed = moment.outlook, work.needed
    mean = mean_minutes(work, moment)
    unit = work.weight**dial.vip / mean**dial.short
    saved, own = unit * rate(dial, work, moment), outlook.scarcity.get(needed.skill, 0.0)
    expected_min, top, mean_busy = outlook.expected_min, outlook.top, outlook.mean_occupancy
    found = []
    for seat in seats:
        agent, agent_id, cost = seat.agent, seat.agent_id, 0.0
        expected = max(expected_min(work.category, work.complexity, agent_id, work.predicted_min), 0.05)
        if top:
            cost += dial.scarce * min(max(0.0, top.get(agent_id, 0.0) - own), 3.0)
        if needed.skill:
            cost += dial.misfit * (1.0 - agent.skills.get(needed.skill, 0.0))
        if seat.load:
            cost += dial.crowding * seat.load / max(seat.capacity, 1)
        if work.known_agent == agent_id:
            cost -= dial.hand_off * work.wish
        if outlook.occupancy:
            cost += dial.unfair * (outlook.occupancy.get(agent_id, mean_busy) - mean_busy)
        if agent.shift_ends_at is not None:
            left_min = max(0.0, agent.shift_ends_at.timestamp() - moment.now_ts) / 60.0
            cost += dial.overrun * exp(-left_min / expected)
        found.append(saved * (mean / expected) ** dial.quick - unit * cost)
    return found


def hold(dial: Dial, work: Work, known: Seat, moment: Moment) -> bool:
    """Waiting for the known agent costs their remaining work at the ticket's rate; not waiting costs a hand-off."""
    remaining_min = minutes(work, known, moment) / max(known.load, 1)
    return rate(dial, work, moment) * remaining_min < dial.hand_off * work.wish * mean_minutes(work, moment)


POLICY = make("fenliu", Dial(), version=3)
FAIR = make("fenliu_fair", Dial(unfair=0.5), version=3)
"""With the fairness dial on."""
