"""One service as a process: what it is made of, how it starts, and in which order it stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter

from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.db import Database
from fenliu.chassis.messaging.consumer import Subscription
from fenliu.chassis.settings import ServiceSettings
from fenliu.chassis.worker import Loop


@dataclass
class Service:
    """Everything a service consists of; `build(settings)` in its main.py returns one.

    db     None for a service without a database (classifier). When set, a relay for its outbox runs as well, and
           outbox and inbox rows are purged.
    links  what `/` shows besides the standard routes: path → sentence.
    """

    name: str
    settings: ServiceSettings
    clock: Clock = field(default_factory=SystemClock)
    db: Database | None = None
    routers: Sequence[APIRouter] = ()
    subscriptions: Sequence[Subscription] = ()
    workers: Sequence[Loop] = ()
    links: dict[str, str] = field(default_factory=dict)
