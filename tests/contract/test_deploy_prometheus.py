"""Rules and dashboards: valid, tested, about metrics that exist, and every alert leads to a runbook."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fenliu.chassis.observability import CATALOGUE as METRICS
from fenliu.cli.home import PORT_OFFSETS, SERVICES
from tools.dashboards import dashboards

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
SUFFIXES = ("_bucket", "_count", "_sum")


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def declared() -> set[str]:
    """Names under which Prometheus finds the metrics of all services."""
    for name in SERVICES:
        importlib.import_module(f"services.{name}.main")
    return set(METRICS)


def promtool(*arguments: str | Path) -> str:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return f"{done.returncode} {done.stdout}{done.stderr}"


def unknown_metrics(expression: str, declared: set[str]) -> set[str]:
    """Names in an expression that no service declares."""
    found = set(re.findall(r"\bfenliu_[a-z0-9_]+", expression))
    return {name for name in found if name not in declared and not is_part(name, declared)}


def is_part(name: str, declared: set[str]) -> bool:
    return any(name.endswith(suffix) and name.removesuffix(suffix) in declared for suffix in SUFFIXES)


def test_rules_are_valid() -> None:
    assert promtool("check", "rules", *(PROMETHEUS / "rules").glob("*.yml")).startswith("0 ")


def test_rules_fire_and_stay_quiet_as_tested() -> None:
    assert promtool("test", "rules", *sorted((PROMETHEUS / "tests").glob("*.yml"))).startswith("0 ")


def test_rules_changed_threshold_fails_the_tests(tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path / "p")
    path = tmp_path / "p/rules/fenliu.yml"
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            "(fenliu_outbox_oldest_seconds) > 30", "(fenliu_outbox_oldest_seconds) > 3000"
        )
    )
    assert not promtool("test", "rules", tmp_path / "p/tests/fenliu.yml").startswith("0 ")


def test_rules_each_alert_is_tested_both_ways(rules: list[dict[str, Any]]) -> None:
    files = sorted((PROMETHEUS / "tests").glob("*.yml"))
    tests = [test for file in files for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in rules}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


def test_rules_each_alert_leads_to_a_runbook(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        name = rule["annotations"]["runbook_url"].removeprefix("https://fenliu.dev/runbooks/")
        text = (ROOT / f"docs/runbooks/{name}.md").read_text(encoding="utf-8")
        assert rule["alert"] in text, f"{name}.md does not name {rule['alert']}"
        for section in ("## Meaning", "## First look", "## Safe action", "## Verify"):
            assert section in text, f"{name}.md lacks {section}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_rules_use_only_declared_metrics(rules: list[dict[str, Any]], declared: set[str]) -> None:
    for rule in rules:
        assert unknown_metrics(rule["expr"], declared) == set(), rule["alert"]


def test_rules_unknown_metric_is_found(declared: set[str]) -> None:
    assert unknown_metrics("rate(fenliu_intake_contact_total[1m])", declared) == {"fenliu_intake_contact_total"}


def test_dashboards_generated_equal_committed() -> None:
    folder = ROOT / "deploy/grafana/dashboards"
    committed = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert committed == dashboards(), "run make docs"


def test_dashboards_use_only_declared_metrics(declared: set[str]) -> None:
    for text in dashboards().values():
        for panel in json.loads(text)["panels"]:
            assert unknown_metrics(panel["targets"][0]["expr"], declared) == set(), panel["title"]


def test_scrape_targets_are_the_compose_services() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert targets == {name: [f"{name}:{8000 + PORT_OFFSETS[name]}"] for name in SERVICES}
