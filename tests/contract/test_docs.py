"""Generated documents are those in the repository; what they are generated from is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fenliu.chassis.observability import CATALOGUE as METRICS
from fenliu.chassis.settings import describe
from fenliu.cli.home import SERVICES
from fenliu.cli.services import settings_class
from tools import docs
from tools.proto_comments import comments

ROOT = Path(__file__).resolve().parents[2]
UNITS = {
    *("total", "seconds", "bytes", "info", "state"),
    *("records", "events", "tickets", "requests", "streams", "contacts", "promises", "deliveries"),
    *("consumers", "desks", "people"),
}
"""Last words of metric names: what is counted, or the base unit."""


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    return docs.documents()


def test_docs_generated_equal_committed(documents: dict[str, str]) -> None:
    for path, text in documents.items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is stale: run make docs"


def test_docs_events_have_a_ready_line_each(documents: dict[str, str]) -> None:
    for event in docs.EVENT_TYPES:
        section = documents["docs/events.md"].split(f"## {event}\n")[1].split("\n## ")[0]
        assert "kcat -" in section
        assert "fenliu publish" in section


def test_proto_every_message_field_and_value_is_explained() -> None:
    assert [name for name, text in comments().items() if not text] == []


def test_metrics_are_named_by_the_rules(documents: dict[str, str]) -> None:
    for metric in METRICS.values():
        assert re.fullmatch(r"fenliu(_[a-z0-9]+)+", metric.name)
        assert metric.name.rsplit("_", 1)[-1] in UNITS or metric.kind == "histogram", metric.name
        assert not {"tenant", "tenant_id", "ticket_id", "agent_id", "customer_id"} & set(metric.labels), metric.name
        assert metric.sentence.endswith("."), metric.name
        assert metric.reaction, metric.name


@pytest.mark.parametrize("service", SERVICES)
def test_settings_every_field_is_explained(service: str) -> None:
    for row in describe(settings_class(service)):
        assert len(row["description"]) > 10, row["name"]


@pytest.mark.parametrize("service", SERVICES)
def test_openapi_every_operation_has_a_name_and_problems(service: str, documents: dict[str, str]) -> None:
    paths = docs.json.loads(documents[f"docs/openapi/{service}.json"])["paths"]
    assert paths
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["operationId"], f"{method} {path}"
            refused = [code for code in operation["responses"] if code >= "400"]
            assert refused, f"{method} {path}"
