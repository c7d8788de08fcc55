"""Corrections by people become examples beside the corpus."""

import json
from pathlib import Path

import pytest

from services.classifier.model.corpus import data_version, load_corpus
from services.classifier.model.figures import BadRow

ROW = {"text": "快递呢", "category": "logistics", "tier": "standard", "complexity": "simple", "source": "feedback"}


def test_corpus_with_feedback_has_its_rows_and_another_version(tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    file.write_text(json.dumps(ROW, ensure_ascii=False) + "\n", encoding="utf-8")
    (added,) = [example for example in load_corpus(feedback=file) if example.source == "feedback"]
    assert (added.text, added.weight) == ("快递呢", 1)
    assert added.labels == {"category": "logistics", "tier": "standard", "complexity": "simple"}
    assert data_version(feedback=file) != data_version()


def test_corpus_feedback_row_of_an_unknown_label_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    file.write_text(json.dumps(ROW | {"tier": "soon"}), encoding="utf-8")
    with pytest.raises(BadRow, match="Line 1"):
        load_corpus(feedback=file)
