"""Figures on sources that a model has not seen: each source is left out once, and labelled by what learned the rest.

`evaluate_lines` measures the artifact, or another model, on any labelled file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from services.classifier.domain.label import LABELS
from services.classifier.model.corpus import Example
from services.classifier.model.figures import Judged, accuracy, found, precise, read_labelled, reviewed, table
from services.classifier.model.predict import Predictor, this_release_costs
from services.classifier.model.weights import Weights

HELD_OUT = ("zh_written/", "en_written/", "banking77", "multidogo", "taubench_retail")
"""Sources, or beginnings of their names, that are left out in turn. The others say too little about tickets."""

CALIBRATED_ON = ("zh_written/pass_12", "zh_written/pass_13", "en_written/pass_5", "en_written/pass_6")
"""The artifact's probabilities are fitted to these; in figures to one of each language, and never to the one that is
tested. The Chinese ones' shares are near the real ones, so that turns the corpus' shares, rich in rare cases, into
those of a day at a shop."""

KEPT_FOR_TESTS = (*CALIBRATED_ON, "zh_written/pass_39", "zh_written/pass_40")
"""Never trained on. The last two were never fitted to either, and no cost or sign was chosen with them."""


def evaluate_lines(lines: Iterable[str], predictor: Predictor) -> str:
    """The table of figures for labelled JSON lines. Raises BadRow where a line cannot be used."""
    texts, truths, operations = read_labelled(lines)
    found_labels = predictor.predict(texts)
    return table([Judged(*row) for row in zip(truths, found_labels, operations, strict=True)])


def leave_one_source_out(
    examples: Sequence[Example], only: Collection[str] = (), tell: Callable[[str], None] = lambda _: None
) -> dict[str, list[Judged]]:
    """Source → its texts with the predictions of a model that learned neither it nor KEPT_FOR_TESTS.

    only: names of sources; empty takes all of HELD_OUT.
    """
    from services.classifier.model.calibrate import split
    from services.classifier.model.train import train

    names = {example.source for example in examples if example.source.startswith(HELD_OUT)}
    wanted = names & set(only) if only else names
    judged: dict[str, list[Judged]] = {}
    for group in [wanted & set(KEPT_FOR_TESTS), *({name} for name in sorted(wanted - set(KEPT_FOR_TESTS)))]:
        if group:
            learned, _ = split(examples, {*KEPT_FOR_TESTS, *group})
            weights = train(learned, version="without " + " ".join(sorted(group)), heads=LABELS)
            judged |= judge(weights, examples, sorted(group))
            tell(" ".join(sorted(group)))
    return judged


def judge(weights: Weights, examples: Sequence[Example], sources: Iterable[str]) -> dict[str, list[Judged]]:
    """Source → its texts with the predictions of `weights`, which learned neither it nor KEPT_FOR_TESTS.

    Probabilities are fitted to the first of CALIBRATED_ON of each language that is not the source itself.
    """
    from services.classifier.model.calibrate import calibrated

    judged: dict[str, list[Judged]] = {}
    for source in sources:
        others = [name for name in CALIBRATED_ON if name != source]
        fitted_to = {next(name for name in others if name.startswith(language)) for language in ("zh", "en")}
        fitted = calibrated(weights, [one for one in examples if one.source in fitted_to])
        unseen = [one for one in examples if one.source == source]
        answers = Predictor(fitted, this_release_costs()).predict([one.text for one in unseen])
        judged[source] = [
            Judged(one.labels, answer, one.operations) for one, answer in zip(unseen, answers, strict=True)
        ]
    return judged


def report(judged: dict[str, list[Judged]]) -> str:
    """Markdown: accuracy by source, the table of figures for the kept passes and for all Chinese ones, categories."""
    lines = [
        "| left out | texts | category | tier | complexity | sentiment | needs_review on simple |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, group in sorted(judged.items()):
        cells = [accuracy(group, label).split(",")[0] for label in LABELS]
        cells = [cell + ")" if "(" in cell else cell for cell in cells]
        cells.append(reviewed(group, ("simple",)))
        lines.append(f"| `{source}` | {len(group)} | {' | '.join(cells)} |")
    for name, sources in _groups(judged).items():
        together = [one for source in sources for one in judged[source]]
        lines += ["", f"{name}:", "", table(together).rstrip("\n"), "", *_by_category(together)]
    return "\n".join(lines) + "\n"


def _groups(judged: dict[str, list[Judged]]) -> dict[str, list[str]]:
    """Name → sources that are reported together; without those that have none."""
    groups = {
        "Chinese passes kept for tests": [s for s in judged if s in KEPT_FOR_TESTS and s.startswith("zh")],
        "English passes kept for tests": [s for s in judged if s in KEPT_FOR_TESTS and s.startswith("en")],
        "Other Chinese passes": [s for s in judged if s.startswith("zh_written/") and s not in KEPT_FOR_TESTS],
        "Other English passes": [s for s in judged if s.startswith("en_written/") and s not in KEPT_FOR_TESTS],
        "Tasks with counted operations": [source for source in judged if source == "taubench_retail"],
    }
    return {name: sources for name, sources in groups.items() if sources}


def _by_category(group: Sequence[Judged]) -> list[str]:
    lines = ["| category | found | precise |", "|---|---|---|"]
    for slug in LABELS["category"]:
        lines.append(f"| {slug} | {found(group, 'category', (slug,), (slug,))} | {precise(group, 'category', slug)} |")
    return lines
