"""Train the artifact, or measure a model on sources that it has not seen.

    python -m services.classifier.model.train                 writes model/artifact/<version>.npz and its header
    python -m services.classifier.model.train evaluate        leave-one-source-out figures, printed as tables

Needs the extra `train` (scikit-learn, scipy). The result depends on the corpus alone: same files, same weights.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression

from services.classifier.domain.label import LABELS
from services.classifier.domain.text import is_nothing_to_act_on
from services.classifier.model.corpus import Example, data_version, load_corpus
from services.classifier.model.feature import COLUMNS
from services.classifier.model.predict import COSTS_FILE, TONE_LABELS, Reading, read
from services.classifier.model.weights import ARTIFACTS, Weights, save_weights

STRENGTH = {"category": 12.0, "tier": 8.0, "complexity": 8.0, "sentiment": 4.0}
"""Inverse of the L2 penalty, per label; chosen on leave-one-pass-out figures."""

SHARPNESS = {"category": 0.9, "tier": 0.7, "complexity": 0.65, "sentiment": 1.0}
"""Factor on the logits, chosen by `evaluate` on passes that were not trained on."""

FEWEST_TEXTS = 2
"""A feature that fewer texts of the corpus show is left out: it says little, and no single text is remembered."""

_NEVER = -20.0
"""Bias of a slug that no example carries."""

SMALLEST = 0.004
"""Weights nearer to zero than this are dropped from the artifact; the labels of the corpus do not change."""


def train(examples: Sequence[Example], *, version: str, sharpness: Mapping[str, float] = SHARPNESS) -> Weights:
    """Fit one multinomial logistic regression per label. Deterministic: no shuffling, no random start."""
    reading = read([example.text for example in examples])
    hashed, signs, bias = {}, {}, {}
    for label in LABELS:
        hashed[label], signs[label], bias[label] = _fit(examples, reading, label)
    return Weights(hashed, signs, bias, dict(sharpness), {"model_version": version})


def _fit(examples: Sequence[Example], reading: Reading, label: str) -> tuple[NDArray[np.float32], ...]:
    slugs = LABELS[label]
    # Texts that the rule settles never reach the weights; left in, they make every text without a known word unclear.
    rows = np.array(
        [
            row
            for row, example in enumerate(examples)
            if label in example.labels and (label in TONE_LABELS or not is_nothing_to_act_on(reading.cores[row]))
        ]
    )
    truth = np.array([slugs.index(examples[row].labels[label]) for row in rows])
    weight = np.array([examples[row].weight for row in rows])
    everything = matrix(reading, label)[rows]
    used = np.flatnonzero(np.bincount(everything.indices, minlength=everything.shape[1]) >= FEWEST_TEXTS)
    fitted = LogisticRegression(C=STRENGTH[label], max_iter=100, tol=2e-3)
    fitted.fit(everything[:, used], truth, sample_weight=weight)

    coefficients = np.zeros((everything.shape[1], len(slugs)), dtype=np.float32)
    coefficients[np.ix_(used, fitted.classes_)] = fitted.coef_.T
    bias = np.full(len(slugs), _NEVER, dtype=np.float32)
    bias[fitted.classes_] = fitted.intercept_
    grams = coefficients[:COLUMNS]
    return np.where(np.abs(grams) < SMALLEST, 0, grams), coefficients[COLUMNS:], bias


def matrix(reading: Reading, label: str) -> csr_matrix:
    """texts x (COLUMNS + SIGN_COLUMNS), exactly what serving multiplies with the weights."""
    features = reading.features(label)
    scale = np.repeat(1 / np.sqrt(features.counts()), features.counts()).astype(np.float32)
    grams = csr_matrix((scale, features.column, features.offsets), shape=(len(reading.texts), COLUMNS))
    grams.sum_duplicates()
    return csr_matrix(hstack([grams, csr_matrix(reading.sign_matrix(label))], format="csr"))


def main(arguments: Sequence[str]) -> int:
    """Entry point; returns the exit code."""
    if arguments[:1] == ["evaluate"]:
        from services.classifier.model.evaluate import leave_one_source_out, report

        answered = leave_one_source_out(load_corpus(), arguments[1:], _tell)
        sys.stdout.write(report(answered))
        return 0
    version = arguments[0] if arguments else _next_version(ARTIFACTS)
    examples = load_corpus()
    weights = train(examples, version=version)
    header = {
        "model_version": version,
        "data_version": data_version(),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "examples": len(examples),
        "sources": {name: count for name, count in _counted(example.source for example in examples)},
        "strength": STRENGTH,
        "costs": COSTS_FILE.name,
    }
    path = save_weights(Weights(weights.hashed, weights.signs, weights.bias, weights.sharpness, header), ARTIFACTS)
    sys.stdout.write(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {len(examples)} examples\n")
    return 0


def _tell(source: str) -> None:
    sys.stderr.write(f"{source}\n")


def _next_version(directory: Path) -> str:
    today = datetime.now(UTC).date().isoformat()
    taken = {path.stem for path in directory.glob(f"{today}.*.npz")}
    return next(f"{today}.{number}" for number in range(1, 1000) if f"{today}.{number}" not in taken)


def _counted(sources: Iterable[str]) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for source in sources:
        totals[source] = totals.get(source, 0) + 1
    return sorted(totals.items())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
