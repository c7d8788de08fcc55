"""Writes deploy/grafana/dashboards/*.json from the table below. Run by `make docs`; a test compares and checks that
every metric in an expression is declared by some service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards"

Panel = tuple[str, str, str, str]
"""Title, unit, legend, expression."""

RATE = "$__rate_interval"


def p99(histogram: str, by: str) -> str:
    """The 99th percentile of a histogram, by one label."""
    return f"histogram_quantile(0.99, sum by (le, {by}) (rate({histogram}_bucket[{RATE}])))"


DASHBOARDS: dict[str, tuple[str, list[Panel]]] = {
    "tickets": (
        "Fenliu: tickets",
        [
            (
                "Contacts accepted",
                "reqps",
                "{{outcome}}",
                f"sum by (outcome) (rate(fenliu_intake_contacts_total[{RATE}]))",
            ),
            ("Assigned", "ops", "{{mode}}", f"sum by (mode) (rate(fenliu_router_assigned_total[{RATE}]))"),
            ("Open tickets by state", "short", "{{state}}", "max by (state) (fenliu_router_open_tickets)"),
            (
                "Waiting for an agent",
                "short",
                "{{tier}}",
                "sum by (tier) (max by (queue, tier) (fenliu_router_waiting_tickets))",
            ),
            ("Oldest waiting", "s", "{{tier}}", "max by (tier) (fenliu_router_oldest_waiting_seconds)"),
            (
                "Received to first agent, p99",
                "s",
                "{{tier}}",
                p99("fenliu_router_time_to_assign_seconds", "tier"),
            ),
            (
                "Service levels missed",
                "short",
                "{{tier}} {{clock}}",
                "sum by (tier, clock) (increase(fenliu_router_breaches_total[1h])) or vector(0)",
            ),
            (
                "Agents' places and load",
                "short",
                "places",
                'sum(max by (presence) (fenliu_router_agents_capacity_tickets{presence="online"}))',
            ),
        ],
    ),
    "pipeline": (
        "Fenliu: pipeline",
        [
            ("Services answering", "short", "{{job}}", 'up{job=~"intake|classifier|router|notifier"}'),
            (
                "Requests",
                "reqps",
                "{{job}} {{status}}",
                f"sum by (job, status) (rate(fenliu_http_request_seconds_count[{RATE}]))",
            ),
            (
                "Request time, p99",
                "s",
                "{{job}}",
                p99("fenliu_http_request_seconds", "job"),
            ),
            ("Consumer lag", "short", "{{job}} {{topic}}", "sum by (job, topic) (fenliu_consumer_lag_records)"),
            ("Consumer lag", "s", "{{job}} {{topic}}", "max by (job, topic) (fenliu_consumer_lag_seconds)"),
            (
                "Records handled",
                "ops",
                "{{job}} {{topic}} {{outcome}}",
                f"sum by (job, topic, outcome) (rate(fenliu_consumer_records_total[{RATE}]))",
            ),
            ("Events waiting to be published", "short", "{{job}}", "max by (job) (fenliu_outbox_pending_events)"),
            ("Oldest event waiting to be published", "s", "{{job}}", "max by (job) (fenliu_outbox_oldest_seconds)"),
            ("Pending webhooks", "short", "pending", "max(fenliu_notifier_pending_deliveries)"),
            ("Event loop lateness", "s", "{{job}}", "max by (job) (fenliu_loop_lag_seconds)"),
            ("Clock skew against the database", "s", "{{job}}", "max by (job) (fenliu_clock_skew_seconds)"),
            ("Processor time", "percentunit", "{{job}}", f"sum by (job) (rate(process_cpu_seconds_total[{RATE}]))"),
        ],
    ),
    "classifier": (
        "Fenliu: classifier",
        [
            (
                "Texts by category",
                "ops",
                "{{category}}",
                f"sum by (category) (rate(fenliu_classifier_texts_total[{RATE}]))",
            ),
            (
                "Texts by language",
                "ops",
                "{{language}}",
                f"sum by (language) (rate(fenliu_classifier_texts_total[{RATE}]))",
            ),
            (
                "Texts by complexity",
                "ops",
                "{{complexity}}",
                f"sum by (complexity) (rate(fenliu_classifier_work_total[{RATE}]))",
            ),
            ("Texts by tier", "ops", "{{tier}}", f"sum by (tier) (rate(fenliu_classifier_work_total[{RATE}]))"),
            (
                "Confidence: share of texts at or below",
                "percentunit",
                "{{le}}",
                "sum by (le) (rate(fenliu_classifier_confidence_ratio_bucket[1h])) / ignoring(le) group_left "
                "sum(rate(fenliu_classifier_confidence_ratio_count[1h]))",
            ),
            (
                "Not certain (needs_review)",
                "percentunit",
                "share of the last hour",
                'sum(increase(fenliu_classifier_reviews_total{origin=~"ticket|message"}[1h])) '
                '/ sum(increase(fenliu_classifier_texts_total{origin=~"ticket|message"}[1h]))',
            ),
            ("Queued for triage", "short", "{{reason}}", "sum by (reason) (increase(fenliu_router_triaged_total[1h]))"),
            (
                "Corrected by people",
                "short",
                "{{label}}: {{before}} → {{after}}",
                "topk(10, sum by (label, before, after) (increase(fenliu_router_corrections_total[6h])))",
            ),
            (
                "Model calls, p99",
                "s",
                "{{instance}}",
                p99("fenliu_classifier_batch_seconds", "instance"),
            ),
            (
                "Model refused",
                "short",
                "{{instance}}",
                "max by (instance) (fenliu_classifier_model_refused_state)",
            ),
        ],
    ),
}


def dashboards() -> dict[str, str]:
    """File name → JSON."""
    return {f"{name}.json": dashboard(name, title, panels) for name, (title, panels) in DASHBOARDS.items()}


def dashboard(name: str, title: str, panels: list[Panel]) -> str:
    shown = {
        "uid": f"fenliu-{name}",
        "title": title,
        "tags": ["fenliu"],
        "schemaVersion": 39,
        "time": {"from": "now-30m", "to": "now"},
        "refresh": "10s",
        "links": [{"type": "dashboards", "tags": ["fenliu"], "title": "Fenliu"}],
        "panels": [panel(number, *values) for number, values in enumerate(panels)],
    }
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


def panel(number: int, title: str, unit: str, legend: str, expression: str) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"x": number % 2 * 12, "y": number // 2 * 8, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": None if "skew" in title else 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": expression, "legendFormat": legend}],
    }


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
