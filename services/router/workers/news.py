"""Tells long polls what other processes changed. Within this process they are told after the commit."""

from __future__ import annotations

from fenliu.chassis.db import Database
from services.router.store import agents as agent_store
from services.router.store.news import News


class RemoteNews:
    """Compares the revisions of agents for whom somebody waits; run by a Loop every 300 ms."""

    def __init__(self, db: Database, news: News) -> None:
        self._db = db
        self._news = news

    async def step(self) -> int:
        """One look. Returns 0: there is never a reason to look again at once."""
        waiting = self._news.listening()
        if waiting:
            async with self._db.read() as tx:
                self._news.compare(await agent_store.load_revisions(tx, waiting))
        return 0
