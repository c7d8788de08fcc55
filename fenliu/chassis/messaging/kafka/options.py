"""Where Kafka is, how long to wait for it, and what its absence is called."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, TypeVar

from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from fenliu.chassis.errors import Malformed, Transient

T = TypeVar("T")

LOST_REQUESTS = (KafkaError, TimeoutError, OSError, AssertionError)
"""What aiokafka raises when a broker is away; its assertions fail when metadata is empty after a reconnect."""


class KafkaUnavailable(Transient):
    """Kafka does not answer. Nothing is lost: what waits is published or read as soon as it does."""

    slug = "kafka-unavailable"


class RecordTooLarge(Malformed):
    """The event is larger than a record may be (950,000 bytes). Send less text."""

    slug = "record-too-large"


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Where Kafka is and how long to wait for it.

    bootstrap            host:port, comma separated.
    security_protocol    PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    ca_file              file with the brokers' certificate authority; empty takes the system's.
    replication          replication factor of topics created here; 3 in production.
    start_timeout_s      connecting a client, seconds.
    send_timeout_s       from handing a batch to the client until its acknowledgement, seconds.
    stop_timeout_s       closing a client, seconds.
    request_timeout_s    one request; above rebalance_timeout_s, because joining a group is one request.
    session_timeout_s    a consumer that is silent for so long loses its partitions.
    metadata_max_age_s   how long a client believes what it knows about brokers and topics.
    """

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ca_file: str = ""
    replication: int = 1
    start_timeout_s: float = 10.0
    send_timeout_s: float = 8.0
    stop_timeout_s: float = 4.0
    request_timeout_s: float = 15.0
    rebalance_timeout_s: float = 10.0
    session_timeout_s: float = 10.0
    heartbeat_s: float = 2.0
    metadata_max_age_s: float = 10.0

    def __post_init__(self) -> None:
        if self.request_timeout_s <= self.rebalance_timeout_s:
            raise ValueError("request_timeout_s must be above rebalance_timeout_s: joining a group is one request")

    def client(self) -> dict[str, Any]:
        """Arguments that every aiokafka client takes."""
        ssl: SSLContext | None = None
        if self.security_protocol in {"SSL", "SASL_SSL"}:
            ssl = create_ssl_context(cafile=self.ca_file or None)
        return {
            "bootstrap_servers": self.bootstrap,
            "metadata_max_age_ms": int(self.metadata_max_age_s * 1000),
            "security_protocol": self.security_protocol,
            "ssl_context": ssl,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
        }


async def within(work: Awaitable[T], timeout_s: float) -> T:
    """Result of `work`, or TimeoutError after `timeout_s`, whatever state a client is in.

    Not with wait_for: that awaits what it cancelled, and aiokafka can swallow the cancellation while its broker is
    away; a consumer then hung in its own replacement for ever.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if task.cancelled():  # by the client itself, which cancels what is under way when it closes a connection
            raise TimeoutError("Kafka's client gave the request up.")
        if task.done():
            return task.result()
        raise TimeoutError(f"Kafka's client did not answer within {timeout_s:g} s.")
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


async def bounded(work: Awaitable[T], timeout_s: float) -> T:
    """Await with a time-out; every sign of an absent broker becomes KafkaUnavailable."""
    try:
        return await within(work, timeout_s)
    except LOST_REQUESTS as error:
        raise KafkaUnavailable(
            f"Kafka did not do what was asked: {type(error).__name__}. It is asked again."
        ) from error


async def closed(closing: Awaitable[Any], timeout_s: float) -> None:
    """Close a client, whatever state it is in, and give it up after `timeout_s`."""
    with contextlib.suppress(Exception):
        await within(closing, timeout_s)
