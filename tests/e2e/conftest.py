"""Stacks of real processes: one for a whole run of tests that only use it, one of its own for a test that breaks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.backends import ApacheKafka, Postgres
from tests.stack import SERVICES, Stack

DATABASES = ("intake", "router", "notifier")
TEST_ENV = {
    "router": {"FENLIU_ROUTER_PRESENCE_TIMEOUT_S": "86400"},
    "notifier": {"FENLIU_NOTIFIER_WEBHOOK_ALLOW_LOOPBACK": "true", "FENLIU_NOTIFIER_STREAM_HEARTBEAT_S": "2"},
}


def stack_on(home: Path, kafka: str, postgres: Postgres) -> Stack:
    """A stack with databases of its own."""
    run = uuid4().hex[:8]
    names = {service: f"{service}_{run}" for service in DATABASES}
    for name in names.values():
        postgres.create_database(name)
    return Stack(home, kafka, {service: postgres.url(name) for service, name in names.items()}, TEST_ENV)


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Stack]:
    """Running on PostgreSQL and a Kafka of its own, because other tests write to the catalogue's topics, too."""
    with ApacheKafka() as kafka:
        stack = stack_on(tmp_path_factory.mktemp("stack"), kafka.bootstrap, postgres)
        stack.migrate()
        stack.start()
        yield stack
        stack.close()


@pytest.fixture
async def stack(shared_stack: Stack) -> Stack:
    """The shared stack, whole and ready; tests tell themselves apart by tenant."""
    for service in SERVICES:
        if service not in shared_stack.processes or shared_stack.processes[service].poll() is not None:
            shared_stack.start(service)
    await shared_stack.ready()
    return shared_stack


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[ApacheKafka]:
    """A broker that the test may stop, kill or empty."""
    with ApacheKafka() as kafka:
        yield kafka


@pytest.fixture
async def own_stack(tmp_path: Path, own_kafka: ApacheKafka, postgres: Postgres) -> AsyncIterator[Stack]:
    """Running on a broker and databases that no other test uses."""
    stack = stack_on(tmp_path, own_kafka.bootstrap, postgres)
    stack.migrate()
    stack.start()
    try:
        await stack.ready()
        yield stack
    finally:
        stack.close()
