"""A router without a broker: handlers, dispatchers, clock and routes over a real database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from importlib.resources import files
from typing import Any

import httpx2
from google.protobuf.message import Message
from sqlalchemy import func, select

from fenliu.chassis.auth import Tokens
from fenliu.chassis.db import Database
from fenliu.chassis.messaging import tables as messaging
from fenliu.chassis.messaging.outbox import Outbox
from fenliu.chassis.service import Service
from fenliu.contracts import events, vocabulary
from services.router import api, handlers
from services.router.domain import queues, sla
from services.router.domain.due import Timers
from services.router.domain.policies import POLICIES
from services.router.domain.ticket import OWNED, Ticket
from services.router.domain.transitions import TABLE
from services.router.settings import RouterSettings
from services.router.store import agents as agent_store
from services.router.store import board, tickets
from services.router.store.news import News
from services.router.tables import agents as agents_table
from services.router.tables import ticket_history
from services.router.tables import tickets as tickets_table
from services.router.workers.dispatcher import Dispatcher, Pace
from services.router.workers.due import DueTimes
from tests.component.travel import TravelClock

KEY = "component-test-key-0123456789abcdef0123456789"
TENANT = "acme"


def shipped(name: str) -> str:
    return files("services.router").joinpath(name).read_text(encoding="utf-8")


class World:
    """One router process over `url`; several worlds over one database are several replicas."""

    def __init__(
        self, url: str, clock: TravelClock, holder: str = "one", *, quiet_after: timedelta | None = None
    ) -> None:
        self.clock = clock
        self.levels = sla.parse(shipped("sla.toml"))
        self.rules = queues.parse(
            shipped("queues.toml"),
            skills=vocabulary.skills(),
            categories=vocabulary.CATEGORIES,
            policies=POLICIES,
        )
        self.timers = Timers(levels=self.levels, quiet_after=quiet_after)
        self.news = News()
        self.db = Database(url, outbox=Outbox("router"), clock=clock)
        self.context = handlers.Context(self.rules, self.levels, self.timers, self.news)
        self.dispatcher = self.new_dispatcher(holder)
        self.due = DueTimes(
            self.db, self.rules, self.levels, self.timers, self.news, presence_timeout=timedelta(minutes=15)
        )
        self._sequence = 1

    def new_dispatcher(self, holder: str, **pace: Any) -> Dispatcher:
        made = Pace(**{"gap_s": 0.0, "heartbeat_s": 0.0, **pace})
        return Dispatcher(self.db, self.clock, self.rules, self.timers, self.news, holder=holder, pace=made)

    # events

    async def tell(self, *told: Message) -> None:
        """Hand events to their handlers, each run of one type in one transaction."""
        by_type: dict[type[Message], Any] = {
            events.TicketReceived: handlers.on_ticket_received,
            events.TicketClassified: handlers.on_ticket_classified,
            events.TicketMessageAdded: handlers.on_message_added,
            events.TicketCancelRequested: handlers.on_cancel_requested,
            events.TicketReopenRequested: handlers.on_reopen_requested,
            events.TicketHelpRequested: handlers.on_help_requested,
            events.TicketConfirmed: handlers.on_confirmed,
            events.TicketRated: lambda tx, found, context: handlers.on_rated(tx, found),
        }
        for event in told:
            handler = partial(by_type[type(event)], context=self.context)
            await self.db.run(lambda tx, event=event, handler=handler: handler(tx, [event]))  # type: ignore[misc]

    async def queue(self, *ticket_ids: str, category: str = "order", **labels: str) -> None:
        """Receive and label these tickets."""
        for ticket_id in ticket_ids:
            await self.tell(self.received(ticket_id), self.classified(ticket_id, category=category, **labels))

    def received(self, ticket_id: str, **fields: Any) -> events.TicketReceived:
        event = events.TicketReceived(
            tenant_id=TENANT, ticket_id=ticket_id, sequence=1, text="hello", customer_id="c-1", channel="web", **fields
        )
        event.received_at.FromDatetime(self.clock.now())
        return event

    def classified(
        self, ticket_id: str, sequence: int = 1, *, needs_review: bool = False, **labels: str
    ) -> events.TicketClassified:
        chosen = {"category": "order", "tier": "standard", "complexity": "simple"} | labels
        event = events.TicketClassified(
            tenant_id=TENANT, ticket_id=ticket_id, message_sequence=sequence, labels=events.Labels(**chosen),
            confidence=0.9, needs_review=needs_review,
        )  # fmt: skip
        event.facts.customer_id = "c-1"
        event.facts.received_at.FromDatetime(self.clock.now())
        return event

    def fact(self, kind: Any, ticket_id: str, **fields: Any) -> Any:
        self._sequence += 1
        return kind(tenant_id=TENANT, ticket_id=ticket_id, sequence=self._sequence, **fields)

    # people

    async def hire(
        self, *agent_ids: str, capacity: int = 2, skills: Sequence[str] = ("order",), online: bool = True
    ) -> None:
        settings = [
            agent_store.AgentSettings(
                agent_id, agent_id.title(), "main", dict.fromkeys(skills, 1.0), (), seniority=1.0, capacity=capacity
            )
            for agent_id in agent_ids
        ]
        async with self.db.begin() as tx:
            await agent_store.upsert_agents(tx, TENANT, settings)
        if online:
            await self.presence("online", *agent_ids)

    async def presence(self, presence: str, *agent_ids: str) -> None:
        async with self.db.begin() as tx:
            await agent_store.update_presence(tx, TENANT, agent_ids, presence)

    def client(self, *roles: str, subject: str = "someone", tenant: str = TENANT) -> httpx2.AsyncClient:
        settings = RouterSettings(token_key=KEY, status_key=KEY, _env_file=None)  # type: ignore[call-arg, arg-type]
        parts = api.Parts(self.db, self.rules, self.levels, self.timers, self.news)
        app = Service("router", settings, self.clock, routers=api.routes(parts)).app()
        now = self.clock.now()
        token = Tokens(KEY).issue(tenant, roles, subject, 86400, now)
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://router",
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip

    # looking

    async def settle(self) -> None:
        """Dispatch until there is nothing left to decide."""
        while await self.dispatcher.step():
            pass

    async def ticket(self, ticket_id: str) -> Ticket:
        async with self.db.read() as tx:
            found = await tickets.load_ticket(tx, TENANT, ticket_id)
        assert found is not None, f"no ticket {ticket_id}"
        return found

    async def state(self, ticket_id: str) -> tuple[str, str]:
        found = await self.ticket(ticket_id)
        return found.state, found.reason

    async def published(self, kind: str, key: str) -> list[Any]:
        """Events of this type in the outbox about this key, in order."""
        row = messaging.outbox
        async with self.db.read() as tx:
            found = (
                await tx.execute(select(row.c.headers, row.c.value).where(row.c.record_key == key).order_by(row.c.id))
            ).all()
        return [
            events.EVENT_TYPES[kind].FromString(value) for headers, value in found if kind.encode() in bytes(headers)
        ]

    async def check(self) -> None:
        """The invariants that must hold whatever happened: I5 to I7 and I9 of the reliability rules."""
        async with self.db.read() as tx:
            assert await board.count_drift(tx) == 0, "load counters differ from what agents own"
            columns = (ticket_history.c.ticket_id, ticket_history.c.version, ticket_history.c.action)
            more = (ticket_history.c.state, ticket_history.c.fence, ticket_history.c.agent_id)
            steps = (await tx.execute(select(*columns, *more).order_by(*columns[:2]))).all()
            rows = (await tx.execute(select(tickets_table))).mappings().all()
            held = select(tickets_table.c.agent_id, func.count()).where(
                tickets_table.c.state.in_(sorted(OWNED)), tickets_table.c.agent_id != ""
            )
            loads = {row[0]: row[1] for row in (await tx.execute(held.group_by(tickets_table.c.agent_id))).all()}
            capacities = {
                row[0]: row[1]
                for row in (await tx.execute(select(agents_table.c.agent_id, agents_table.c.capacity))).all()
            }
        for agent_id, load in loads.items():
            assert load <= capacities[agent_id], f"{agent_id} is over capacity"
        walk(steps, {row["ticket_id"]: row for row in rows})


def walk(steps: Sequence[Any], rows: dict[str, Any]) -> None:
    """Histories are gapless, legal, and fences grow with every new owner."""
    last: dict[str, Any] = {}
    for step in steps:
        before = last.get(step.ticket_id)
        if before is None:
            assert (step.version, step.state) == (1, "received")
        else:
            assert step.version == before.version + 1, "a version is missing"
            row = TABLE.get((step.action, before.state))
            assert row is not None, f"illegal: {step.action} from {before.state}"
            assert row.target == step.state
            if step.agent_id and step.agent_id != before.agent_id:
                assert step.fence > before.fence, "a new owner without a new fence"
            assert not (before.agent_id and step.agent_id and before.agent_id != step.agent_id and row.owner != "swap")
        last[step.ticket_id] = step
    for ticket_id, step in last.items():
        assert (rows[ticket_id]["version"], rows[ticket_id]["state"]) == (step.version, step.state)
    assert last.keys() == rows.keys()
