"""Desks that are made up: skills, tiers, and everything that goes wrong on a real one, each as an axis."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from random import Random

from services.router.simulation.trace import Arrival, Duty, Trace

TIERS = (("urgent", 0.15, 4.0, 30.0), ("priority", 0.35, 2.0, 120.0), ("standard", 0.5, 1.0, 240.0))
"""Tier, share, weight, target in minutes."""

COMPLEXITIES = (("simple", 0.5, 4.0), ("moderate", 0.35, 9.0), ("complex", 0.15, 20.0))
"""Complexity, share, minutes of an average agent for an average category."""

CATEGORIES = ("order", "logistics", "returns", "payment", "product")


@dataclass(frozen=True, slots=True)
class Axes:
    """A desk and its stress.

    load           work that arrives over what the agents on duty can do, every skill taken together.
    agents, hours  size; the queue is worked off after the last hour.
    spread         of agents' paces (standard deviation of the logarithm), by agent and category.
    mislabelled    share of tickets with a wrong category, and of those with a wrong complexity.
    absent         share of the agents who do not come.
    burst          factor on arrivals for ten minutes in the middle.
    single_holder  the first category is known to one agent alone, and makes up 3 % of the tickets.
    decline        probability that an agent declines a ticket.
    effort_error   see Trace.
    repeat         share of tickets from a customer who came before; an agent who knows them needs 15 % less.
    history        see Trace; about a week of an agent's work.
    """

    load: float = 1.05
    agents: int = 20
    hours: float = 8.0
    spread: float = 0.25
    mislabelled: float = 0.0
    absent: float = 0.0
    burst: float = 1.0
    single_holder: bool = False
    decline: float = 0.0
    effort_error: float = 1.0
    repeat: float = 0.0
    history: int = 40

    def noted(self) -> dict[str, float]:
        """As plain figures."""
        return {name: float(value) for name, value in asdict(self).items()}


STRESSED = Axes(1.1, mislabelled=0.1, absent=0.1, burst=5.0, single_holder=True, decline=0.1, effort_error=1.5)
"""Everything at once."""


def make(axes: Axes, seed: int) -> Trace:
    """A desk. Load is what it says before anybody is absent; arrivals are a Poisson stream."""
    random = Random(f"desk/{seed}")  # noqa: S311  simulation, no secret
    duties = _duties(axes, random)
    average = sum(share * minutes for _, share, minutes in COMPLEXITIES) * 60.0
    means = {name: average * (0.7 + 0.6 * index / (len(CATEGORIES) - 1)) for index, name in enumerate(CATEGORIES)}
    shares = _shares(axes, duties, means)
    mean_s = sum(means[name] * share for name, share in shares.items())
    rate = axes.load * len(duties) / mean_s
    arrivals = tuple(_arrivals(axes, random, rate, shares, means))
    present = [duty for duty in duties if random.random() >= axes.absent]
    covered = {name for duty in present for name in duty.skills}
    present += [duty for duty in duties if duty not in present and not set(duty.skills) <= covered]
    return Trace(
        arrivals, tuple(present), decline=axes.decline, effort_error=axes.effort_error,
        relief=0.85 if axes.repeat else 1.0, history=axes.history, notes=axes.noted(),
    )  # fmt: skip


def _duties(axes: Axes, random: Random) -> list[Duty]:
    common = CATEGORIES[1:] if axes.single_holder else CATEGORIES
    duties = []
    for number in range(axes.agents):
        skills = [common[number % len(common)], common[(number * 3 + number // len(common) + 1) % len(common)]]
        if axes.single_holder and number == 0:
            skills.append(CATEGORIES[0])
        own = random.gauss(0.0, axes.spread * 0.7)
        paces = {name: 2.718281828 ** (own + random.gauss(0.0, axes.spread * 0.7)) for name in sorted(set(skills))}
        duties.append(Duty(f"agent-{number:02}", 0.0, 1e8, paces))
    return duties


def _shares(axes: Axes, duties: list[Duty], means: dict[str, float]) -> dict[str, float]:
    """Tickets per category such that no skill alone is overloaded, but for the single holder's."""
    supply = dict.fromkeys(CATEGORIES, 0.0)
    for duty in duties:
        for name in duty.skills:
            if not (axes.single_holder and name == CATEGORIES[0]):
                supply[name] += 1.0 / (len(duty.skills) - (axes.single_holder and CATEGORIES[0] in duty.skills))
    counts = {name: supply[name] / means[name] for name in CATEGORIES}
    total = sum(counts.values())
    rest = 0.97 if axes.single_holder else 1.0
    shares = {name: rest * count / total for name, count in counts.items()}
    if axes.single_holder:
        shares[CATEGORIES[0]] = 0.03
    return shares


