"""The table of figures: every rate counts what its name says, and bad lines are named."""

import json

import pytest

from services.classifier.domain.label import LABELS, Prediction
from services.classifier.model.figures import (
    FIGURES,
    BadRow,
    Judged,
    after_abstention,
    calibration_error,
    key_figures,
    macro_f1,
    operations_auc,
    read_labelled,
    table,
)


def judged(
    truth: dict[str, str], said: dict[str, str], confidence: float = 0.9, operations: int | None = None
) -> Judged:
    slugs = {"category": "order", "tier": "standard", "complexity": "simple", "sentiment": "neutral"} | said
    shares = {}
    for label, slug in slugs.items():
        rest = (1 - confidence) / (len(LABELS[label]) - 1)
        shares[label] = {name: confidence if name == slug else rest for name in LABELS[label]}
    prediction = Prediction(
        **slugs,
        language="zh",
        intent="",
        confidence=confidence,
        needs_review=confidence < 0.4,
        probabilities=shares,
        reasons=(),
        model_version="t",
    )
    return Judged(truth, prediction, operations)


def cell(group: list[Judged], name: str) -> str:
    return FIGURES[name](group)


def test_figures_costly_errors_are_counted_among_the_right_texts() -> None:
    group = [judged({"complexity": "simple"}, {"complexity": "simple"}) for _ in range(8)]
    group += [judged({"complexity": "simple"}, {"complexity": slug}) for slug in ("moderate", "complex")]
    group += [judged({"complexity": "complex"}, {"complexity": slug}) for slug in ("complex", "moderate")]
    assert cell(group, "simple called complex").startswith("10.0% ")
    assert cell(group, "simple called moderate or complex").startswith("20.0% ")
    assert cell(group, "complex found").startswith("50.0% ")
    assert cell(group, "called complex and is complex").startswith("50.0% ")
    assert cell(group, "moderate or complex found").startswith("100.0% ")


def test_figures_absent_labels_leave_no_row() -> None:
    shown = table([judged({"category": "order"}, {})] * 5)
    assert "category right | 100.0%" in shown
    assert "urgent" not in shown
    assert "operations" not in shown


def test_macro_f1_leaves_small_classes_out() -> None:
    group = [judged({"category": "order"}, {"category": "order"}) for _ in range(12)]
    assert macro_f1([*group, judged({"category": "other"}, {"category": "account"})]).startswith("1.000")
    assert macro_f1(group[:3]) == "–"


def test_operations_auc_is_one_where_work_follows_operations() -> None:
    many = [judged({}, {"complexity": "complex"}, operations=3) for _ in range(5)]
    few = [judged({}, {"complexity": "simple"}, operations=1) for _ in range(5)]
    assert operations_auc(many + few, 2).startswith("1.000")
    assert operations_auc(few, 2) == "–"


def test_calibration_error_is_the_gap_between_certainty_and_frequency() -> None:
    right = [judged({"category": "order"}, {}, 0.75) for _ in range(150)]
    wrong = [judged({"category": "other"}, {}, 0.75) for _ in range(50)]
    mixed = [one for four in zip(right[::3], right[1::3], right[2::3], wrong, strict=True) for one in four]
    assert float(calibration_error(mixed).split()[0]) < 0.02
    assert float(calibration_error(right).split()[0]) == pytest.approx(0.25, abs=0.001)


def test_abstention_drops_the_least_certain() -> None:
    group = [judged({"category": "order"}, {}, 0.9) for _ in range(90)]
    group += [judged({"category": "other"}, {}, 0.3) for _ in range(10)]
    assert after_abstention(group).startswith("100.0%")


def test_key_figures_name_errors_so_that_less_is_better() -> None:
    truth = {"category": "order", "tier": "urgent", "complexity": "simple"}
    figures = key_figures([judged(truth, {"complexity": "complex"}), judged(truth, {"tier": "urgent"})])
    assert figures["simple_called_complex"] == 0.5
    assert figures["urgent_found"] == 0.5
    assert figures["category_right"] == 1


def test_read_labelled_takes_what_is_there() -> None:
    lines = [json.dumps({"text": "a", "category": "order", "operations": 2, "id": 7}), "", json.dumps({"text": "b"})]
    assert read_labelled(lines) == (["a", "b"], [{"category": "order"}, {}], [2, None])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ('{"t": 1}', "no `text`"),
        ("[]", "no `text`"),
        ('{"text": "a", "tier": "now"}', "none of urgent"),
    ],
)
def test_read_labelled_bad_line_is_named(line: str, said: str) -> None:
    with pytest.raises(BadRow, match=said) as error:
        read_labelled(["", line])
    assert "Line 2" in str(error.value)
