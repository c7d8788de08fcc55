"""The demo tenant's team: twelve simulated agents who work through the same public API as people would."""

from __future__ import annotations

import asyncio
import contextlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import Any

import httpx2

SAMPLE = files("fenliu.cli").joinpath("sample")
LONG_POLL_S = 15
HANDLING_S = (3.0, 9.0)
"""Seconds between an agent's answer and the resolution, so that the board shows work in progress."""


@dataclass(frozen=True)
class Agent:
    """A simulated person: skills with levels 0 to 1, and how many tickets at once."""

    agent_id: str
    name: str
    skills: dict[str, float]
    capacity: int = 4
    languages: tuple[str, ...] = ("zh", "en")


TEAM = (
    Agent("demo-wang", "王芳", {"product": 1.0, "promotion": 0.8, "order": 0.5}),
    Agent("demo-li", "李强", {"product": 0.9, "quality": 0.9}),
    Agent("demo-zhang", "张敏", {"product": 0.8, "promotion": 1.0, "invoice": 0.6}),
    Agent("demo-liu", "刘洋", {"logistics": 1.0, "order": 0.8}),
    Agent("demo-chen", "陈静", {"logistics": 0.9, "returns": 0.7}),
    Agent("demo-yang", "杨磊", {"logistics": 0.8, "product": 0.5}),
    Agent("demo-zhao", "赵婷", {"returns": 1.0, "quality": 0.7, "order": 0.6}),
    Agent("demo-huang", "黄伟", {"returns": 0.8, "payment": 0.7, "invoice": 1.0}),
    Agent("demo-zhou", "周杰", {"payment": 1.0, "account": 1.0, "complaint": 0.6}),
    Agent("demo-wu", "吴霞", {"complaint": 1.0, "returns": 0.6, "logistics": 0.6}, capacity=3),
    Agent("demo-emma", "Emma", {"product": 0.8, "order": 0.9, "logistics": 0.6, "account": 0.7}),
    Agent("demo-noah", "Noah", {"quality": 1.0, "product": 0.7, "promotion": 0.6, "payment": 0.5}),
)

Token = Callable[[str, str], str]
"""(role, subject) → API token of the demo tenant."""


async def hire(client: httpx2.AsyncClient, router_url: str, token: Token) -> None:
    """Create the team and put everybody online. May be repeated. Raises httpx2.HTTPError."""
    headers = {"Authorization": f"Bearer {token('admin', 'fenliu-up')}"}
    rows = [
        {
            "agent_id": agent.agent_id,
            "name": agent.name,
            "skills": agent.skills,
            "capacity": agent.capacity,
            "languages": list(agent.languages),
        }
        for agent in TEAM
    ]
    (await client.put(f"{router_url}/v1/agents", json={"agents": rows}, headers=headers)).raise_for_status()
    present = {"agent_ids": [agent.agent_id for agent in TEAM], "presence": "online"}
    (await client.put(f"{router_url}/v1/agents/presence", json=present, headers=headers)).raise_for_status()


class Shift:
    """One agent at work: waits for news, takes what it is given, answers, and resolves a little later."""

    def __init__(self, agent: Agent, client: httpx2.AsyncClient, intake: str, router: str, token: Token) -> None:
        self._agent = agent
        self._client = client
        self._intake = intake
        self._router = router
        self._token = token
        self._random = Random(agent.agent_id)  # noqa: S311 - a pace, not a secret
        self._replies: dict[str, dict[str, str]] = tomllib.loads(SAMPLE.joinpath("replies.toml").read_text("utf-8"))
        self._busy: set[tuple[str, int]] = set()
        self._answered: set[str] = set()

    async def run(self) -> None:
        """Work until cancelled. A service that is away for a moment is waited for."""
        version = 0
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    version = await self._look(version, group)
                except httpx2.HTTPError:
                    await asyncio.sleep(1)

    async def _look(self, after: int, group: asyncio.TaskGroup) -> int:
        answer = await self._client.get(
            f"{self._router}/v1/agents/{self._agent.agent_id}/assignments",
            params={"wait_s": LONG_POLL_S, "after": after},
            headers=self._headers(),
            timeout=LONG_POLL_S + 10,
        )
        answer.raise_for_status()
        news = answer.json()
        for item in news["items"]:
            work = (item["ticket_id"], item["fence"])
            if work not in self._busy:
                self._busy.add(work)
                group.create_task(self._handle(item, work))
        return int(news["version"])

    async def _handle(self, item: dict[str, Any], work: tuple[str, int]) -> None:
        with contextlib.suppress(httpx2.HTTPError):  # it stays in the list, and the next look takes it up again
            await self._work(item)
        self._busy.discard(work)

    async def _work(self, item: dict[str, Any]) -> None:
        ticket = item["ticket_id"]
        for action, states in (("accept", ("offered",)), ("start", ("assigned",))):
            if item["state"] in states:
                changed = await self._act(ticket, action, item["fence"])
                if changed is None:
                    return
                item = changed
        if ticket not in self._answered:
            message = {"text": self._reply(item), "visibility": "public"}
            url = f"{self._intake}/v1/tickets/{ticket}/messages"
            (await self._client.post(url, json=message, headers=self._headers())).raise_for_status()
            self._answered.add(ticket)
        await asyncio.sleep(self._random.uniform(*HANDLING_S))
        await self._act(ticket, "resolve", item["fence"])

    async def _act(self, ticket: str, action: str, fence: int) -> dict[str, Any] | None:
        """The ticket's snapshot afterwards; None where it is no longer this agent's."""
        url = f"{self._router}/v1/assignments/{ticket}/{action}"
        answer = await self._client.post(url, json={"fence": fence}, headers=self._headers())
        if answer.status_code in (404, 409):
            return None
        answer.raise_for_status()
        snapshot: dict[str, Any] = answer.json()
        return snapshot

    def _reply(self, item: dict[str, Any]) -> str:
        labels = item.get("labels") or {}
        by_language = self._replies.get(labels.get("category") or "other", self._replies["other"])
        return by_language["zh" if str(labels.get("language") or "zh").startswith("zh") else "en"]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token('agent', self._agent.agent_id)}"}
