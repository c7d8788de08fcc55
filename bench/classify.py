"""python -m bench.classify: time and memory of the classifier on one core, beside a bare scikit-learn pipeline.

Both label the same texts in the same run. The pipeline is what one would write first: character n-grams hashed by
scikit-learn and one logistic regression for the category; no signs, masking, language, reasons or other labels.
Needs the extra `train`.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline

from bench.machine import write_result
from services.classifier.model.corpus import Example, load_corpus
from services.classifier.model.directory import load

BATCH = 100
ROUNDS = 20
SINGLES = 1_000
Label = Callable[[Sequence[str]], object]


def main() -> None:
    """Measure, print and store in bench/results/classify.json."""
    before = _resident_mb()
    started = time.perf_counter()
    predictor = load()
    loading_s = time.perf_counter() - started
    memory = _resident_mb()
    examples = load_corpus()
    zh = [one.text for one in examples if one.source.startswith("zh_written/")]
    en = [one.text for one in examples if one.source.startswith("en_written/")]
    figures: dict[str, Any] = {
        "loading_s": round(loading_s, 3),
        "resident_mb": round(memory, 1),
        "of_it_model_mb": round(memory - before, 1),
    }
    for name, texts in (("zh", zh), ("en", en)):
        figures[f"fenliu_{name}"] = _measure(predictor.predict, texts)
    bare = _bare(examples)
    for name, texts in (("zh", zh), ("en", en)):
        figures[f"bare_{name}"] = _measure(bare, texts)
    print(json.dumps(figures, indent=1))
    print("stored in", write_result("classify", figures))


def _measure(label: Label, texts: Sequence[str]) -> dict[str, float]:
    """Milliseconds per text in batches of BATCH, and of single texts. Processor time of this process, not the clock's:
    other processes of the machine are not the classifier's doing."""
    label(texts[:BATCH])
    batches = []
    for turn in range(ROUNDS):
        batch = [texts[(turn * BATCH + place) % len(texts)] for place in range(BATCH)]
        batches.append(_spent(label, batch) / BATCH)
    singles = [_spent(label, [texts[turn % len(texts)]]) for turn in range(SINGLES)]
    return {
        "batch_ms_per_text": round(float(np.median(batches)), 3),
        "single_ms_p50": round(float(np.median(singles)), 3),
        "single_ms_p99": round(float(np.quantile(singles, 0.99)), 3),
    }


def _spent(label: Label, texts: Sequence[str]) -> float:
    started = time.process_time()
    label(texts)
    return (time.process_time() - started) * 1000


def _bare(examples: Sequence[Example]) -> Label:
    known = [one for one in examples if "category" in one.labels]
    vectorizer = HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=1 << 17)
    pipeline = make_pipeline(vectorizer, SGDClassifier(loss="log_loss", max_iter=5, tol=None, random_state=1))
    pipeline.fit([one.text for one in known], [one.labels["category"] for one in known])
    predict: Label = pipeline.predict_proba
    return predict


def _resident_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
