"""Wake-ups inside this process. Hints only: whoever waits also polls, so a lost one costs a moment and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from fenliu.chassis.db import Transaction
from services.router.domain.transitions import Change
from services.router.store.tickets import keys_of

Key = tuple[str, str]


class News:
    """Tells the dispatcher that a desk has news, the clock that something is due, and long polls that work changed.

    main fills in wake_desks and wake_clock.
    """

    def __init__(self) -> None:
        self.wake_desks: Callable[[Iterable[Key]], object] = lambda desks: None
        self.wake_clock: Callable[[], object] = lambda: None
        self._listeners: dict[Key, set[asyncio.Event]] = {}
        self._revisions: dict[Key, int] = {}

    def after(self, tx: Transaction, changes: Sequence[Change], *, by_dispatcher: bool = False) -> None:
        """Once `tx` is committed, wake whoever these changes concern."""
        if not changes:
            return
        desks, owners = keys_of(changes)
        if not by_dispatcher:
            tx.after_commit(self.wake_desks, desks)
        tx.after_commit(self.tell_agents, owners)

    def tell_agents(self, agents: Iterable[Key]) -> None:
        """Wake the long polls of these (tenant, agent)."""
        for agent in agents:
            for listener in self._listeners.get(agent, ()):
                listener.set()

    @contextmanager
    def listen(self, agent: Key, revision: int) -> Iterator[asyncio.Event]:
        """An event that is set when the agent's work changes. revision: the one that the listener already knows."""
        listener = asyncio.Event()
        self._listeners.setdefault(agent, set()).add(listener)
        self._revisions[agent] = revision
        try:
            yield listener
        finally:
            self._listeners[agent].discard(listener)
            if not self._listeners[agent]:
                del self._listeners[agent]
                self._revisions.pop(agent, None)

    def listening(self) -> list[Key]:
        """Agents for whom somebody waits."""
        return list(self._listeners)

    def compare(self, revisions: Mapping[Key, int]) -> None:
        """Wake those whose revision in the database is not the one that they know: another process changed it."""
        moved = [agent for agent, revision in revisions.items() if self._revisions.get(agent, revision) != revision]
        self.tell_agents(moved)
