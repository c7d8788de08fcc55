"""The embedded broker is ours to maintain, so it stays small (docs/adr/0004)."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "fenliu/chassis/messaging/embedded"
MOST_LINES = 800


def test_embedded_broker_stays_small() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in FOLDER.glob("*.py")}
    assert lines, "the broker has moved"
    assert sum(lines.values()) <= MOST_LINES, lines
