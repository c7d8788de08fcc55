"""/v1/subscriptions: who wants webhooks about the tenant's tickets."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from uuid_utils import uuid7

from fenliu.chassis.auth import Principal
from fenliu.chassis.db import Database
from fenliu.chassis.errors import Conflict, Malformed, NotFound
from fenliu.chassis.http import (
    Cursor,
    Identifier,
    Page,
    Paged,
    RawText,
    StrictModel,
    Text,
    page,
    problem_responses,
    require,
)
from fenliu.contracts.vocabulary import State
from services.notifier import domain, store
from services.notifier.domain import AddressRules, Delivery, ForbiddenUrl

SECRET_BYTES = 32
"""Standard Webhooks asks for 24 to 64."""

EventName = Literal["*", State]
"""A state of tickets, or * for all of them."""

Integrator = Annotated[Principal, require("integration")]


class UnusableUrl(Malformed):
    """Nothing can be delivered to this URL."""

    slug = "unusable-url"
    http_status = 422


class TooManySubscriptions(Conflict):
    """The tenant has as many subscriptions as it may. Delete one that is no longer needed."""

    slug = "too-many-subscriptions"


class SubscriptionIn(StrictModel):
    """A new subscription."""

    url: Annotated[str, RawText(2048)] = Field(min_length=1, description="Where to post: https, a public host.")
    events: Annotated[list[EventName], Field(min_length=1, max_length=11)] = Field(
        ["*"], description="States of tickets to be told about; * is all of them, also future ones."
    )
    description: Annotated[str, Text(200)] | None = Field(None, description="For people; absent: none.")


class SubscriptionOut(BaseModel):
    """A subscription."""

    subscription_id: str
    url: str
    events: list[str]
    description: str | None
    enabled: bool = Field(description="False after the endpoint answered 410; make a new subscription then.")
    disabled_reason: str | None
    created_at: datetime


class SubscriptionCreated(SubscriptionOut):
    """A subscription with its new secret."""

    secret: str = Field(description="Signs every delivery (Standard Webhooks). Shown only here; keep it.")


class Rotation(StrictModel):
    """How a secret is replaced."""

    overlap_s: int = Field(
        86_400, ge=0, le=604_800, description="Seconds in which deliveries carry both signatures, the newer first."
    )


class TestDelivery(BaseModel):
    """A delivery made to try an endpoint."""

    delivery_id: str = Field(description="Read what came of it at /v1/deliveries/{delivery_id}.")


def routes(
    db: Database,
    *,
    rules: AddressRules,
    per_tenant: int,
    changed: Callable[[], None],
    wake: Callable[[], None],
) -> APIRouter:
    """per_tenant: most subscriptions. changed: told when the set changed. wake: told when something is due."""
    router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])

    @router.post("", status_code=201, responses=problem_responses(401, 403, 409, 422))
    async def create_subscription(body: SubscriptionIn, caller: Integrator, response: Response) -> SubscriptionCreated:
        """Subscribe an endpoint to changes of the tenant's tickets. The answer shows the secret, once."""
        _check_url(body.url, rules)
        secret = _new_secret()
        events = tuple(dict.fromkeys(str(event) for event in body.events))
        async with db.begin() as tx:
            if await store.count_subscriptions(tx, caller.tenant_id) >= per_tenant:
                raise TooManySubscriptions()
            made = store.Subscription(
                str(uuid7()), caller.tenant_id, body.url, events, body.description or "", True, "", tx.now, secret
            )
            await store.insert_subscription(tx, made)
            tx.after_commit(changed)
        response.headers["Location"] = f"/v1/subscriptions/{made.subscription_id}"
        return SubscriptionCreated(**_shown(made).model_dump(), secret=secret)

    @router.get("", responses=problem_responses(401, 403, 422))
    async def list_subscriptions(caller: Integrator, paging: Paged) -> Page[SubscriptionOut]:
        """The tenant's subscriptions, oldest first. Secrets are not shown."""
        after = Cursor.decode(paging.cursor, str)
        async with db.read() as tx:
            found = await store.list_subscriptions(
                tx, caller.tenant_id, after=after[0] if after else "", limit=paging.limit + 1
            )
        shown = [_shown(item) for item in found[: paging.limit]]
        return page(shown, Cursor.encode(shown[-1].subscription_id) if len(found) > paging.limit else None)

    @router.get("/{subscription_id}", responses=problem_responses(401, 403, 404, 422))
    async def read_subscription(subscription_id: Identifier, caller: Integrator) -> SubscriptionOut:
        """One subscription."""
        async with db.read() as tx:
            found = await store.load_subscription(tx, caller.tenant_id, subscription_id)
        if found is None:
            raise NotFound()
        return _shown(found)

    @router.delete("/{subscription_id}", status_code=204, responses=problem_responses(401, 403, 404, 422))
    async def delete_subscription(subscription_id: Identifier, caller: Integrator) -> None:
        """Stop delivering. Its delivery log and what is still owed go as well."""
        async with db.begin() as tx:
            if not await store.delete_subscription(tx, caller.tenant_id, subscription_id):
                raise NotFound()
            tx.after_commit(changed)

    _add_rotation(router, db)
    _add_test(router, db, wake)
    return router


def _add_rotation(router: APIRouter, db: Database) -> None:
    @router.post("/{subscription_id}/rotate", responses=problem_responses(401, 403, 404, 422))
    async def rotate_secret(
        subscription_id: Identifier, caller: Integrator, body: Rotation | None = None
    ) -> SubscriptionCreated:
        """Replace the secret. The answer shows the new one, once; for a while both sign, so that no delivery fails."""
        secret = _new_secret()
        overlap = timedelta(seconds=(body or Rotation()).overlap_s)
        async with db.begin() as tx:
            found = await store.rotate_secret(tx, caller.tenant_id, subscription_id, secret, tx.now + overlap)
            if found is None:
                raise NotFound()
        return SubscriptionCreated(**_shown(found).model_dump(), secret=secret)


def _add_test(router: APIRouter, db: Database, wake: Callable[[], None]) -> None:
    @router.post("/{subscription_id}/test", status_code=202, responses=problem_responses(401, 403, 404, 409, 422))
    async def test_subscription(subscription_id: Identifier, caller: Integrator) -> TestDelivery:
        """Send a delivery of type subscription.test, signed and retried like any other."""
        async with db.begin() as tx:
            found = await store.load_subscription(tx, caller.tenant_id, subscription_id)
            if found is None:
                raise NotFound()
            if not found.enabled:
                raise Conflict("The subscription is switched off. Make a new one.")
            trial = Delivery(
                str(uuid.uuid4()),
                caller.tenant_id,
                subscription_id,
                "",
                "subscription.test",
                domain.trial_payload(subscription_id, tx.now),
            )
            await store.insert_deliveries(tx, [trial], tx.now)
            tx.after_commit(wake)
        return TestDelivery(delivery_id=trial.delivery_id)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _check_url(url: str, rules: AddressRules) -> None:
    try:
        domain.parse_endpoint(url, rules)
    except ForbiddenUrl as error:
        raise UnusableUrl(str(error), errors=[{"pointer": "#/url", "detail": str(error)}]) from error


def _shown(subscription: store.Subscription) -> SubscriptionOut:
    return SubscriptionOut(
        subscription_id=subscription.subscription_id,
        url=subscription.url,
        events=list(subscription.events),
        description=subscription.description or None,
        enabled=subscription.enabled,
        disabled_reason=subscription.disabled_reason or None,
        created_at=subscription.created_at,
    )
