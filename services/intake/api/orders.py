"""What is known about orders and parcels."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Database
from fenliu.chassis.errors import NotFound
from fenliu.chassis.http import Identifier, problem_responses, require
from services.intake.api.views import EVERYBODY, OrderView, ParcelView, only_customer, order_view, parcel_view
from services.intake.store import reading


def routes(db: Database) -> APIRouter:
    """GET /v1/orders/{order_id}, GET /v1/parcels/{number}."""
    router = APIRouter(tags=["orders"])
    refusals = problem_responses(401, 403, 404, 422, 503)

    @router.get("/v1/orders/{order_id}", responses=refusals)
    async def read_order(order_id: Identifier, caller: Annotated[Principal, require(*EVERYBODY)]) -> OrderView:
        """An order with its parcels, as the newest events left them; a customer sees their own."""
        own = only_customer(caller)
        async with db.read() as tx:
            found = await reading.load_order(tx, caller.tenant_id, order_id)
        if found is None or own not in (None, found[0].customer_id):
            raise NotFound()
        return order_view(*found)

    @router.get("/v1/parcels/{parcel_id}", responses=refusals)
    async def read_parcel(parcel_id: Identifier, caller: Annotated[Principal, require(*EVERYBODY)]) -> ParcelView:
        """A parcel as its newest scan left it; a customer sees those of their own orders."""
        own = only_customer(caller)
        async with db.read() as tx:
            parcel = await reading.load_parcel(tx, caller.tenant_id, parcel_id)
            order = (
                await reading.load_order(tx, caller.tenant_id, parcel.order_id)
                if parcel is not None and parcel.order_id and own is not None
                else None
            )
        if parcel is None or (own is not None and (order is None or order[0].customer_id != own)):
            raise NotFound()
        return parcel_view(parcel)

    return router
