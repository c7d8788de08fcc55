"""The router process: takes in tickets and labels, assigns, keeps time. This file is its table of contents."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.db import Database
from fenliu.chassis.messaging.consumer import Subscription
from fenliu.chassis.messaging.outbox import Outbox
from fenliu.chassis.notices import Notices
from fenliu.chassis.service import Service
from fenliu.chassis.worker import Loop
from fenliu.contracts import events, topics, vocabulary
from services.router import api, handlers
from services.router.domain import queues, sla
from services.router.domain.due import Timers
from services.router.domain.policies import POLICIES
from services.router.settings import RouterSettings
from services.router.store.news import News
from services.router.workers.dispatcher import Dispatcher, DispatcherLoop, Pace
from services.router.workers.due import DueTimes
from services.router.workers.gauges import Gauges
from services.router.workers.news import RemoteNews


def build(settings: RouterSettings, clock: Clock | None = None) -> Service:
    """Everything that the router consists of. Raises ValueError where sla.toml or queues.toml make no sense."""
    clock = clock or SystemClock()
    levels = sla.parse(_text(settings.sla_path, "sla.toml"))
    rules = queues.parse(
        _text(settings.queues_path, "queues.toml"),
        skills=vocabulary.skills(),
        categories=vocabulary.CATEGORIES,
        policies=POLICIES,
    )
    timers = _timers(settings, levels)
    db = Database(
        settings.database_url,
        outbox=Outbox("router"),
        clock=clock,
        pool_size=settings.db_pool_size,
        acquire_timeout_s=settings.db_acquire_timeout_s,
        statement_timeout_s=settings.db_statement_timeout_s,
        lock_timeout_s=settings.db_lock_timeout_s,
        idle_timeout_s=settings.lease_s / 2,  # a stopped dispatcher must not keep its desk locked beyond its lease
    )
    news = News()
    context = handlers.Context(rules, levels, timers, news)
    pace = Pace(lease_s=settings.lease_s, heartbeat_s=min(settings.lease_s / 10, 0.5), batch=settings.dispatch_batch)
    dispatcher = Dispatcher(db, clock, rules, timers, news, holder=uuid4().hex, pace=pace)
    dispatching = DispatcherLoop(dispatcher, every_s=settings.dispatch_poll_s)
    due = DueTimes(db, rules, levels, timers, news, presence_timeout=timedelta(seconds=settings.presence_timeout_s))
    # After an outage everything that waits is due at once; its looks must not keep the dispatcher from assigning it.
    clock_loop = Loop("due-times", due.step, every_s=0.5, rest_s=0.5)
    news.wake_desks = dispatching.notice
    news.wake_clock = clock_loop.wake
    notices = Notices(db, "fenliu_desks", dispatching.heard)
    dispatching.elsewhere = notices.send
    return Service(
        name="router",
        settings=settings,
        clock=clock,
        db=db,
        routers=api.routes(api.Parts(db, rules, levels, timers, news)),
        subscriptions=subscriptions(context),
        workers=[
            dispatching,
            clock_loop,
            notices,
            Loop("remote-news", RemoteNews(db, news).step, every_s=0.3),
            Loop("gauges", Gauges(db).step, every_s=5),
        ],
        links=api.LINKS,
    )


def subscriptions(context: handlers.Context) -> list[Subscription]:
    """What the router consumes."""
    return [
        Subscription(
            topics.TICKET_INBOUND,
            {
                events.TicketReceived: partial(handlers.on_ticket_received, context=context),
                events.TicketMessageAdded: partial(handlers.on_message_added, context=context),
                events.TicketCancelRequested: partial(handlers.on_cancel_requested, context=context),
                events.TicketReopenRequested: partial(handlers.on_reopen_requested, context=context),
                events.TicketHelpRequested: partial(handlers.on_help_requested, context=context),
                events.TicketConfirmed: partial(handlers.on_confirmed, context=context),
                events.TicketRated: handlers.on_rated,
            },
        ),
        Subscription(
            topics.TICKET_CLASSIFIED, {events.TicketClassified: partial(handlers.on_ticket_classified, context=context)}
        ),
    ]


def _timers(settings: RouterSettings, levels: sla.ServiceLevels) -> Timers:
    return Timers(
        triage_after=timedelta(seconds=settings.triage_after_s),
        explain_after=timedelta(seconds=settings.explain_after_s),
        ask_again_after=timedelta(seconds=settings.ask_again_after_s),
        away_grace=timedelta(seconds=settings.away_grace_s),
        quiet_after=timedelta(seconds=settings.quiet_after_s) if settings.quiet_after_s else None,
        self_service_after=timedelta(hours=settings.self_service_after_h),
        close_after=timedelta(hours=settings.close_after_h),
        levels=levels,
    )


def _text(path: Path | None, shipped: str) -> str:
    if path is not None:
        return path.read_text(encoding="utf-8")
    return files("services.router").joinpath(shipped).read_text(encoding="utf-8")
