"""Intake, classifier and router without a broker: what one publishes is handed to the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

from fenliu.chassis.messaging.envelope import Envelope, Received, event_id_of
from fenliu.chassis.migrations import folder_of, upgrade_database
from fenliu.contracts.events import TicketClassified, TicketMessageAdded, TicketReceived
from services.classifier import handlers as classifier
from services.classifier.model.current import CurrentModel
from services.intake.main import build as build_intake
from services.router.domain.ticket import Ticket
from services.router.store import tickets
from tests.component.intake.conftest import Intake, client_of, settings_for
from tests.component.router.lab import World
from tests.component.travel import TravelClock


@dataclass
class Chain:
    """Three services without a broker: whatever intake publishes is labelled, and the router told of both."""

    intake: Intake
    world: World
    model: CurrentModel
    carried: int = 0
    answers: list[TicketClassified] = field(default_factory=list)

    async def carry(self) -> None:
        """Hand what intake has published since the last time to the others, in order."""
        published = await self.intake.published()
        for event in published[self.carried :]:
            if isinstance(event, TicketReceived | TicketMessageAdded):
                await self.world.tell(event)
                await self._label([event])
        self.carried = len(published)

    async def _label(self, events: Sequence[Any]) -> None:
        received = [Received(event, _envelope(event)) for event in events]
        for outgoing in await classifier.on_ticket_inbound(received, label=self.model.label, clock=self.world.clock):
            assert isinstance(outgoing.event, TicketClassified)
            self.answers.append(outgoing.event)
            await self.world.tell(outgoing.event)

    async def write(self, ticket_id: str, text: str) -> None:
        answer = await self.intake.post(f"/v1/tickets/{ticket_id}/messages", {"text": text}, tenant="acme")
        assert answer.status_code == 202, answer.text
        await self.carry()

    async def opened(self, text: str, **more: Any) -> str:
        """A contact; the ticket that it opened or joined."""
        ticket_id: str = (await self.intake.open(text=text, tenant="acme", **more))["ticket_id"]
        await self.carry()
        return ticket_id

    async def ticket(self, ticket_id: str) -> Ticket:
        async with self.world.db.read() as tx:
            found = await tickets.load_ticket(tx, "acme", ticket_id)
        assert found is not None
        return found


def _envelope(event: Any) -> Envelope:
    kind = event.DESCRIPTOR.name
    event_id = event_id_of("intake", kind, event.ticket_id, event.sequence)
    at = event.received_at if kind == "TicketReceived" else event.added_at
    return Envelope(event_id, kind, "intake", event.tenant_id, event.ticket_id, at.ToDatetime(UTC))


@asynccontextmanager
async def chained(tmp_path: Path) -> AsyncIterator[Chain]:
    """The three over fresh SQLite files."""
    urls = {name: f"sqlite+aiosqlite:///{tmp_path}/{name}.db" for name in ("intake", "router")}
    for name, url in urls.items():
        await upgrade_database(url, folder_of(name))
    clock = TravelClock()
    service = build_intake(settings_for(urls["intake"]), clock)
    assert service.db is not None
    world = World(urls["router"], clock)
    async with client_of(service) as http:
        yield Chain(Intake(service, service.db, clock, http), world, CurrentModel())  # type: ignore[arg-type]
    await service.db.close()
    await world.check()
    await world.db.close()
