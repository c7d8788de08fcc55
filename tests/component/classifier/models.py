"""Model files for tests: the shipped weights under other names, and one that always says `other`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from services.classifier.domain.label import CATEGORIES
from services.classifier.model.directory import load
from services.classifier.model.weights import save_weights


def write_version(folder: Path, version: str, *, always: str = "", **header: Any) -> None:
    """Put the shipped model into `folder` as `version`. always: a category that it says of every text with content."""
    weights = load().weights
    bias = {label: values.copy() for label, values in weights.bias.items()}
    if always:
        bias["category"][:, CATEGORIES.index(always)] += 500
    changed = replace(weights, bias=bias, header={**weights.header, "model_version": version, **header})
    aside = folder / f".{version}"
    save_weights(changed, aside)
    for ending in (".npz", ".json"):
        (aside / f"{version}{ending}").replace(folder / f"{version}{ending}")
    shutil.rmtree(aside)
