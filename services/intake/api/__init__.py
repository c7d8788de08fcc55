"""Intake's HTTP surface: tickets, what is written and asked for on them, feedback, orders and parcels."""

from __future__ import annotations

from fastapi import APIRouter

from fenliu.chassis.clock import Clock
from fenliu.chassis.db import Database
from services.intake.api import conversation, feedback, orders, reply, tickets
from services.intake.api.tickets import Receiver
from services.intake.api.views import StatusLinks


def routes(db: Database, receiver: Receiver, links: StatusLinks, clock: Clock) -> list[APIRouter]:
    """All routes. receiver: commits contacts; links: makes and reads status links."""
    return [
        reply.routes(db, links, clock),
        tickets.routes(db, receiver, links),
        conversation.routes(db),
        feedback.routes(db),
        orders.routes(db),
    ]
