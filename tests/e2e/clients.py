"""Customers who do not give up: they post tickets and repeat a request under its key until it is acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.load import Pool, post
from bench.texts import body
from tests.stack import Stack, token


@dataclass
class Shoppers:
    """Posts tickets and remembers what intake promised.

    acknowledged  idempotency key → ticket id, for every 2xx answer.
    refusals      status → count of answers that were not 2xx; 0 is a broken connection.
    conflicting   keys for which two 2xx answers named different tickets; must stay empty.
    """

    stack: Stack
    tenant: str
    run: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    refusals: dict[int, int] = field(default_factory=dict)
    conflicting: list[str] = field(default_factory=list)

    async def send(self, numbers: Sequence[int], *, callers: int = 16, patience_s: float = 60) -> None:
        """Post the tickets `numbers`, each until acknowledged or until `patience_s` is over."""
        credential = token(self.tenant, "storefront")
        pool = Pool("127.0.0.1", self.stack.ports["intake"], size=callers)
        queue = iter(numbers)
        deadline = asyncio.get_running_loop().time() + patience_s

        async def caller() -> None:
            for number in queue:
                key = f"{self.run}-{number}"
                request = post("/v1/tickets", body(number, self.run), credential, f"Idempotency-Key: {key}\r\n")
                while not await self._once(pool, key, request):
                    assert asyncio.get_running_loop().time() < deadline, (
                        f"{key} was never acknowledged: {self.refusals}"
                    )
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(caller() for _ in range(callers)))
        pool.close()

    async def _once(self, pool: Pool, key: str, request: bytes) -> bool:
        answer = await pool.ask(request)
        if answer.status != 202:
            self.refusals[answer.status] = self.refusals.get(answer.status, 0) + 1
            return False
        ticket_id = json.loads(answer.body)["ticket_id"]
        if self.acknowledged.setdefault(key, ticket_id) != ticket_id:
            self.conflicting.append(key)
        return True
