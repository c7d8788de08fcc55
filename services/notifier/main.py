"""Notifier process: keeps timelines, owes and sends webhooks, serves status pages and event streams."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from zoneinfo import ZoneInfo

from fenliu.chassis.auth import StatusTokens
from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.db import Database
from fenliu.chassis.messaging.consumer import COPY_GAP_S, Subscription
from fenliu.chassis.service import Service
from fenliu.contracts import topics
from fenliu.contracts.events import (
    AgentChanged,
    TicketCancelRequested,
    TicketConfirmed,
    TicketHelpRequested,
    TicketMessageAdded,
    TicketRated,
    TicketReceived,
    TicketReopenRequested,
    TicketStatusChanged,
)
from services.notifier import api, handlers, store, workers
from services.notifier.domain import AddressRules
from services.notifier.settings import NotifierSettings
from services.notifier.transports import TRANSPORTS


def build(settings: NotifierSettings, clock: Clock | None = None) -> Service:
    """Everything that the notifier consists of."""
    clock = clock or SystemClock()
    db = Database(
        settings.database_url,
        clock=clock,
        pool_size=settings.db_pool_size,
        acquire_timeout_s=settings.db_acquire_timeout_s,
        statement_timeout_s=settings.db_statement_timeout_s,
        lock_timeout_s=settings.db_lock_timeout_s,
    )
    rules = AddressRules(frozenset(settings.webhook_ports), settings.webhook_allow_loopback)
    webhooks = TRANSPORTS["webhook"](
        rules, connect_timeout_s=settings.webhook_connect_timeout_s, timeout_s=settings.webhook_timeout_s
    )
    subscribers = store.SubscriptionCache(clock)
    streams = workers.Streams(db, every_s=settings.stream_poll_s, max_streams=settings.max_streams)
    deliveries = workers.Deliveries(
        db,
        webhooks.send,
        lease_s=settings.webhook_timeout_s + 45,
        max_in_flight=settings.webhook_max_in_flight,
        per_endpoint=settings.webhook_per_endpoint,
    )
    limits = api.StreamLimits(heartbeat_s=settings.stream_heartbeat_s)
    tokens = StatusTokens(settings.status_key.get_secret_value())
    texts = api.PageTexts(f"{settings.public_intake_url}/v1/tickets/reply", ZoneInfo(settings.page_timezone))
    return Service(
        name="notifier",
        settings=settings,
        clock=clock,
        db=db,
        routers=[
            api.subscription_routes(
                db,
                rules=rules,
                per_tenant=settings.subscriptions_per_tenant,
                changed=subscribers.invalidate,
                wake=deliveries.wake,
            ),
            api.delivery_routes(db, wake=deliveries.wake),
            api.timeline_routes(db, streams, limits),
            api.page_routes(db, tokens, streams, limits, texts),
        ],
        subscriptions=_subscriptions(subscribers, streams.changed, deliveries.wake),
        workers=[
            deliveries,
            streams,
            workers.Housekeeping(db, keep=timedelta(days=settings.delivery_log_days)),
        ],
        links={
            "/v1/subscriptions": "Webhook subscriptions: POST {url, events} to add one.",
            "/v1/deliveries": "Log of webhooks, with attempts and errors.",
            "/v1/timelines/{ticket_id}": "What the customer of a ticket may see; /events streams it.",
            "/s/{token}": "Status page of a ticket, by the link that intake gives.",
        },
    )


def _subscriptions(
    subscribers: store.SubscriptionCache, push: handlers.Wake, wake_deliveries: Callable[[], None]
) -> list[Subscription]:
    """What is consumed, and by whom. Every write is idempotent, so there is no inbox."""
    return [
        Subscription(
            topics.TICKET_INBOUND,
            {
                TicketReceived: partial(handlers.on_ticket_received, push=push),
                TicketMessageAdded: partial(handlers.on_message_added, push=push),
                TicketCancelRequested: partial(handlers.on_cancel_requested, push=push),
                TicketReopenRequested: partial(handlers.on_reopen_requested, push=push),
                TicketHelpRequested: partial(handlers.on_help_requested, push=push),
                TicketConfirmed: partial(handlers.on_confirmed, push=push),
                TicketRated: partial(handlers.on_rated, push=push),
            },
            inbox=False,
            gap_s=COPY_GAP_S,
        ),
        Subscription(
            topics.TICKET_STATUS,
            {
                TicketStatusChanged: partial(
                    handlers.on_status_changed, subscribers=subscribers, push=push, wake_deliveries=wake_deliveries
                )
            },
            inbox=False,
            gap_s=COPY_GAP_S,
        ),
        Subscription(topics.AGENT_CHANGED, {AgentChanged: handlers.on_agent_changed}, inbox=False),
    ]
