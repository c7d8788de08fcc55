"""The catalogue of topics against the contracts, the generated code, and what the services really consume."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from fenliu.chassis.service import Service
from fenliu.cli.home import SERVICES
from fenliu.cli.services import build, settings_class
from fenliu.contracts.events import EVENT_TYPES, TOPIC_OF
from fenliu.contracts.topics import CATALOGUE, Topic
from fenliu.contracts.vocabulary import skills

ROOT = Path(__file__).resolve().parents[2]
TOPICS = list(CATALOGUE.values())


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Service]:
    folder = tmp_path_factory.mktemp("catalogue")
    keys = {"token_key": "t" * 32, "status_key": "s" * 32}
    built = {}
    for name in SERVICES:
        url = {} if name == "classifier" else {"database_url": f"sqlite+aiosqlite:///{folder / name}.db"}
        built[name] = build(name, settings_class(name).model_validate(keys | url))
    return built


def test_catalogue_generated_module_equals_the_source() -> None:
    source = yaml.safe_load((ROOT / "proto/topics.yaml").read_text(encoding="utf-8"))
    generated = {
        topic.name: {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(topic).items()
            if name != "name"
        }
        for topic in TOPICS
    }
    assert generated == source


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_catalogue_topic_is_complete(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*(-v\d+)?", topic.name)
    assert topic.dead_letter == f"{topic.name}-dlq"
    assert topic.partitions > 0
    assert topic.retention_h >= 24
    assert "protobuf" in topic.formats
    assert set(topic.producers) <= {*SERVICES, "outside"}
    assert set(topic.consumers) <= set(SERVICES)
    assert topic.consumers
    for event in topic.events:
        fields = EVENT_TYPES[event].DESCRIPTOR.fields_by_name
        assert {"tenant_id", topic.key} <= set(fields), f"{event} lacks its key or its tenant"


def test_catalogue_every_event_has_one_topic() -> None:
    named = [event for topic in TOPICS for event in topic.events]
    assert sorted(named) == sorted(EVENT_TYPES)
    assert set(TOPIC_OF) == set(EVENT_TYPES)


def test_catalogue_consumers_are_the_subscriptions_found_in_main(services: dict[str, Service]) -> None:
    subscribed = {(topic.topic.name, name) for name, service in services.items() for topic in service.subscriptions}
    assert subscribed == {(topic.name, consumer) for topic in TOPICS for consumer in topic.consumers}


def test_catalogue_handlers_take_only_events_of_their_topic(services: dict[str, Service]) -> None:
    for name, service in services.items():
        for subscription in service.subscriptions:
            taken = {event.DESCRIPTOR.name for event in (*subscription.handlers, *subscription.answers)}
            assert taken <= set(subscription.topic.events), name
            assert subscription.handlers or subscription.answer, name


def test_skills_each_has_words_and_a_fallback() -> None:
    for skill in skills().values():
        assert skill.label_en
        assert skill.label_zh
        assert skill.fallback
