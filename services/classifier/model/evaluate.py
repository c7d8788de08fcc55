"""Figures on sources that a model has not seen: each source is left out once, and labelled by what learned the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from services.classifier.domain.decision import parse_costs
from services.classifier.domain.label import LABELS, Prediction
from services.classifier.model.corpus import Example
from services.classifier.model.predict import COSTS_FILE, Predictor
from services.classifier.model.train import train

HELD_OUT = ("zh_written/", "en_written/", "banking77", "multidogo")
"""Sources, or beginnings of their names, that are left out in turn. The others say too little about tickets."""

SHARPNESS_TRIED = tuple(round(0.4 + 0.05 * step, 2) for step in range(23))


@dataclass(frozen=True)
class Answered:
    """One text of a left-out source and what was said of it."""

    example: Example
    prediction: Prediction


def leave_one_source_out(
    examples: Sequence[Example], only: Collection[str] = (), tell: Callable[[str], None] = lambda _: None
) -> list[Answered]:
    """Predictions for every text of every held-out source. only: names of sources; empty takes all of HELD_OUT."""
    costs = parse_costs(COSTS_FILE.read_text(encoding="utf-8"))
    names = {example.source for example in examples if example.source.startswith(HELD_OUT)}
    answered: list[Answered] = []
    for source in sorted(names & set(only) if only else names):
        seen = [example for example in examples if example.source != source]
        unseen = [example for example in examples if example.source == source]
        predictor = Predictor(train(seen, version=f"without {source}"), costs)
        found = predictor.predict([example.text for example in unseen])
        answered += [Answered(*pair) for pair in zip(unseen, found, strict=True)]
        tell(source)
    return answered


def report(answered: Sequence[Answered]) -> str:
    """Markdown tables: accuracy by source with 95 % intervals, the costly errors, calibration."""
    groups = {"Chinese, all passes": "zh_written/", "English, written": "en_written/"}
    sources = sorted({one.example.source for one in answered})
    rows = [(name, [o for o in answered if o.example.source.startswith(prefix)]) for name, prefix in groups.items()]
    rows += [(f"`{source}`", [o for o in answered if o.example.source == source]) for source in sources]
    lines = [
        "| left out | texts | category | tier | complexity | sentiment | needs_review |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, group in rows:
        if group:
            cells = [_accuracy(group, label) for label in LABELS]
            share = sum(one.prediction.needs_review for one in group) / len(group)
            lines.append(f"| {name} | {len(group)} | {' | '.join(cells)} | {share:.1%} |")
    written = [one for one in answered if "_written/" in one.example.source]
    if written:
        lines += ["", *_costly(written), "", *_by_category(written), "", *_calibration(written)]
    return "\n".join(lines) + "\n"


def _accuracy(group: Sequence[Answered], label: str) -> str:
    known = [one for one in group if label in one.example.labels]
    if not known:
        return "–"
    return _share(sum(_said(one, label) == one.example.labels[label] for one in known), len(known))


def _share(hits: int, total: int) -> str:
    """Share with its 95 % interval (Wilson)."""
    if not total:
        return "–"
    p, z = hits / total, 1.96
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return f"{p:.1%} ({max(middle - half, 0):.0%}–{min(middle + half, 1):.0%})"


def _said(one: Answered, label: str) -> str:
    said: str = getattr(one.prediction, label)
    return said


def _costly(written: Sequence[Answered]) -> list[str]:
    """The errors that cost most, over all written passes."""

    def rate(label: str, truth: Collection[str], said: Collection[str]) -> str:
        among = [one for one in written if one.example.labels[label] in truth]
        return _share(sum(_said(one, label) in said for one in among), len(among))

    def precision(label: str, slug: str) -> str:
        among = [one for one in written if _said(one, label) == slug]
        return _share(sum(one.example.labels[label] == slug for one in among), len(among))

    return [
        "| written passes, Chinese and English | share |",
        "|---|---|",
        f"| simple called complex | {rate('complexity', {'simple'}, {'complex'})} |",
        f"| simple called moderate or complex | {rate('complexity', {'simple'}, {'moderate', 'complex'})} |",
        f"| moderate or complex found | {rate('complexity', {'moderate', 'complex'}, {'moderate', 'complex'})} |",
        f"| complex found | {rate('complexity', {'complex'}, {'complex'})} |",
        f"| called complex and is complex | {precision('complexity', 'complex')} |",
        f"| urgent found | {rate('tier', {'urgent'}, {'urgent'})} |",
        f"| called urgent and is urgent | {precision('tier', 'urgent')} |",
        f"| priority found (priority or urgent) | {rate('tier', {'priority'}, {'priority', 'urgent'})} |",
    ]


def _by_category(written: Sequence[Answered]) -> list[str]:
    lines = ["| category | texts | found | precise |", "|---|---|---|---|"]
    for slug in LABELS["category"]:
        truth = [one for one in written if one.example.labels["category"] == slug]
        said = [one for one in written if one.prediction.category == slug]
        hits = sum(one.prediction.category == slug for one in truth)
        lines.append(f"| {slug} | {len(truth)} | {_share(hits, len(truth))} | {_share(hits, len(said))} |")
    return lines


def _calibration(written: Sequence[Answered]) -> list[str]:
    """Expected calibration error in ten bins of equal mass, and the sharpness that these texts would have wanted."""
    lines = ["| label | calibration error | factor on the logits that fits best |", "|---|---|---|"]
    for label, slugs in LABELS.items():
        shares = np.array([[one.prediction.probabilities[label][slug] for slug in slugs] for one in written])
        truth = np.array([slugs.index(one.example.labels[label]) for one in written])
        best = min(SHARPNESS_TRIED, key=lambda factor: _loss(shares, truth, factor))
        lines.append(f"| {label} | {_calibration_error(shares, truth):.3f} | {best} |")
    return lines


def _loss(shares: NDArray[np.float64], truth: NDArray[np.int64], factor: float) -> float:
    raised = np.maximum(shares, 1e-9) ** factor
    raised /= raised.sum(axis=1, keepdims=True)
    return float(-np.log(raised[np.arange(len(truth)), truth]).mean())


def _calibration_error(shares: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    certainty, right = shares.max(axis=1), shares.argmax(axis=1) == truth
    bins = np.array_split(np.argsort(certainty, kind="stable"), 10)
    return float(sum(len(b) * abs(certainty[b].mean() - right[b].mean()) for b in bins if len(b)) / len(truth))
