"""Stacks of real processes: one for a whole run of tests that only use it, one of its own for a test that breaks it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.backends import ApacheKafka, Postgres
from tests.conftest import RUN
from tests.stack import SERVICES, Stack

DATABASES = ("intake", "router", "notifier")
TEST_ENV = {
    "router": {"FENLIU_ROUTER_PRESENCE_TIMEOUT_S": "86400"},
    "notifier": {"FENLIU_NOTIFIER_WEBHOOK_ALLOW_LOOPBACK": "true", "FENLIU_NOTIFIER_STREAM_HEARTBEAT_S": "2"},
}


MakeStack = Callable[[Path, str], Stack]


@pytest.fixture(scope="session")
def make_stack(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> MakeStack:
    """Makes stacks that have databases of their own: copies of some that `fenliu db upgrade` has made."""

    def databases() -> dict[str, str]:
        run = uuid4().hex[:8]
        return {service: f"{service}_{run}" for service in DATABASES}

    def stack_on(home: Path, kafka: str, names: dict[str, str]) -> Stack:
        return Stack(home, kafka, {service: postgres.url(name) for service, name in names.items()}, TEST_ENV)

    templates = databases()
    for name in templates.values():
        postgres.create_database(name)
    stack_on(tmp_path_factory.mktemp("templates"), "", templates).migrate()

    def make(home: Path, kafka: str) -> Stack:
        names = databases()
        for service, name in names.items():
            postgres.create_database(name, templates[service])
        return stack_on(home, kafka, names)

    return make


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, make_stack: MakeStack) -> Iterator[Stack]:
    """Running on PostgreSQL and a Kafka of its own, because other tests write to the catalogue's topics, too."""
    (Path(os.environ[RUN]) / "stack").touch(exist_ok=False)  # a second one means that the tests' group is not kept
    with ApacheKafka() as kafka:
        stack = make_stack(tmp_path_factory.mktemp("stack"), kafka.bootstrap)
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
async def own_stack(tmp_path: Path, own_kafka: ApacheKafka, make_stack: MakeStack) -> AsyncIterator[Stack]:
    """Running on a broker and databases that no other test uses."""
    stack = make_stack(tmp_path, own_kafka.bootstrap)
    stack.start()
    try:
        await stack.ready()
        yield stack
    finally:
        stack.close()
