"""Figures of a long run, a file for each part: a run that was stopped goes on where it was, and counts what it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.machine import write_result

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("fenliu/chassis", "fenliu/contracts", "services/router", "tests/component/router")


class Ledger:
    """Parts done with exactly these sources; others start anew."""

    def __init__(self) -> None:
        digest = sha256()
        for path in sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
        self.folder = ROOT / ".fenliu" / "soak" / f"router-simulation-{digest.hexdigest()[:12]}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def has(self, part: str) -> bool:
        """True where this part was done before."""
        return (self.folder / f"{part}.json").exists()

    def note(self, part: str, figures: Mapping[str, Any]) -> Path:
        """Keep the figures of a part, and store the sums over all parts so far; returns the file of the sums."""
        (self.folder / f"{part}.json").write_text(json.dumps(figures), encoding="utf-8")
        total: dict[str, Any] = {"violations": 0, "planted_bugs_found_at_seed": {}}  # a violation stops its part
        for path in sorted(self.folder.glob("*.json")):
            kept = json.loads(path.read_text(encoding="utf-8"))
            total["planted_bugs_found_at_seed"] |= kept.pop("found", {})
            for name, figure in kept.items():
                total[name] = round(total.get(name, 0) + figure, 1)
        return write_result("router-simulation", total)
