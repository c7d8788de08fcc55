"""Every metric of the classifier."""

from __future__ import annotations

from fenliu.chassis.observability import FAST_BUCKETS, counter, gauge, histogram
from services.classifier.domain.label import CATEGORIES, COMPLEXITIES, SENTIMENTS, TIERS, Prediction

LANGUAGES = ("zh", "en", "ja", "ko", "ru", "ar", "th", "hi", "el", "he", "pt", "es", "fr", "de", "none")
ORIGINS = ("ticket", "message", "fact", "request")

texts = counter(
    "fenliu_classifier_texts_total",
    "Texts that were labelled, by category, language and where they came from.",
    reaction="The mix shifts: see what arrives; new products or a campaign bring words that the model has not learned.",
    labels={"category": CATEGORIES, "language": LANGUAGES, "origin": ORIGINS},
)
work = counter(
    "fenliu_classifier_work_total",
    "Texts that were labelled, by tier and complexity.",
    reaction="The share of complex grows without a cause in the shop: look at reasons of such tickets before anything.",
    labels={"tier": TIERS, "complexity": COMPLEXITIES},
)
sentiments = counter(
    "fenliu_classifier_sentiments_total",
    "Texts that were labelled, by sentiment.",
    reaction="The share of negative grows: see which category grows with it; it is the shop's news, not the model's.",
    labels={"sentiment": SENTIMENTS},
)
reviews = counter(
    "fenliu_classifier_reviews_total",
    "Texts that the model left to a person because it was not certain enough (needs_review), by where they came from.",
    reaction="Above a tenth of fenliu_classifier_texts_total: see the runbook of FenliuAbstentionDrift.",
    labels={"origin": ORIGINS},
)
model_switches = counter(
    "fenliu_classifier_model_switches_total",
    "How often this process took up another version of the model.",
    reaction="Must move after `fenliu classifier promote`, on every replica; where not, it reads another folder.",
)
model_refused = gauge(
    "fenliu_classifier_model_refused_state",
    "1 while the version that current.json names cannot be used and the one before labels on; else 0.",
    reaction="1: see the runbook of FenliuModelRefused.",
)
confidence = histogram(
    "fenliu_classifier_confidence_ratio",
    "Probability of the chosen category.",
    reaction="The low end grows: the model meets text unlike its corpus; see fenliu_classifier_reviews_total.",
    buckets=(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
)
batch_size = histogram(
    "fenliu_classifier_batch_texts",
    "Texts in one call of the model.",
    reaction="Always at the limit of 100 with a growing lag: add a replica.",
    buckets=(1, 2, 5, 10, 20, 50, 100),
)
batch_seconds = histogram(
    "fenliu_classifier_batch_seconds",
    "Time of one call of the model, with masking, features and reasons.",
    reaction="Above 0.1 s: the machine is short of processor time, or texts are very long.",
    buckets=FAST_BUCKETS,
)


def observe(prediction: Prediction, origin: str) -> None:
    """Count one prediction. origin: one of ORIGINS."""
    texts.inc(category=prediction.category, language=prediction.language or "none", origin=origin)
    work.inc(tier=prediction.tier, complexity=prediction.complexity)
    sentiments.inc(sentiment=prediction.sentiment)
    confidence.observe(prediction.confidence)
    if prediction.needs_review:
        reviews.inc(origin=origin)
