"""The artifact: one .npz of arrays (never pickles) and a JSON header with versions, thresholds and figures."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fenliu.chassis.errors import Malformed
from services.classifier.domain.label import HEADS
from services.classifier.domain.sign import SIGNS
from services.classifier.domain.topic import TOPICS
from services.classifier.model.feature import COLUMNS

ARTIFACTS = Path(__file__).parent / "artifact"
"""Where the committed artifact and current.json lie."""

FORMAT = 3

SIGN_NAMES = [*(sign.name for sign in SIGNS), *(name for name, _ in TOPICS)]
"""What the rows of `signs` stand for; an artifact made with other rules is refused."""


class UnusableArtifact(Malformed):
    """The model file does not belong to this version of the classifier. Train it again, or name another one."""

    slug = "unusable-model"


@dataclass(frozen=True)
class Weights:
    """What the model learned. Arrays are float32.

    hashed     head (label or intent) → COLUMNS x slugs.
    signs      label → (signs + topics) x slugs.
    bias       label → scripts x slugs. Script 0: texts with Han characters, 1: all others (`Reading.scripts`).
    sharpness  label → one number per script that logits are multiplied with. Bias and sharpness make probabilities
               match frequencies on texts of a source that was not trained on.
    header     what current.json's file says beside: model_version, data_version, trained_on, figures, …
    """

    hashed: Mapping[str, NDArray[np.float32]]
    signs: Mapping[str, NDArray[np.float32]]
    bias: Mapping[str, NDArray[np.float32]]
    sharpness: Mapping[str, tuple[float, float]]
    header: Mapping[str, Any]

    @property
    def version(self) -> str:
        """Model version, such as 2026-11-21.1."""
        return str(self.header["model_version"])


def save_weights(weights: Weights, directory: Path) -> Path:
    """Write `<version>.npz` and `<version>.json`; `directory.promote` makes them current. Returns the .npz.

    Only rows with weights are kept, as float16: 10 times smaller, and the labels stay the same (tested).
    """
    arrays: dict[str, NDArray[Any]] = {}
    for label in HEADS:
        rows = np.flatnonzero(np.abs(weights.hashed[label]).max(axis=1) > 0).astype(np.uint32)
        arrays[f"{label}.rows"] = rows
        arrays[f"{label}.hashed"] = weights.hashed[label][rows].astype(np.float16)
        arrays[f"{label}.signs"] = weights.signs[label].astype(np.float32)
        arrays[f"{label}.bias"] = weights.bias[label].astype(np.float32)
    directory.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    target = directory / f"{weights.version}.npz"
    target.write_bytes(content.getvalue())
    header = {
        **weights.header,
        "format": FORMAT,
        "columns": COLUMNS,
        "labels": {label: list(slugs) for label, slugs in HEADS.items()},
        "signs": SIGN_NAMES,
        "sharpness": {label: list(factors) for label, factors in weights.sharpness.items()},
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
    }
    _write_json(directory / f"{weights.version}.json", header)
    return target


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".json.part")
    temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def load_weights(directory: Path, version: str) -> Weights:
    """Read the two files of a version; `directory.load` is for who wants the current one, or checks a name.

    Raises UnusableArtifact where a file is missing, damaged, or was made for other labels, signs or features.
    """
    try:
        header = json.loads((directory / f"{version}.json").read_text(encoding="utf-8"))
        content = (directory / f"{version}.npz").read_bytes()
    except (OSError, ValueError) as error:
        raise UnusableArtifact(f"The classifier's model cannot be read from {directory.name}: {error}") from error
    _check(header, content)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        hashed = {}
        for label, slugs in HEADS.items():
            hashed[label] = np.zeros((COLUMNS, len(slugs)), dtype=np.float32)
            hashed[label][arrays[f"{label}.rows"]] = arrays[f"{label}.hashed"]
        return Weights(
            hashed=hashed,
            signs={label: arrays[f"{label}.signs"] for label in HEADS},
            bias={label: arrays[f"{label}.bias"] for label in HEADS},
            sharpness={label: tuple(factors) for label, factors in header["sharpness"].items()},
            header=header,
        )


def _check(header: Mapping[str, Any], content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != header.get("sha256"):
        raise UnusableArtifact("The model's file does not have the checksum that its header names.")
    expected = (FORMAT, COLUMNS, {label: list(slugs) for label, slugs in HEADS.items()}, SIGN_NAMES)
    found = tuple(header.get(name) for name in ("format", "columns", "labels", "signs"))
    if found != expected:
        raise UnusableArtifact("The model was made for other labels, signs or features than this classifier has.")
