"""Labels for texts: features, weights, decisions and reasons. Needs numpy only; safe to call from several threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.classifier.domain.decision import Costs, cheapest, parse_costs
from services.classifier.domain.label import (
    CATEGORIES,
    COMPLEXITIES,
    HEADS,
    LABELS,
    NO_INTENT,
    READ_FROM,
    SENTIMENTS,
    TIERS,
    Prediction,
)
from services.classifier.domain.language import language_of
from services.classifier.domain.script import HAN
from services.classifier.domain.sign import FIRST_TONE_SIGN, SIGNS, signs_in
from services.classifier.domain.text import canonical, core, intent_of_nothing, is_nothing_to_act_on, quiet, shown
from services.classifier.domain.topic import TOPICS, topics_in
from services.classifier.model.feature import PARTS, Features, features_of
from services.classifier.model.weights import PLACES, UNIT, Weights

COSTS_FILE = Path(__file__).parent / "costs.toml"

MAX_BATCH = 100
"""Texts that are labelled in one go; more are cut into several."""

SIGN_COLUMNS = PARTS * (len(SIGNS) + len(TOPICS))
SIGN_SCALE = {"category": 0.12, "tier": 0.5, "complexity": 0.5, "sentiment": 0.5, "intent": 0.12}
"""Value of a sign or topic that was found; the smaller, the less the model leans on it against n-grams."""

NOTHING_CONFIDENCE = 0.97
"""Probability of `unclear` for a text with nothing to act on; such texts are recognised by rule, not learned."""

INTENT_FROM = 0.5
"""Probability from which an intent is named."""

_CHARGED_TWICE = next(place for place, sign in enumerate(SIGNS) if sign.name == "charged_twice")

MAX_REASONS = 8
_GRAM_REASONS = 3


@dataclass(frozen=True)
class Reading:
    """A batch of texts as the model reads it.

    core, tone     features of the forms that labels are READ_FROM.
    signs, topics  places in SIGNS and TOPICS, for each text.
    scripts        0 for a text with Han characters, else 1: which part of the weights it uses.
    """

    texts: list[str]
    cores: list[str]
    core: Features
    tone: Features
    signs: list[list[int]]
    topics: list[list[int]]
    scripts: NDArray[np.int64]

    def features(self, form: str) -> Features:
        """The features of one of the forms of READ_FROM."""
        return self.tone if form == "tone" else self.core

    def marks(self, form: str) -> NDArray[np.float32]:
        """texts x SIGN_COLUMNS: 1 where a sign or topic was found that labels read from this form may use.

        As with n-grams, each script has columns of its own.
        """
        matrix = np.zeros((len(self.texts), SIGN_COLUMNS), dtype=np.float32)
        of_tone = form == "tone"
        first = (self.scripts * (SIGN_COLUMNS // PARTS)).tolist()
        found = [
            (row, first[row] + place)
            for row, places in enumerate(self.signs)
            for place in places
            if (place >= FIRST_TONE_SIGN) == of_tone
        ]
        if not of_tone:
            found += [
                (row, first[row] + len(SIGNS) + place) for row, places in enumerate(self.topics) for place in places
            ]
        if found:
            matrix[tuple(zip(*found, strict=True))] = 1
        return matrix


def read(texts: Sequence[str]) -> Reading:
    """Canonical and core forms, features and signs of 1 or more texts."""
    canonicals = [canonical(text) for text in texts]
    cores = [core(text) for text in canonicals]
    quiets = [quiet(text) for text in canonicals]
    scripts = np.array([0 if HAN.search(text) else 1 for text in canonicals], dtype=np.int64)
    return Reading(
        canonicals,
        cores,
        features_of(cores, scripts),
        features_of(canonicals, scripts),
        [signs_in(text, whole) for text, whole in zip(quiets, canonicals, strict=True)],
        [topics_in(text) for text in quiets],
        scripts,
    )


class Predictor:
    """One version of the model. The same text always gets the same answer."""

    def __init__(self, weights: Weights, costs: Costs) -> None:
        self.weights = weights
        self.costs = costs
        self._usual_category_weight = weights.grams("category").mean(axis=1, dtype=np.float32)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction per text, in order. Any text is answered: empty, a megabyte, control characters, emoji."""
        found: list[Prediction] = []
        for first in range(0, len(texts), MAX_BATCH):
            found += self._predict_batch(texts[first : first + MAX_BATCH])
        return found

    def _predict_batch(self, texts: Sequence[str]) -> list[Prediction]:
        reading = read(texts)
        logits = logits_of(self.weights, reading)
        probabilities = {
            label: _softmax(values * np.array(self.weights.sharpness[label], dtype=np.float32)[reading.scripts, None])
            for label, values in logits.items()
        }
        nothing = [is_nothing_to_act_on(text) for text in reading.cores]
        _settle_nothing(probabilities, nothing)
        grams = self._gram_reasons(reading, probabilities["category"].argmax(axis=1))
        return [
            self._prediction(
                reading, row, {label: p[row] for label, p in probabilities.items()}, nothing[row], grams[row]
            )
            for row in range(len(texts))
        ]

    def _prediction(
        self, reading: Reading, row: int, values: Mapping[str, NDArray[np.float32]], nothing: bool, grams: Sequence[str]
    ) -> Prediction:
        category = CATEGORIES[int(values["category"].argmax())]
        confidence = float(values["category"].max())
        tier = cheapest(TIERS, values["tier"].tolist(), self.costs.tier)
        complexity = cheapest(COMPLEXITIES, values["complexity"].tolist(), self.costs.complexity)
        if category == "unclear":
            tier, complexity = "standard", "simple"
        if tier == "urgent" and complexity == "simple" and _CHARGED_TWICE in reading.signs[row]:
            complexity = "moderate"  # docs/taxonomy.md rules so, however short the text
        sentences = ["nothing to act on yet / 尚无可处理内容"] if nothing else []
        sentences += [SIGNS[place].words for place in reading.signs[row]]
        return Prediction(
            category=category,
            tier=tier,
            complexity=complexity,
            sentiment=SENTIMENTS[int(values["sentiment"].argmax())],
            language=language_of(reading.texts[row]),
            intent=_intent(reading.texts[row], values["intent"], nothing, complexity),
            confidence=confidence,
            needs_review=confidence < self.costs.review_below,
            probabilities={
                label: dict(zip(slugs, values[label].tolist(), strict=True)) for label, slugs in LABELS.items()
            },
            reasons=tuple(sentences[: MAX_REASONS - len(grams)] + list(grams)),
            model_version=self.weights.version,
        )

    def _gram_reasons(self, reading: Reading, chosen: NDArray[np.int64]) -> list[list[str]]:
        """The pieces of each text that spoke most for its category, longest first where two overlap."""
        features = reading.core
        rows = np.repeat(np.arange(len(chosen)), features.counts())
        weights = self.weights.grams("category")
        gain = weights[features.column, chosen[rows]] - self._usual_category_weight[features.column]
        gain[features.length < 2] = 0
        return [
            _pieces(f" {text} ", gain[a:b], features.start[a:b], features.length[a:b])
            for text, (a, b) in zip(reading.cores, pairwise(features.offsets.tolist()), strict=True)
        ]


