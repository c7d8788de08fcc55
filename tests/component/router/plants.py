"""Bugs planted on purpose, each of a kind that the field or a design rule knows. The simulation must find every one.

A plant replaces one seam of the code (a function that others call through its module) for the length of a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from services.router.api import assignments
from services.router.domain import due, transitions
from services.router.domain.ticket import Agent, Ticket
from services.router.store import dispatch
from services.router.workers import due as due_worker
from services.router.workers.mirror import Mirror
from tests.component.router.simulation import Simulation

Plant = Callable[[pytest.MonkeyPatch, Simulation], None]


def check_then_assign(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """The plan is carried out without asking the locked row whether the ticket still waits (two owners)."""

    async def lock_waiting(tx: Any, versions: Any) -> set[str]:
        return set(versions)

    patch.setattr(dispatch, "lock_waiting", lock_waiting)


def no_fence_on_write(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """An agent's action is taken under whatever fence it names."""
    patch.setattr(assignments, "is_stale", lambda ticket, fence: False)


def lease_without_fence(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """A dispatcher trusts its own clock that the lease is still its own (the resumed zombie writes)."""

    async def hold_desk(*_: Any) -> bool:
        return True

    patch.setattr(dispatch, "hold_desk", hold_desk)


def capacity_from_memory(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """Two arrivals both see a free place: room is not counted on the locked row (chatwoot PR 15694)."""
    real = dispatch.lock_agents

    async def lock_agents(*arguments: Any) -> dict[str, Agent]:
        return {name: replace(agent, load=0) for name, agent in (await real(*arguments)).items()}

    patch.setattr(dispatch, "lock_agents", lock_agents)


def drifting_counter(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """A place is not freed on one of the ways out."""
    real = transitions.Change.load_deltas
    patch.setattr(
        transitions.Change,
        "load_deltas",
        lambda change: {} if change.action == "decline" else real(change),
    )


def away_counts_as_present(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """A deny-list of presences that lets "away" and "offline" through (libredesk 561, chatwoot 7204)."""
    patch.setattr(Agent, "available", property(lambda agent: agent.load < agent.capacity))
    real = dispatch.lock_agents

    async def lock_agents(*arguments: Any) -> dict[str, Agent]:
        return {name: replace(agent, presence="online") for name, agent in (await real(*arguments)).items()}

    patch.setattr(dispatch, "lock_agents", lock_agents)
    put = Mirror.put_agent
    patch.setattr(Mirror, "put_agent", lambda mirror, agent: put(mirror, replace(agent, presence="online")))


def freed_capacity_unnoticed(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """Waiting tickets are not picked up when somebody becomes free (chatwoot 10376, 10685)."""

    async def load_dirty_agents(*_: Any) -> list[Agent]:
        return []

    patch.setattr(dispatch, "load_dirty_agents", load_dirty_agents)


def read_marks_lost(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """Rows are read as changed by somebody, and most of them are forgotten again."""

    async def load_dirty_tickets(*_: Any) -> list[Ticket]:
        return []

    patch.setattr(dispatch, "load_dirty_tickets", load_dirty_tickets)


def declines_forgotten(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """Who has declined is asked again at once."""
    real = assignments.apply

    def apply(*arguments: Any, **fields: Any) -> Any:
        fields.pop("declined_by", None)
        return real(*arguments, **fields)

    patch.setattr(assignments, "apply", apply)


def new_owner_under_the_old_fence(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """The fence does not grow with the owner, so that the last one's late action hits the next one's work."""
    real = transitions._effects

    def effects(ticket: Ticket, row: Any, now: datetime, reason: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {**real(ticket, row, now, reason, fields), "fence": ticket.fence}

    patch.setattr(transitions, "_effects", effects)


def manual_assignment_overridden(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """The clock takes back what a supervisor gave by hand (libredesk PR 385)."""
    real = due.release

    def release(ticket: Ticket, *rest: Any) -> Any:
        return real(replace(ticket, pinned=False), *rest)

    patch.setattr(due, "release", release)
    patch.setattr(due_worker, "release", release)


def forgotten_state(patch: pytest.MonkeyPatch, _: Simulation) -> None:
    """A state without a time by which something must happen: whoever is on hold stays there."""
    real = due.next_check

    def next_check(ticket: Ticket, now: datetime, timers: Any) -> datetime | None:
        return None if ticket.state == "on_hold" else real(ticket, now, timers)

    patch.setattr(due, "next_check", next_check)


def offset_before_effect(_: pytest.MonkeyPatch, simulation: Simulation) -> None:
    """The offset is committed before the database: a crash between loses the record."""
    simulation.consuming.offset_first = True


def inbox_outside_the_transaction(_: pytest.MonkeyPatch, simulation: Simulation) -> None:
    """An event is noted as handled in a transaction of its own: a crash between loses its effect."""
    simulation.consuming.inbox_apart = True


PLANTS: tuple[Plant, ...] = (
    check_then_assign, no_fence_on_write, lease_without_fence, capacity_from_memory, drifting_counter,
    away_counts_as_present, freed_capacity_unnoticed, read_marks_lost, declines_forgotten,
    new_owner_under_the_old_fence, manual_assignment_overridden, forgotten_state, offset_before_effect,
    inbox_outside_the_transaction,
)  # fmt: skip
