"""Minutes that agents need for a kind of work, learned from what they finished. Shrunken: few outcomes prove little.

A kind is (category, complexity). An agent's estimate for a kind leans on the kind's mean times the agent's pace over
all kinds, or on what a supervisor says; the kind's mean leans on the minutes of queues.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from services.router.domain.outlook import Outlook
from services.router.domain.transitions import Change

REMEMBERED = 200
"""Outcomes that count in a cell; with more, older ones fade, so that an agent who learns is believed."""

LEAST_MIN, MOST_MIN = 0.1, 480.0
"""An outcome outside is taken for the nearer end: somebody forgot to press a button."""

KIND_WEIGHT, AGENT_WEIGHT, CELL_WEIGHT, SAID_WEIGHT = 5.0, 12.0, 8.0, 20.0
"""Imagined outcomes with which the next broader estimate counts; SAID_WEIGHT is a supervisor's."""

Kind = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Effort:
    """What is known of one agent and one kind of work.

    count      finished tickets, at most REMEMBERED.
    minutes    of all of them together.
    prior_min  what a supervisor expects of this agent; None is nothing.
    version    grows when the prior is changed.
    """

    agent_id: str
    category: str
    complexity: str
    count: int = 0
    minutes: float = 0.0
    prior_min: float | None = None
    version: int = 0

    @property
    def kind(self) -> Kind:
        """Category and complexity."""
        return (self.category, self.complexity)


def outcome_of(change: Change) -> Effort | None:
    """What a resolved ticket teaches: minutes in progress, holds left out. None where nobody had started, or it is
    not known what it was about."""
    ticket = change.after
    if (
        change.action != "resolve"
        or not ticket.agent_id
        or ticket.worked_s <= 0
        or not ticket.labels
        or not ticket.labels.category
    ):
        return None
    minutes = min(max(ticket.worked_s / 60.0, LEAST_MIN), MOST_MIN)
    return Effort(ticket.agent_id, ticket.labels.category, ticket.labels.complexity, 1, minutes)


def mean_of(total: float, count: int, shipped_min: float) -> float:
    """Minutes of a kind for an average agent. total: minutes of `count` outcomes. shipped_min: as in queues.toml."""
    return (total + KIND_WEIGHT * shipped_min) / (count + KIND_WEIGHT)


def pace_of(cells: Iterable[Effort], means: Callable[[Kind], float]) -> float:
    """An agent's minutes over the average agent's; below 1 is faster."""
    ratios, count = AGENT_WEIGHT, AGENT_WEIGHT
    for cell in cells:
        ratios += cell.minutes / means(cell.kind)
        count += cell.count
    return ratios / count


def expected_min(cell: Effort, mean: float, pace: float) -> float:
    """Minutes that the agent is expected to need. mean: of the kind. pace: of the agent."""
    said = cell.prior_min is not None
    weight = SAID_WEIGHT if said else CELL_WEIGHT
    prior = cell.prior_min if cell.prior_min is not None else mean * pace
    return (cell.minutes + weight * prior) / (cell.count + weight)


class Estimates:
    """A tenant's estimates, kept up cell by cell. shipped_min: minutes of work by complexity, as in queues.toml."""

    def __init__(self, shipped_min: Callable[[str], float]) -> None:
        self._shipped_min = shipped_min
        self._cells: dict[str, dict[Kind, Effort]] = {}
        self._sums: dict[Kind, tuple[float, int]] = {}
        self._paces: dict[str, float] = {}
        self._known: dict[tuple[str, str, str], float] = {}

    def take(self, changed: Iterable[Effort]) -> bool:
        """Take in cells as they are now; what concerns other agents keeps its value. False where nothing is new."""
        agents = set()
        for cell in changed:
            held = self._cells.setdefault(cell.agent_id, {})
            before = held.get(cell.kind) or Effort(cell.agent_id, *cell.kind)
            if before == cell:
                continue
            held[cell.kind] = cell
            total, count = self._sums.get(cell.kind, (0.0, 0))
            self._sums[cell.kind] = (total + cell.minutes - before.minutes, count + cell.count - before.count)
            agents.add(cell.agent_id)
        for agent_id in agents:
            cells = self._cells[agent_id]
            pace = self._paces[agent_id] = pace_of(cells.values(), self.mean)
            for kind, cell in cells.items():
                self._known[(agent_id, *kind)] = expected_min(cell, self.mean(kind), pace)
        return bool(agents)

    def mean(self, kind: Kind) -> float:
        """Minutes of a kind for an average agent."""
        return mean_of(*self._sums.get(kind, (0.0, 0)), self._shipped_min(kind[1]))

    def outlook(self) -> Outlook:
        """What the engine may expect."""
        total = sum(sums[0] for sums in self._sums.values())
        count = sum(sums[1] for sums in self._sums.values())
        known: Mapping[tuple[str, str, str], float] = self._known
        return Outlook(
            minutes={kind: self.mean(kind) for kind in self._sums},
            agent_pace=self._paces,
            known_min=known,
            mean_min=mean_of(total, count, Outlook().mean_min),
        )
