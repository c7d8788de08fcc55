"""Probabilities that mean what they say: fitted on a source that the weights were not trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from services.classifier.domain.label import HEADS, LABELS, READ_FROM
from services.classifier.domain.text import is_nothing_to_act_on
from services.classifier.model.corpus import Example
from services.classifier.model.duplicate import near_duplicates
from services.classifier.model.predict import Reading, logits_of, read
from services.classifier.model.weights import Weights

FEWEST_TO_FIT = 300
"""Texts of a script that its own calibration needs."""

SHIFT_PENALTY = 0.02
"""Per text and squared unit of shift: a class with few texts is not moved far."""


def calibrated(weights: Weights, examples: Sequence[Example]) -> Weights:
    """`weights` with one factor per label and script and one shift per slug and script, fitted by likelihood.

    examples: texts of sources that the weights were not trained on. A script with fewer than FEWEST_TO_FIT of them
    that carry a label takes what was fitted to all.
    """
    reading = read([example.text for example in examples])
    all_logits = logits_of(weights, reading)
    bias, sharpness = dict(weights.bias), dict(weights.sharpness)
    for label in LABELS:
        rows, truth = usable(examples, reading, label)
        if not len(rows):
            continue
        logits = all_logits[label][rows].astype(np.float64)
        groups = _groups(reading.scripts[rows])
        like = truth[groups[0]] if label in ("tier", "complexity") else None
        fitted = [_fitted(logits[of], truth[of], _weights_like(truth[of], like)) for of in groups]
        sharpness[label] = (round(fitted[0][0], 4), round(fitted[1][0], 4))
        bias[label] = np.stack(
            [weights.bias[label][script] + shift / factor for script, (factor, shift) in enumerate(fitted)]
        ).astype(np.float32)
    return replace(weights, bias=bias, sharpness=sharpness)


def _groups(scripts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """For each script, the rows that its calibration is fitted to."""
    found = [np.flatnonzero(scripts == script) for script in (0, 1)]
    return [rows if len(rows) >= FEWEST_TO_FIT else np.arange(len(scripts)) for rows in found]


def _weights_like(truth: NDArray[np.int64], like: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Weights, 1 on average, that give the slugs of `truth` the shares of `like`; None: as they are.

    The English passes are rich in rare cases: fitted as they are, every tenth ticket would be expected to be complex.
    """
    if like is None:
        return np.ones(len(truth))
    slugs = int(max(truth.max(), like.max())) + 1
    ours, theirs = np.bincount(truth, minlength=slugs) / len(truth), np.bincount(like, minlength=slugs) / len(like)
    weight: NDArray[np.float64] = (theirs / np.maximum(ours, 1 / len(truth)))[truth]
    weight /= weight.mean()
    return weight


def usable(examples: Sequence[Example], reading: Reading, label: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows whose label is known and decided by the weights, and the places of their slugs. Texts that the rule settles
    never reach the weights; learned, they would make every text without a known word unclear."""
    rows = [
        row
        for row, example in enumerate(examples)
        if label in example.labels and (label in READ_FROM["tone"] or not is_nothing_to_act_on(reading.cores[row]))
    ]
    truth = [HEADS[label].index(examples[row].labels[label]) for row in rows]
    return np.array(rows, dtype=np.int64), np.array(truth, dtype=np.int64)


def _fitted(
    logits: NDArray[np.float64], truth: NDArray[np.int64], weight: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    places, slugs = np.arange(len(truth)), logits.shape[1]

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        shifted = logits * parameters[0] + parameters[1:]
        shifted -= shifted.max(axis=1, keepdims=True)
        shares = np.exp(shifted)
        shares /= shares.sum(axis=1, keepdims=True)
        value = (
            -(weight * np.log(np.maximum(shares[places, truth], 1e-12))).mean()
            + SHIFT_PENALTY * (parameters[1:] ** 2).sum()
        )
        shares[places, truth] -= 1
        shares *= weight[:, None]
        slope = np.concatenate(([(shares * logits).sum()], shares.sum(axis=0))) / len(truth)
        slope[1:] += 2 * SHIFT_PENALTY * parameters[1:]
        return float(value), slope

    start = np.concatenate(([1.0], np.zeros(slugs)))
    bounds = [(0.1, 5.0)] + [(-4.0, 4.0)] * slugs
    found: NDArray[np.float64] = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:]


def split(examples: Sequence[Example], held_back: Collection[str]) -> tuple[list[Example], list[Example]]:
    """Examples to train on, and those of the sources held back. No text, nor one all but the same, is in both."""
    learned = [example for example in examples if example.source not in held_back]
    unseen = [example for example in examples if example.source in held_back]
    same = near_duplicates([one.text for one in learned], [one.text for one in unseen])
    return [one for place, one in enumerate(learned) if place not in same], unseen


def counted(examples: Sequence[Example]) -> Mapping[str, int]:
    """Source → texts, by name."""
    totals: dict[str, int] = {}
    for example in examples:
        totals[example.source] = totals.get(example.source, 0) + 1
    return dict(sorted(totals.items()))
