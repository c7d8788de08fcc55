"""`fenliu classifier evaluate` prints the table for any labelled file, and says which line it cannot use."""

import json
from pathlib import Path

from typer.testing import CliRunner

from fenliu.cli.main import app

runner = CliRunner()


def test_classifier_evaluate_prints_figures_with_intervals(tmp_path: Path) -> None:
    rows = [{"text": "怎么开发票", "category": "invoice", "tier": "standard", "complexity": "simple"}] * 3
    file = tmp_path / "labelled.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    done = runner.invoke(app, ["classifier", "evaluate", str(file)])
    assert done.exit_code == 0, done.output
    assert "| category right | 100.0% (43.8%–100.0%, n 3) |" in done.output


def test_classifier_evaluate_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "labelled.jsonl"
    file.write_text('{"text": "a", "tier": "soon"}\n', encoding="utf-8")
    done = runner.invoke(app, ["classifier", "evaluate", str(file)])
    assert done.exit_code == 1
    assert "Line 1: tier 'soon' is none of urgent" in done.output


def test_classifier_evaluate_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = runner.invoke(app, ["classifier", "evaluate", str(tmp_path / "nowhere.jsonl")])
    assert done.exit_code == 1
    assert "nowhere.jsonl cannot be read" in done.output
