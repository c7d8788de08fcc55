"""Prometheus for `fenliu up`: the shipped rules, with the embedded stack's ports as targets."""

from __future__ import annotations

from pathlib import Path

import yaml

from fenliu.cli.home import SERVICES, Home

RULES = Path(__file__).resolve().parent.parent.parent / "deploy" / "prometheus" / "rules"
"""Of a checkout; an installed wheel has none, and Prometheus then only collects."""


def prometheus_config(home: Home) -> list[str]:
    """Write the configuration into the home; returns the arguments of the prometheus binary."""
    folder = home.path / "prometheus"
    folder.mkdir(exist_ok=True)
    jobs = [{"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{home.port(name)}"]}]} for name in SERVICES]
    config = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [f"{RULES}/*.yml"],
        "scrape_configs": jobs,
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return [
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=7d",
        f"--web.listen-address=127.0.0.1:{home.port('prometheus')}",
    ]
