"""Intake process: takes contacts, messages and requests of customers, keeps the views of orders and parcels."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from importlib.resources import files
from urllib.parse import urlsplit

from fenliu.chassis.auth import StatusTokens
from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.db import Database
from fenliu.chassis.messaging.consumer import COPY_GAP_S, Subscription
from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions
from fenliu.chassis.messaging.outbox import Outbox
from fenliu.chassis.service import Service, kafka_options
from fenliu.chassis.worker import Loop
from fenliu.contracts import topics
from fenliu.contracts.events import LogisticsEvent, OrderEvent, TicketRelabelled, TicketStatusChanged
from services.intake import api, handlers, workers
from services.intake.api.views import StatusLinks
from services.intake.domain.fact import parse_rules
from services.intake.settings import IntakeSettings

LINKS = {
    "/v1/tickets": "Open a ticket (POST) or list tickets (GET).",
    "/v1/orders/{order_id}": "What is known about an order.",
    "/v1/parcels/{parcel_id}": "What is known about a parcel.",
    "/v1/feedback": "Labels that people corrected, with the text, masked; for admins.",
    "/v1/feedback/ratings": "Ratings by customers.",
}


def build(settings: IntakeSettings, clock: Clock | None = None) -> Service:
    """Everything that intake consists of. clock: None is the machine's."""
    clock = clock or SystemClock()
    status_page = urlsplit(settings.public_notifier_url)
    origins = (*settings.page_origins, f"{status_page.scheme}://{status_page.netloc}")  # its form is sent from there
    settings = settings.model_copy(update={"page_origins": origins})
    db = Database(
        settings.database_url,
        outbox=Outbox("intake"),
        clock=clock,
        pool_size=settings.db_pool_size,
        acquire_timeout_s=settings.db_acquire_timeout_s,
        statement_timeout_s=settings.db_statement_timeout_s,
        lock_timeout_s=settings.db_lock_timeout_s,
    )
    rules = parse_rules(files("services.intake").joinpath("facts.toml").read_text(encoding="utf-8"))
    links = StatusLinks(
        StatusTokens(settings.status_key.get_secret_value()), settings.public_notifier_url, settings.status_link_days
    )
    receiver = workers.grouped_contacts(
        db,
        max_batch=settings.commit_batch,
        max_waiting=settings.commit_queue,
        timeout_s=settings.commit_timeout_s,
    )
    grace = timedelta(hours=settings.promise_grace_h)
    on_order = partial(handlers.on_order_event, rules=rules, grace=grace, now=clock.now)
    on_logistics = partial(handlers.on_logistics_event, rules=rules, grace=grace, now=clock.now)
    return Service(
        name="intake",
        settings=settings,
        clock=clock,
        db=db,
        routers=api.routes(db, receiver, links, clock),
        subscriptions=[
            Subscription(topics.ORDER_EVENTS, {OrderEvent: on_order}, default_tenant=settings.default_tenant),
            Subscription(
                topics.LOGISTICS_EVENTS, {LogisticsEvent: on_logistics}, default_tenant=settings.default_tenant
            ),
            Subscription(
                topics.TICKET_STATUS,
                {
                    TicketStatusChanged: handlers.on_ticket_status_changed,
                    TicketRelabelled: handlers.on_ticket_relabelled,
                },
                inbox=False,
                gap_s=COPY_GAP_S,
            ),
        ],
        workers=[
            Loop("due_promises", workers.DuePromises(db, rules).step, every_s=settings.due_every_s),
            Loop(
                "unheard_tickets",
                workers.Unheard(db, partial(_positions, kafka_options(settings))).step,
                every_s=settings.sweep_every_s,
            ),
            Loop("gauges", workers.Gauges(db).step, every_s=5.0),
        ],
        links=LINKS,
    )


async def _positions(options: KafkaOptions) -> workers.Positions:
    """Ask the broker how far the router has read and how far this service has. Raises KafkaUnavailable."""
    asked, answered = topics.TICKET_INBOUND.name, topics.TICKET_STATUS.name
    inspector = Inspector(options, "fenliu-intake-sweep")
    try:
        router_read = await inspector.committed(f"router.{asked}", asked)
        begins, ends = await inspector.begin_offsets([answered]), await inspector.end_offsets([answered])
        return workers.Positions(
            router_read,
            said={place[1]: end for place, end in ends.items() if end > begins.get(place, 0)},  # else all has expired
            heard=await inspector.committed(f"intake.{answered}", answered),
        )
    finally:
        await inspector.close()
