"""Minutes learned from finished work."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.router.domain.effort import CELL_WEIGHT, KIND_WEIGHT, REMEMBERED, Effort, Estimates, outcome_of
from services.router.domain.ticket import Labels, Ticket
from services.router.domain.transitions import Change, apply
from tests.unit.router.test_engine import NOW


def _estimates(*cells: Effort) -> Estimates:
    made = Estimates(lambda complexity: 4.0)
    made.take(cells)
    return made


def _worked(minutes: float, *, hold_min: float = 0.0) -> Change:
    ticket = Ticket("t", "k", "main", NOW, state="assigned", agent_id="ann", labels=Labels("order", "urgent", "simple"))
    ticket = apply(ticket, "start", "owner", NOW).after
    half = NOW + timedelta(minutes=minutes / 2)
    ticket = apply(ticket, "hold", "owner", half, awaited="customer").after
    back = half + timedelta(minutes=hold_min)
    ticket = apply(ticket, "resume", "owner", back).after
    return apply(ticket, "resolve", "owner", back + timedelta(minutes=minutes / 2))


def test_outcome_counts_minutes_in_progress_and_not_the_hold_between() -> None:
    outcome = outcome_of(_worked(10, hold_min=300))
    assert outcome == Effort("ann", "order", "simple", 1, 10.0)


def test_outcome_of_work_that_nobody_started_or_that_went_to_somebody_else_teaches_nothing_of_the_first() -> None:
    assigned = replace(_worked(10).before, state="assigned", working_since=None, worked_s=0.0)
    assert outcome_of(apply(assigned, "resolve", "owner", NOW)) is None
    given = apply(_worked(10).before, "give", "owner", NOW + timedelta(minutes=8), agent_id="bob").after
    assert (given.working_since, given.worked_s) == (None, 0.0)


def test_estimate_of_few_outcomes_leans_on_the_mean_and_of_many_believes_them() -> None:
    slow, few = Effort("slow", "order", "simple", 150, 1500.0), Effort("few", "order", "simple", 1, 10.0)
    many = Effort("many", "order", "simple", REMEMBERED, 2.0 * REMEMBERED)
    known = _estimates(slow, few, many).outlook().known_min
    assert 9.0 < known[("slow", "order", "simple")] <= 10.0
    assert 5.0 < known[("few", "order", "simple")] < 7.0
    assert 2.0 <= known[("many", "order", "simple")] < 2.3


def test_estimate_taken_cell_by_cell_equals_one_taken_at_once() -> None:
    cells = [Effort("ann", "order", "simple", n, 3.0 * n) for n in (1, 2, 3)]
    made = _estimates()
    for cell in cells:
        assert made.take([cell])
    assert not made.take(cells[-1:]), "nothing new"
    assert made.outlook() == _estimates(cells[-1]).outlook()


def test_prior_of_a_supervisor_counts_until_evidence_outweighs_it() -> None:
    said = Effort("ann", "order", "simple", 0, 0.0, prior_min=30.0)
    assert _estimates(said).outlook().known_min[("ann", "order", "simple")] == 30.0
    learned = replace(said, count=REMEMBERED, minutes=4.0 * REMEMBERED)
    assert _estimates(learned).outlook().known_min[("ann", "order", "simple")] < 7.0
    assert KIND_WEIGHT < CELL_WEIGHT