def _arrivals(
    axes: Axes, random: Random, rate: float, shares: dict[str, float], means: dict[str, float]
) -> list[Arrival]:
    arrivals: list[Arrival] = []
    average = sum(share * minutes for _, share, minutes in COMPLEXITIES)
    at_s, middle, customers = 0.0, axes.hours * 1800.0, 0
    while True:
        now = rate * (axes.burst if middle <= at_s < middle + 600.0 else 1.0)
        at_s += random.expovariate(now)
        if at_s >= axes.hours * 3600.0:
            return arrivals
        category = random.choices(CATEGORIES, [shares[name] for name in CATEGORIES])[0]
        tier, _, weight, target_min = random.choices(TIERS, [item[1] for item in TIERS])[0]
        again = customers and random.random() < axes.repeat
        customers += not again
        customer = random.randrange(customers) if again else customers
        wrong = random.choice([name for name in CATEGORIES if name != category])
        label = wrong if random.random() < axes.mislabelled else category
        complexity, _, minutes = random.choices(COMPLEXITIES, [item[1] for item in COMPLEXITIES])[0]
        work_s = means[category] * minutes / average * random.lognormvariate(-0.08, 0.4)
        if random.random() < axes.mislabelled:
            complexity = random.choice([item[0] for item in COMPLEXITIES if item[0] != complexity])
        arrivals.append(
            Arrival(
                f"k{len(arrivals):05}",
                at_s,
                category,
                tier,
                "",
                f"c{customer}" if axes.repeat else "",
                weight,
                target_min * 60.0,
                work_s,
                complexity=complexity,
                label=label,
            )
        )


def stressed(seed: int) -> Trace:
    """The desk of the stress test: load and severity differ from seed to seed, within the axes' ranges."""
    random = Random(f"stress/{seed}")  # noqa: S311
    axes = replace(
        STRESSED,
        load=random.choice((0.7, 0.85, 0.95, 1.05, 1.3)),
        mislabelled=random.choice((0.0, 0.1, 0.3)),
        absent=random.choice((0.0, 0.1, 0.2)),
        burst=random.choice((1.0, 5.0)),
        single_holder=random.random() < 0.5,
        decline=random.choice((0.0, 0.2)),
        effort_error=random.choice((1.0, 1.5, 2.0)),
    )
    return make(axes, seed)


CALLS = (
    ("PS", 0.64, 178.0, 1.1, 0.30, 1.0), ("NW", 0.25, 99.0, 1.2, 0.01, 0.92), ("NE", 0.07, 245.0, 1.0, 0.43, 0.75),
    ("TT", 0.03, 90.0, 1.6, 0.31, 0.75), ("PE", 0.01, 223.0, 1.2, 0.37, 0.5),
)  # fmt: skip
"""Type, share, mean work in seconds, its coefficient of variation, share of VIPs, share of agents who take it: as in
days 1 to 14 of the bank's log."""


def call_centre(seed: int, *, hours: float = 3.0, agents: int = 9, per_hour: float = 190.0) -> Trace:
    """A desk fitted to the bank's log at 1.5 times its load: 125 calls an hour by day, 9 agents on duty, paces that
    differ by 0.25 (standard deviation of the logarithm), customers who give up after 208 s on average."""
    random = Random(f"calls/{seed}")  # noqa: S311  simulation, no secret
    duties = []
    for number in range(agents):
        takes = [row[0] for row in CALLS if number == 0 or random.random() < row[5]] or ["PS"]
        own = random.gauss(0.0, 0.2)
        paces = {name: 2.718281828 ** (own + random.gauss(0.0, 0.15)) for name in takes}
        duties.append(Duty(f"agent-{number}", 0.0, hours * 3600.0, paces))
    arrivals: list[Arrival] = []
    at_s = random.expovariate(per_hour / 3600.0)
    while at_s < hours * 3600.0:
        kind, _, mean_s, spread, vips, _ = random.choices(CALLS, [row[1] for row in CALLS])[0]
        vip = random.random() < vips
        shape = 1.0 / spread**2
        arrivals.append(
            Arrival(
                f"c{len(arrivals):05}",
                at_s,
                kind,
                "priority" if vip else "standard",
                "vip" if vip else "",
                weight=3.0 if vip else 1.0,
                target_s=20.0 if vip else 30.0,
                work_s=max(1.0, random.gammavariate(shape, mean_s / shape)),
                patience_s=random.expovariate(1.0 / 208.0),
            )
        )
        at_s += random.expovariate(per_hour / 3600.0)
    return Trace(tuple(arrivals), tuple(duties), history=40)