def logits_of(weights: Weights, reading: Reading) -> dict[str, NDArray[np.float32]]:
    """Head → texts x slugs: what the weights say, before sharpness."""
    found = {}
    for form, heads in READ_FROM.items():
        features, marks = reading.features(form), reading.marks(form)
        rows = weights.hashed[form][features.column].astype(np.float32)
        sums = np.add.reduceat(rows, features.offsets[:-1], axis=0)
        scaled = sums * (np.float32(UNIT) / np.sqrt(features.counts(), dtype=np.float32))[:, None]
        for head in heads:
            of_signs = (marks @ weights.signs[head]) * np.float32(SIGN_SCALE[head])
            found[head] = scaled[:, PLACES[head][1]] + of_signs + weights.bias[head][reading.scripts]
    return found


def _intent(text: str, shares: NDArray[np.float32], nothing: bool, complexity: str) -> str:
    """The intent where the request is simple and one intent is likelier than all else together; else NO_INTENT."""
    if nothing:
        return intent_of_nothing(text)
    if complexity != "simple" or shares.max() < INTENT_FROM:
        return NO_INTENT
    return HEADS["intent"][int(shares.argmax())]


def _pieces(padded: str, gain: NDArray[np.float32], start: NDArray[np.int32], length: NDArray[np.int32]) -> list[str]:
    """Up to _GRAM_REASONS sentences about pieces that do not overlap. Empty where nothing spoke for the category."""
    taken: list[tuple[int, int]] = []
    for place in np.argsort(-gain, kind="stable")[:12].tolist():
        begin, end = int(start[place]), int(start[place] + length[place])
        piece = padded[begin:end].strip()
        if gain[place] <= 0 or len(taken) == _GRAM_REASONS:
            break
        if len(piece) > 1 and all(end <= a or begin >= b for a, b in taken):
            taken.append((begin, end))
    return [f"mentions / 提到 “{shown(padded[a:b].strip())}”" for a, b in taken]


def _settle_nothing(probabilities: Mapping[str, NDArray[np.float32]], nothing: Sequence[bool]) -> None:
    """Texts with nothing to act on are unclear, standard and simple, whatever the weights say."""
    for label, slug in (("category", "unclear"), ("tier", "standard"), ("complexity", "simple")):
        slugs = LABELS[label]
        settled = np.full(len(slugs), (1 - NOTHING_CONFIDENCE) / (len(slugs) - 1), dtype=np.float32)
        settled[slugs.index(slug)] = NOTHING_CONFIDENCE
        probabilities[label][np.array(nothing)] = settled


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = raised / raised.sum(axis=1, keepdims=True)
    return shares


def this_release_costs() -> Costs:
    """What costs.toml of this release says."""
    return parse_costs(COSTS_FILE.read_text(encoding="utf-8"))
