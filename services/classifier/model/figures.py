"""Figures of labelled texts with 95 % intervals: accuracy, costly errors, calibration. Needs numpy only."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from fenliu.chassis.errors import Malformed
from services.classifier.domain.label import LABELS, Prediction

FEWEST_OF_A_CLASS = 10
"""Classes with fewer texts are left out of macro-F1."""

RESAMPLED = 400
"""Bootstrap samples for intervals of figures that are no shares. The seed is fixed: same file, same table."""

ABSTENTION = 0.10
"""Share of texts, the least certain ones, that may go to a person before accuracy on the rest is counted."""


class BadRow(Malformed):
    """A line of a labelled file that cannot be used; the message names the line and what to write."""

    slug = "bad-labelled-row"


@dataclass(frozen=True)
class Judged:
    """One labelled text and what was said of it.

    truth       label → slug; labels that nobody judged are absent.
    operations  how many operations the customer asks for; None where nobody counted.
    """

    truth: Mapping[str, str]
    prediction: Prediction
    operations: int | None = None


def read_labelled(lines: Iterable[str]) -> tuple[list[str], list[dict[str, str]], list[int | None]]:
    """Texts, labels and operations of JSON lines {"text", "category"?, "tier"?, "complexity"?, "operations"?, …}.

    Blank lines are passed over, other keys ignored. Raises BadRow.
    """
    texts: list[str] = []
    truths: list[dict[str, str]] = []
    operations: list[int | None] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadRow(f"Line {number} is not JSON. Write one object per line.") from error
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise BadRow(f'Line {number} has no `text` of type string. Write {{"text": "…", "category": "…"}}.')
        truth = {label: row[label] for label in LABELS if row.get(label)}
        for label, slug in truth.items():
            if slug not in LABELS[label]:
                raise BadRow(f"Line {number}: {label} {slug!r} is none of {', '.join(LABELS[label])}.")
        counted = row.get("operations")
        texts.append(row["text"])
        truths.append(truth)
        operations.append(counted if isinstance(counted, int) else None)
    return texts, truths, operations


def table(judged: Sequence[Judged]) -> str:
    """Markdown: every figure for all texts and for each language with at least 30, beside its 95 % interval."""
    groups = {"all": list(judged)}
    for language in sorted({one.prediction.language for one in judged}):
        group = [one for one in judged if one.prediction.language == language]
        if language and 30 <= len(group) < len(judged):
            groups[language] = group
    lines = [
        f"| | {' | '.join(f'{name} ({len(group)})' for name, group in groups.items())} |",
        "|---" * (len(groups) + 1) + "|",
    ]
    for name, figure in FIGURES.items():
        cells = [figure(group) for group in groups.values()]
        if any(cell != "–" for cell in cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def share(hits: int, total: int) -> str:
    """Share with its 95 % interval (Wilson); – of nothing."""
    if not total:
        return "–"
    p, z = hits / total, 1.96
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return f"{p:.1%} ({max(middle - half, 0):.1%}–{min(middle + half, 1):.1%}, n {total})"


def said(one: Judged, label: str) -> str:
    """The slug that was said."""
    slug: str = getattr(one.prediction, label)
    return slug


def accuracy(group: Sequence[Judged], label: str) -> str:
    """Share of right labels among the judged ones."""
    known = [one for one in group if label in one.truth]
    return share(sum(said(one, label) == one.truth[label] for one in known), len(known))


def found(group: Sequence[Judged], label: str, truth: Collection[str], answers: Collection[str]) -> str:
    """Of the texts that truly are one of `truth`, the share called one of `answers`."""
    among = [one for one in group if one.truth.get(label) in truth]
    return share(sum(said(one, label) in answers for one in among), len(among))


def precise(group: Sequence[Judged], label: str, slug: str) -> str:
    """Of the texts called `slug`, the share that is it."""
    among = [one for one in group if label in one.truth and said(one, label) == slug]
    return share(sum(one.truth[label] == slug for one in among), len(among))


def macro_f1(group: Sequence[Judged]) -> str:
    """Mean F1 of categories with at least FEWEST_OF_A_CLASS texts; bootstrap interval."""
    slugs = LABELS["category"]
    known = [one for one in group if "category" in one.truth]
    truth = np.array([slugs.index(one.truth["category"]) for one in known], dtype=np.int64)
    answer = np.array([slugs.index(one.prediction.category) for one in known], dtype=np.int64)
    kept = np.flatnonzero(np.bincount(truth, minlength=len(slugs)) >= FEWEST_OF_A_CLASS)
    if not len(kept):
        return "–"

    def figure(rows: NDArray[np.int64]) -> float:
        t, a = truth[rows], answer[rows]
        hits = np.bincount(t[t == a], minlength=len(slugs))[kept]
        both = (np.bincount(t, minlength=len(slugs)) + np.bincount(a, minlength=len(slugs)))[kept]
        return float((2 * hits / np.maximum(both, 1)).mean())

    return _resampled(figure, len(known))


def operations_auc(group: Sequence[Judged], at_least: int) -> str:
    """Area under the curve of expected work against "asks for `at_least` operations or more"; bootstrap interval."""
    known = [one for one in group if one.operations is not None]
    truth = np.array([(one.operations or 0) >= at_least for one in known])
    work = np.array([_expected_work(one.prediction) for one in known])
    if not truth.any() or truth.all():
        return "–"

    def figure(rows: NDArray[np.int64]) -> float:
        high, low = work[rows][truth[rows]], np.sort(work[rows][~truth[rows]])
        if not len(high) or not len(low):
            return 0.5
        below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
        return float(below.mean() / (2 * len(low)))

    return _resampled(figure, len(known))


def calibration_error(group: Sequence[Judged], label: str = "category") -> str:
    """Expected calibration error in ten bins of equal mass. Of fewer than 100 texts it says nothing: –."""
    known = [one for one in group if label in one.truth]
    if len(known) < 100:
        return "–"
    certainty = np.array([max(one.prediction.probabilities[label].values()) for one in known])
    right = np.array([_likeliest(one, label) == one.truth[label] for one in known])
    bins = np.array_split(np.argsort(certainty, kind="stable"), 10)
    error = sum(len(b) * abs(certainty[b].mean() - right[b].mean()) for b in bins) / len(known)
    return f"{float(error):.3f} (n {len(known)})"


def after_abstention(group: Sequence[Judged]) -> str:
    """Accuracy of the category on what remains without the least certain tenth."""
    known = sorted((one for one in group if "category" in one.truth), key=lambda one: one.prediction.confidence)
    rest = known[int(len(known) * ABSTENTION) :]
    return share(sum(one.prediction.category == one.truth["category"] for one in rest), len(rest))


def key_figures(group: Sequence[Judged]) -> dict[str, float]:
    """Figures by which versions are compared, 0 to 1. More is better but for `*_called_*` and `*_error`.

    group: texts with category, tier and complexity, of sources that the model was not trained on.
    """

    def rate(label: str, truth: str, answer: str) -> float:
        among = [said(one, label) == answer for one in group if one.truth[label] == truth]
        return round(sum(among) / max(len(among), 1), 4)

    def right(label: str) -> float:
        return round(sum(said(one, label) == one.truth[label] for one in group) / len(group), 4)

    return {
        "category_right": right("category"),
        "tier_right": right("tier"),
        "complexity_right": right("complexity"),
        "simple_called_complex": rate("complexity", "simple", "complex"),
        "simple_called_moderate": rate("complexity", "simple", "moderate"),
        "complex_found": rate("complexity", "complex", "complex"),
        "urgent_found": rate("tier", "urgent", "urgent"),
    }


def reviewed(group: Sequence[Judged], complexity: Collection[str]) -> str:
    """Share of texts of these true complexities that say needs_review."""
    among = [one for one in group if one.truth.get("complexity") in complexity]
    return share(sum(one.prediction.needs_review for one in among), len(among))


def _likeliest(one: Judged, label: str) -> str:
    shares = one.prediction.probabilities[label]
    return max(shares, key=lambda slug: shares[slug])


def _expected_work(prediction: Prediction) -> float:
    shares = prediction.probabilities["complexity"]
    return shares["moderate"] + 2 * shares["complex"]


def _resampled(figure: Callable[[NDArray[np.int64]], float], count: int) -> str:
    generator = np.random.default_rng(7)
    samples = [figure(generator.integers(0, count, count)) for _ in range(RESAMPLED)]
    low, high = np.quantile(samples, (0.025, 0.975))
    return f"{figure(np.arange(count)):.3f} ({low:.3f}–{high:.3f}, n {count})"


_MORE = ("moderate", "complex")
FIGURES: Mapping[str, Callable[[Sequence[Judged]], str]] = {
    "category right": lambda group: accuracy(group, "category"),
    "category, macro-F1": macro_f1,
    "tier right": lambda group: accuracy(group, "tier"),
    "complexity right": lambda group: accuracy(group, "complexity"),
    "sentiment right": lambda group: accuracy(group, "sentiment"),
    "simple called complex": lambda group: found(group, "complexity", ("simple",), ("complex",)),
    "simple called moderate or complex": lambda group: found(group, "complexity", ("simple",), _MORE),
    "moderate or complex found": lambda group: found(group, "complexity", _MORE, _MORE),
    "complex found": lambda group: found(group, "complexity", ("complex",), ("complex",)),
    "called complex and is complex": lambda group: precise(group, "complexity", "complex"),
    "urgent found": lambda group: found(group, "tier", ("urgent",), ("urgent",)),
    "called urgent and is urgent": lambda group: precise(group, "tier", "urgent"),
    "priority found (priority or urgent)": lambda group: found(group, "tier", ("priority",), ("priority", "urgent")),
    "two or more operations, AUC": lambda group: operations_auc(group, 2),
    "three or more operations, AUC": lambda group: operations_auc(group, 3),
    "needs_review on simple": lambda group: reviewed(group, ("simple",)),
    "calibration error, category": calibration_error,
    "calibration error, tier": lambda group: calibration_error(group, "tier"),
    "calibration error, complexity": lambda group: calibration_error(group, "complexity"),
    f"category right without the least certain {ABSTENTION:.0%}": after_abstention,
}
"""Name of a figure → the cell for a group of texts; – where the group carries no such label."""
