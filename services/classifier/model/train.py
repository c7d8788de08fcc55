"""Train the artifact, or measure a model on sources that it has not seen.

    python -m services.classifier.model.train                 writes model/artifact/<version>.npz and its header
    python -m services.classifier.model.train evaluate        leave-one-source-out figures, printed as tables

Needs the extra `train` (scikit-learn, scipy). The result depends on the corpus alone: same files, same weights.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from services.classifier.domain.label import HEADS
from services.classifier.model.calibrate import calibrated, counted, split, usable
from services.classifier.model.corpus import Example, data_version, load_corpus
from services.classifier.model.directory import WorseModel, promote
from services.classifier.model.feature import COLUMNS, PARTS
from services.classifier.model.figures import Judged, key_figures
from services.classifier.model.predict import COSTS_FILE, SIGN_COLUMNS, SIGN_SCALE, Reading, read
from services.classifier.model.weights import ARTIFACTS, PLACES, UNIT, Weights, empty_grams, save_weights

STRENGTH = {"category": 20.0, "tier": 8.0, "complexity": 8.0, "sentiment": 4.0, "intent": 12.0}
"""Inverse of the L2 penalty, per label; chosen on leave-one-pass-out figures."""


FEWEST_TEXTS = 2
"""A feature that fewer texts of the corpus show is left out: it says little, and no single text is remembered."""

TOGETHER = ("tier", "complexity")
"""Labels whose signs are learned from both scripts at once: they speak of the same work in any language, and English
has too few texts to learn them alone. N-grams stay apart."""

MOST_ROUNDS = 400
"""Steps of the solver, which ends by itself before that. Stopped after 80, English loses two points of the category."""

MOST_UNITS = np.iinfo(np.int16).max
"""A weight beyond 32.767 is cut: it decides alone anyway. What the corpus teaches stays below 25."""

_NEVER = -20.0
"""Bias of a slug that no example carries."""

SMALLEST = 0.004
"""Weights nearer to zero than this are dropped from the artifact; the labels of the corpus do not change."""


def train(examples: Sequence[Example], *, version: str, heads: Collection[str] = tuple(HEADS)) -> Weights:
    """Fit one multinomial logistic regression per label. Deterministic: no shuffling, no random start.

    Its probabilities are not calibrated yet: `calibrated` does that with a source that is not among `examples`.
    heads: what to fit; all others always say their first slug. The intent takes half of the time.
    """
    reading = read([example.text for example in examples])
    fitted = {label: _fit(examples if label in heads else (), reading, label) for label in HEADS}
    hashed = empty_grams()
    for label, (form, columns) in PLACES.items():
        hashed[form][:, columns] = np.clip(np.rint(fitted[label][0] / UNIT), -MOST_UNITS, MOST_UNITS)
    return Weights(
        hashed,
        {label: found[1] for label, found in fitted.items()},
        {label: found[2] for label, found in fitted.items()},
        dict.fromkeys(HEADS, (1.0, 1.0)),
        {"model_version": version},
    )


def _fit(examples: Sequence[Example], reading: Reading, label: str) -> tuple[NDArray[np.float32], ...]:
    """Weights of n-grams and of signs, and biases, of one label. Scripts share no n-gram, signs only in TOGETHER."""
    slugs = HEADS[label]
    coefficients = np.zeros((COLUMNS + SIGN_COLUMNS, len(slugs)), dtype=np.float32)
    # a script without this label: every text gets its first slug
    bias = np.tile(np.where(np.arange(len(slugs)), _NEVER, 0).astype(np.float32), (PARTS, 1))
    rows, slug_of = usable(examples, reading, label)
    everything = _with_folded_signs(matrix(reading, label)) if len(rows) else None
    half = SIGN_COLUMNS // PARTS
    for scripts in [tuple(range(PARTS))] if label in TOGETHER else [(script,) for script in range(PARTS)]:
        of_script = np.isin(reading.scripts[rows], scripts)
        ours, truth = rows[of_script], slug_of[of_script]
        if everything is None or len(set(truth.tolist())) < 2:
            continue
        weight = np.array([examples[row].weight for row in ours])
        classes, slopes, starts = _regression(everything[ours], truth, weight, STRENGTH[label])
        coefficients[:COLUMNS, classes] += slopes[:COLUMNS]
        for script in scripts:
            coefficients[COLUMNS + script * half : COLUMNS + (script + 1) * half, classes] = slopes[COLUMNS:]
            bias[script] = _NEVER
            bias[script, classes] = starts
    grams = coefficients[:COLUMNS]
    return np.where(np.abs(grams) < SMALLEST, 0, grams), coefficients[COLUMNS:], bias


def _regression(
    features: csr_matrix, truth: NDArray[np.int64], weight: NDArray[np.float64], strength: float
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Slugs that occur, features x these slugs, and their biases."""
    used = np.flatnonzero(np.bincount(features.indices, minlength=features.shape[1]) >= FEWEST_TEXTS)
    fitted = LogisticRegression(C=strength, max_iter=MOST_ROUNDS, tol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # MOST_ROUNDS is where it shall stop
        fitted.fit(features[:, used], truth, sample_weight=weight)
    slopes, starts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # scikit-learn keeps the second one's column alone
        slopes, starts = np.vstack([-slopes, slopes]) / 2, np.append(-starts, starts) / 2
    found = np.zeros((features.shape[1], len(fitted.classes_)), dtype=np.float32)
    found[used] = slopes.T
    return fitted.classes_, found, starts.astype(np.float32)


def _with_folded_signs(everything: csr_matrix) -> csr_matrix:
    """`matrix` with the signs of all scripts in the same columns."""
    half = SIGN_COLUMNS // PARTS
    parts = [everything[:, COLUMNS + part * half : COLUMNS + (part + 1) * half] for part in range(PARTS)]
    return csr_matrix(hstack([everything[:, :COLUMNS], sum(parts[1:], parts[0])], format="csr"))


def matrix(reading: Reading, label: str) -> csr_matrix:
    """texts x (COLUMNS + SIGN_COLUMNS), exactly what serving multiplies with the weights."""
    form, _ = PLACES[label]
    features = reading.features(form)
    scale = np.repeat(1 / np.sqrt(features.counts()), features.counts()).astype(np.float32)
    grams = csr_matrix((scale, features.column, features.offsets), shape=(len(reading.texts), COLUMNS))
    grams.sum_duplicates()
    signs = reading.marks(form) * np.float32(SIGN_SCALE[label])
    return csr_matrix(hstack([grams, csr_matrix(signs)], format="csr"))


def main(arguments: Sequence[str]) -> int:
    """Entry point; returns the exit code."""
    if arguments[:1] == ["evaluate"]:
        from services.classifier.model.evaluate import leave_one_source_out, report

        sys.stdout.write(report(leave_one_source_out(load_corpus(), arguments[1:], _tell)))
        return 0
    made = train_version(ARTIFACTS, arguments[0] if arguments else "")
    sys.stdout.write(made.words() + "\n")
    return 1 if made.refused else 0


@dataclass(frozen=True)
class Made:
    """A version that was trained and written.

    refused  why it is not current: how it is worse than the version that is; "" where it became current.
    """

    path: Path
    figures: Mapping[str, float]
    refused: str

    def words(self) -> str:
        """What was made, for a person."""
        lines = [f"{self.path.stem}: {self.path.stat().st_size / 1e6:.1f} MB"]
        lines += [f"  {name} {value:.1%}" for name, value in self.figures.items()]
        return "\n".join([*lines, self.refused or "It is current now."])


def train_version(directory: Path, version: str = "", *, feedback: Path | None = None, force: bool = False) -> Made:
    """Train, measure and write a version; it becomes current unless its figures are worse than the current one's.

    KEPT_FOR_TESTS are not learned: they give the figures, and the probabilities are fitted to CALIBRATED_ON.
    version: empty takes the next number of today. feedback: corrections to learn from beside the corpus, as
    `export-feedback` writes them. force: becomes current in any case.
    """
    from services.classifier.model.evaluate import CALIBRATED_ON, KEPT_FOR_TESTS, judge

    version = version or _next_version(directory)
    examples = load_corpus(feedback=feedback)
    learned, held_back = split(examples, KEPT_FOR_TESTS)
    weights = train(learned, version=version)
    judged = judge(weights, examples, KEPT_FOR_TESTS)
    figures = _figures_of(judged, "zh_") | {f"en_{name}": value for name, value in _figures_of(judged, "en_").items()}
    header = {
        "model_version": version,
        "data_version": data_version(feedback=feedback),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "examples": len(examples),
        "sources": dict(counted(learned)),
        "held_back": dict(counted(held_back)),
        "near_duplicates_left_out": len(examples) - len(learned) - len(held_back),
        "strength": STRENGTH,
        "costs": COSTS_FILE.name,
        "figures": figures,
    }
    fitted = calibrated(weights, [one for one in held_back if one.source in CALIBRATED_ON])
    path = save_weights(replace(fitted, header=header), directory)
    try:
        promote(directory, version, force=force)
    except WorseModel as error:
        return Made(path, figures, error.detail)
    return Made(path, figures, "")


def _figures_of(judged: Mapping[str, Sequence[Judged]], beginning: str) -> dict[str, float]:
    """Key figures of all sources together whose names begin so."""
    return key_figures([one for source, group in judged.items() if source.startswith(beginning) for one in group])


def _tell(source: str) -> None:
    sys.stderr.write(f"{source}\n")


def _next_version(directory: Path) -> str:
    today = datetime.now(UTC).date().isoformat()
    taken = {path.stem for path in directory.glob(f"{today}.*.npz")}
    return next(f"{today}.{number}" for number in range(1, 1000) if f"{today}.{number}" not in taken)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
