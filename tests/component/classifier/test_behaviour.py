"""Behaviour of the shipped model in the manner of CheckList: what may move a label, and what must not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.classifier.domain.label import COMPLEXITIES, TIERS, Prediction
from services.classifier.model.predict import Predictor

SUITE = json.loads((Path(__file__).parent / "behaviour.json").read_text(encoding="utf-8"))
LEAST_PASSING = 0.97
FEWEST_CASES = 300
ORDER = {"tier": tuple(reversed(TIERS)), "complexity": COMPLEXITIES}
"""Slugs from little to much."""


@dataclass(frozen=True)
class Case:
    """Named texts whose predictions a rule compares; `problem` says what is wrong, "" where nothing is."""

    name: str
    texts: tuple[str, ...]
    kind: str
    wanted: Any


def cases() -> Iterator[Case]:
    invariance = SUITE["invariance"]
    for language, bases in invariance["bases"].items():
        for base in bases:
            for name, addition in invariance["additions"][language].items():
                yield Case(f"{name}: {base}", (base, addition.replace("{}", base)), "same", None)
    for name, before, after, label, wanted in SUITE["direction"]["cases"]:
        yield Case(f"{name}: {after}", (before, after), "moves", (label, wanted))
    for text, labels in SUITE["pairs"]["cases"]:
        yield Case(f"pair: {text}", (text,), "is", labels)


def problem(case: Case, found: list[Prediction]) -> str:
    if case.kind == "same":
        before, after = found
        moved = [name for name in ("category", "tier", "complexity") if getattr(before, name) != getattr(after, name)]
        return f"moved {', '.join(moved)}" if moved else ""
    if case.kind == "moves":
        label, wanted = case.wanted
        before_slug, after_slug = (getattr(one, label) for one in found)
        if wanted == "up":
            risen = ORDER[label].index(after_slug) > ORDER[label].index(before_slug)
            return "" if risen else f"{label} went from {before_slug} to {after_slug}"
        return "" if after_slug == wanted else f"{label} is {after_slug}, not {wanted}"
    wrong = [
        f"{label} is {getattr(found[0], label)}"
        for label, slug in case.wanted.items()
        if getattr(found[0], label) != slug
    ]
    return ", ".join(wrong)


def test_behaviour_suite_passes_nearly_everywhere(predictor: Predictor) -> None:
    every = list(cases())
    answers = iter(predictor.predict([text for case in every for text in case.texts]))
    failures = []
    for case in every:
        fault = problem(case, [next(answers) for _ in case.texts])
        if fault:
            failures.append(f"{case.name}: {fault}")
    passing = 1 - len(failures) / len(every)
    assert len(every) >= FEWEST_CASES
    assert passing >= LEAST_PASSING, f"{passing:.1%} of {len(every)} cases pass. These fail:\n" + "\n".join(failures)
