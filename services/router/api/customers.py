"""Customers, as far as routing knows them: who knows them, and who serves them by name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import NotFound
from fenliu.chassis.http import Identifier, StrictModel, problem_responses, require
from services.router.api.parts import READERS, NoSuchAgent, Parts
from services.router.domain.customer import DEDICATED_A_MONTH, used_in
from services.router.store import agents as agent_store
from services.router.store import customers as store


class NoSuchCustomer(NotFound):
    """Routing knows nothing of this customer: nobody has resolved a ticket of theirs yet, or was named for them."""

    slug = "customer-not-found"


class CustomerIn(StrictModel):
    """Who serves a customer by name."""

    dedicated_agent: Identifier | None = Field(description="null: nobody; whoever knows them stands in.")


class CustomerOut(BaseModel):
    """What routing knows of a customer."""

    customer_id: str
    known_agent: str | None = Field(description="Who resolved their last ticket.")
    dedicated_agent: str | None = Field(description="Whom a supervisor named for them.")
    dedicated_left: int = Field(description="Tickets of this month that may still wish for a dedicated agent.")


def routes(parts: Parts) -> APIRouter:
    """GET and PUT of a customer's agents."""
    router = APIRouter(tags=["routing"])

    @router.get("/v1/routing/customers/{customer_id}", responses=problem_responses(401, 403, 404))
    async def read_customer(customer_id: Identifier, caller: Annotated[Principal, require(*READERS)]) -> CustomerOut:
        """Who knows a customer."""
        async with parts.db.read() as tx:
            return await _read(tx, caller.tenant_id, customer_id)

    @router.put("/v1/routing/customers/{customer_id}", responses=problem_responses(401, 403, 404, 422))
    async def put_customer(
        customer_id: Identifier,
        body: CustomerIn,
        caller: Annotated[Principal, require("supervisor", "integration")],
    ) -> CustomerOut:
        """Name a customer's dedicated agent. New tickets of the customer wish for them, if the customer is entitled
        (yearly spend from 5,000, or class dedicated); such a ticket goes to somebody else where waiting costs more."""

        async def work(tx: Transaction) -> CustomerOut:
            agent_id = body.dedicated_agent or ""
            if agent_id and await agent_store.load_agent(tx, caller.tenant_id, agent_id) is None:
                raise NoSuchAgent()
            await store.upsert_dedicated(tx, caller.tenant_id, customer_id, agent_id)
            return await _read(tx, caller.tenant_id, customer_id)

        return await parts.db.run(work)

    return router


async def _read(tx: Transaction, tenant_id: str, customer_id: str) -> CustomerOut:
    found = await store.load_customer(tx, tenant_id, customer_id)
    if found is None:
        raise NoSuchCustomer()
    return CustomerOut(
        customer_id=customer_id,
        known_agent=found.known_agent or None,
        dedicated_agent=found.dedicated_agent or None,
        dedicated_left=max(DEDICATED_A_MONTH - used_in(found, tx.now), 0),
    )
