"""The agent who knows a customer, and the one who serves them by name."""

from __future__ import annotations

from fenliu.contracts import events
from services.router.domain.customer import DEDICATED_A_MONTH
from services.router.domain.queues import Queue
from services.router.store import queues as queue_store
from tests.component.router.lab import TENANT, World


async def _policy(world: World) -> None:
    async with world.db.begin() as tx:
        await queue_store.upsert_queue(tx, TENANT, Queue("order", "Orders", skill="order", policy="fenliu"))


async def _resolved_by_bob(world: World) -> None:
    await world.hire("bob")
    await world.queue("k0")
    await world.settle()
    async with world.client("agent", subject="bob") as client:
        assert (await client.post("/v1/assignments/k0/resolve", json={"fence": 1})).status_code == 200


async def test_returning_customer_reaches_the_agent_who_resolved_their_last_ticket(world: World) -> None:
    await _policy(world)
    await _resolved_by_bob(world)
    await world.hire("ann", "zoe")
    await world.queue("k1")
    await world.settle()
    assert (await world.state("k1"), (await world.ticket("k1")).agent_id) == (("assigned", "known_agent"), "bob")
    async with world.client("supervisor") as client:
        story = (await client.get("/v1/routing/tickets/k1")).json()
    assert (story["known_agent"], story["dedicated"]) == ("bob", False)
    assert story["decisions"][0]["candidates"][0]["parts"]["known_customer"] > 0


async def test_returning_customer_of_an_absent_agent_is_served_by_somebody_else_who_is_told_why(world: World) -> None:
    await _policy(world)
    await _resolved_by_bob(world)
    await world.presence("offline", "bob")
    await world.hire("ann")
    await world.queue("k1")
    await world.settle()
    assert (await world.ticket("k1")).agent_id == "ann"
    async with world.client("supervisor") as client:
        (decision,) = (await client.get("/v1/routing/tickets/k1")).json()["decisions"]
    assert decision["refused"] == [{"agent_id": "bob", "reason": "not_online"}]


async def test_reopened_ticket_goes_back_to_whoever_resolved_it(world: World) -> None:
    await _policy(world)
    await _resolved_by_bob(world)
    await world.hire("ann")
    await world.tell(world.fact(events.TicketReopenRequested, "k0"))
    await world.settle()
    assert (await world.ticket("k0")).agent_id == "bob"


async def test_named_agent_serves_an_entitled_customer_for_five_tickets_a_month(world: World) -> None:
    await _policy(world)
    await world.hire("bob", "zoe", capacity=9)
    names = [f"k{n}" for n in range(DEDICATED_A_MONTH + 1)]
    async with world.client("supervisor") as client:
        missing = await client.put("/v1/routing/customers/c-1", json={"dedicated_agent": "nix"})
        assert missing.status_code == 404
        said = await client.put("/v1/routing/customers/c-1", json={"dedicated_agent": "zoe"})
        assert said.json()["dedicated_left"] == DEDICATED_A_MONTH
        await world.tell(*[world.received(name, customer_class="dedicated") for name in names])
        assert (await client.get("/v1/routing/customers/c-1")).json()["dedicated_left"] == 0
    async with world.client("supervisor", tenant="rival") as client:
        assert (await client.get("/v1/routing/customers/c-1")).status_code == 404
    await world.tell(*[world.classified(name) for name in names])
    await world.settle()
    found = [await world.ticket(name) for name in names]
    assert [ticket.facts.wish for ticket in found].count(2.0) == DEDICATED_A_MONTH
    given = [ticket for ticket in found if ticket.reason == "dedicated_agent"]
    assert given, "a wish, not an order: some go to whoever has less at hand"
    assert {ticket.agent_id for ticket in given} == {"zoe"}
