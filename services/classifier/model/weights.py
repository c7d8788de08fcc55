"""The artifact: one .npz of arrays (never pickles) and a JSON header with versions, thresholds and figures."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fenliu.chassis.errors import Malformed
from services.classifier.domain.label import HEADS, READ_FROM
from services.classifier.domain.sign import SIGNS
from services.classifier.domain.topic import TOPICS
from services.classifier.model.feature import COLUMNS

ARTIFACTS = Path(__file__).parent / "artifact"
"""Where the committed artifact and current.json lie."""

FORMAT = 4

UNIT = 0.001
"""Weights of n-grams are whole multiples of this in 16 bits: half the memory, and sums of whole numbers do
not depend on their order. Of 12,571 texts two get another label than with 32 bits (docs/classifier-experiments.md)."""

SIGN_NAMES = [*(sign.name for sign in SIGNS), *(name for name, _ in TOPICS)]
"""What the rows of `signs` stand for; an artifact made with other rules is refused."""


class UnusableArtifact(Malformed):
    """The model file does not belong to this version of the classifier. Train it again, or name another one."""

    slug = "unusable-model"


def _places() -> dict[str, tuple[str, slice]]:
    found: dict[str, tuple[str, slice]] = {}
    for form, heads in READ_FROM.items():
        ends = accumulate(len(HEADS[head]) for head in heads)
        found |= {head: (form, slice(end - len(HEADS[head]), end)) for head, end in zip(heads, ends, strict=True)}
    return found


PLACES = _places()
"""Head → the form of a text that it is read from, and its columns among those of the form."""


def empty_grams() -> dict[str, NDArray[np.int16]]:
    """`Weights.hashed` without any weight."""
    return {form: np.zeros((COLUMNS, sum(len(HEADS[h]) for h in heads)), np.int16) for form, heads in READ_FROM.items()}


@dataclass(frozen=True)
class Weights:
    """What the model learned. Arrays are float32 but for `hashed`.

    hashed     form of a text → COLUMNS x slugs of all heads that are READ_FROM it, side by side, in UNITs: one look
               at the memory finds what a feature says of all of them.
    signs      label → (signs + topics) x slugs.
    bias       label → scripts x slugs. Script 0: texts with Han characters, 1: all others (`Reading.scripts`).
    sharpness  label → one number per script that logits are multiplied with. Bias and sharpness make probabilities
               match frequencies on texts of a source that was not trained on.
    header     what current.json's file says beside: model_version, data_version, trained_on, figures, …
    """

    hashed: Mapping[str, NDArray[np.int16]]
    signs: Mapping[str, NDArray[np.float32]]
    bias: Mapping[str, NDArray[np.float32]]
    sharpness: Mapping[str, tuple[float, float]]
    header: Mapping[str, Any]

    def grams(self, head: str) -> NDArray[np.int16]:
        """COLUMNS x slugs of one head, in UNITs."""
        form, columns = PLACES[head]
        return self.hashed[form][:, columns]

    @property
    def version(self) -> str:
        """Model version, such as 2026-11-21.1."""
        return str(self.header["model_version"])


def save_weights(weights: Weights, directory: Path) -> Path:
    """Write `<version>.npz` and `<version>.json`; `directory.promote` makes them current. Returns the .npz.

    Only rows with weights are kept.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for label in HEADS:
        rows = np.flatnonzero(weights.grams(label).any(axis=1)).astype(np.uint32)
        arrays[f"{label}.rows"] = rows
        arrays[f"{label}.hashed"] = weights.grams(label)[rows]
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
        hashed = empty_grams()
        for label in HEADS:
            form, columns = PLACES[label]
            hashed[form][arrays[f"{label}.rows"], columns] = arrays[f"{label}.hashed"]
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
