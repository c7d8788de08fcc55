"""The loop: decode a poll, handle it in one transaction, commit, then commit the offsets.

Four outcomes, and no others: the handler returns (offset is staged); raises Malformed (dead letter); raises Transient
(the partition is paused, same records again after a backoff); raises anything else (a bug: a few tries, then a dead
letter and an alert). When a list fails, the loop halves it until the culprit stands alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from fenliu.chassis.db import Transaction
from fenliu.chassis.messaging.envelope import Outgoing, Received
from fenliu.contracts.topics import Topic

Handler = Callable[[Transaction, Sequence[Any]], Awaitable[None]]
"""`async def on_<event>(tx, events)`: new events only, in order per key, 1 to max_records of them, all of one type."""

Answerer = Callable[[Sequence[Received]], Awaitable[Sequence[Outgoing]]]
"""`async def on_<event>(received) -> outgoing` of a service without a database: everything returned is published and
acknowledged by the broker before the offsets are committed."""


@dataclass(frozen=True)
class Subscription:
    """One topic that a service consumes, in the group `<service>.<topic>`.

    handlers     by event type; types of the topic that are not named are skipped. Events of one key reach their
                 handlers in order, also across types.
    answer       instead of handlers, for a service without a database.
    inbox        False where every handler's writes are idempotent by construction (snapshot under `version <`).
    max_records  most records in one poll, and so in one transaction.
    """

    topic: Topic
    handlers: Mapping[type[Message], Handler] = field(default_factory=dict)
    answer: Answerer | None = None
    answers: tuple[type[Message], ...] = ()
    inbox: bool = True
    max_records: int = 500
