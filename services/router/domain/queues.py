"""Queues and the rules that lead tickets into them. Both are data (queues.toml, overridden per tenant)."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from services.router.domain.clocks import WIDENED
from services.router.domain.ticket import SENIORITY, Labels, Ticket

TRIAGE = "triage"
GENERAL = "general"
MODES = ("assign", "offer")
DEFAULT_POLICY = "fenliu"
RULE_LABELS = ("category", "tier", "complexity", "sentiment", "intent", "language")


@dataclass(frozen=True, slots=True)
class Queue:
    """Where tickets wait.

    skill            what an agent must have; "" is nothing.
    level            least level of that skill for a simple ticket, 0 to 1.
    mode             assign or offer.
    policy           name of the routing policy.
    offer_timeout_s  seconds until an unanswered offer lapses.
    wrap_up_s        seconds after a resolved ticket in which its agent gets nothing new.
    version          grows with every override; 0 is the shipped default.
    """

    queue_id: str
    name: str
    name_zh: str = ""
    skill: str = ""
    level: float = 0.0
    mode: str = "assign"
    policy: str = DEFAULT_POLICY
    offer_timeout_s: int = 60
    wrap_up_s: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Labels that must all match, and the queue that takes the ticket then."""

    labels: Mapping[str, str]
    queue_id: str


class Requirement(NamedTuple):
    """What an agent needs for a ticket; tickets with equal requirements form one eligibility class.

    skill      "" is none.
    level      least level, 0 to 1.
    seniority  least seniority, 0 to 1.
    language   BCP 47 primary tag in lower case; "" is any.
    """

    skill: str = ""
    level: float = 0.0
    seniority: float = 0.0
    language: str = ""


@dataclass(frozen=True, slots=True)
class QueueRules:
    """A parsed queues.toml. The default queues exist for every tenant."""

    queues: Mapping[str, Queue]
    rules: Sequence[Rule]
    predicted_min: Mapping[str, float]
    level_by_complexity: Mapping[str, float]

    def queue_for(self, labels: Labels, *, needs_review: bool) -> str:
        """Id of the queue for these labels; triage where a person should look, general where no rule matches."""
        if needs_review:
            return TRIAGE
        for rule in self.rules:
            if all(getattr(labels, label) == slug for label, slug in rule.labels.items()):
                return rule.queue_id
        return GENERAL

    def queue_of(self, ticket: Ticket, overrides: Mapping[str, Queue]) -> Queue:
        """The ticket's queue with its tenant's settings; general where its queue is no more."""
        return overrides.get(ticket.queue_id) or self.queues.get(ticket.queue_id) or self.queues[GENERAL]

    def minutes(self, labels: Labels | None) -> float:
        """Predicted minutes of work; unlabelled tickets count as simple."""
        return self.minutes_of(labels.complexity if labels else "simple")

    def minutes_of(self, complexity: str) -> float:
        """Predicted minutes of a ticket of this complexity; an unknown one counts as simple."""
        return self.predicted_min.get(complexity, self.predicted_min["simple"])

    def requirement(self, queue: Queue, ticket: Ticket) -> Requirement:
        """What an agent needs for the ticket in this queue. After it has waited for too long, any level and seniority
        will do."""
        labels = ticket.labels
        complexity = labels.complexity if labels else "simple"
        language = (labels.language if labels else "") or ticket.facts.language_hint
        widened = ticket.escalation >= WIDENED
        level = queue.level + self.level_by_complexity.get(complexity, 0.0) if queue.skill else 0.0
        return Requirement(
            skill=queue.skill,
            level=0.0 if widened else min(level, 1.0),
            seniority=0.0 if widened else SENIORITY.get(complexity, 0.0),
            language=language.split("-")[0].lower(),
        )


def override(queue: Queue, fields: Mapping[str, Any], policies: Collection[str]) -> Queue:
    """The queue with a tenant's settings. Raises ValueError, naming the field, where a value makes no sense."""
    changed = replace(queue, **fields)
    faults = queue_faults(changed, policies)
    if faults:
        raise ValueError("; ".join(faults))
    return changed


def queue_faults(queue: Queue, policies: Collection[str]) -> list[str]:
    """What is wrong with a queue, in words; empty if nothing is."""
    faults = []
    if queue.mode not in MODES:
        faults.append(f"{queue.queue_id}: mode must be one of {', '.join(MODES)}")
    if queue.policy not in policies:
        faults.append(f"{queue.queue_id}: policy must be one of {', '.join(sorted(policies))}")
    if not 0 <= queue.level <= 1:
        faults.append(f"{queue.queue_id}: level must lie between 0 and 1")
    if not 0 <= queue.wrap_up_s <= 3600:
        faults.append(f"{queue.queue_id}: wrap_up_s must lie between 0 and 3600")
    if not 1 <= queue.offer_timeout_s <= 86400:
        faults.append(f"{queue.queue_id}: offer_timeout_s must lie between 1 and 86400")
    return faults


def parse(text: str, *, skills: Collection[str], categories: Collection[str], policies: Collection[str]) -> QueueRules:
    """Read queues.toml against the vocabularies. Raises ValueError with every fault; a bad file stops the start."""
    data = tomllib.loads(text)
    defaults = data.get("defaults", {})
    queues = {queue_id: _queue(queue_id, row, defaults) for queue_id, row in data.get("queues", {}).items()}
    rules = [
        Rule({key: slug for key, slug in row.items() if key != "queue"}, row.get("queue", ""))
        for row in data.get("rules", [])
    ]
    parsed = QueueRules(queues, rules, defaults.get("predicted_min", {}), data.get("level_by_complexity", {}))
    faults = _faults(parsed, skills, categories, policies)
    if faults:
        raise ValueError("queues.toml: " + "; ".join(faults))
    return parsed


def _queue(queue_id: str, row: Mapping[str, Any], defaults: Mapping[str, Any]) -> Queue:
    return Queue(
        queue_id,
        name=row.get("name", {}).get("en", queue_id),
        name_zh=row.get("name", {}).get("zh", ""),
        skill=row.get("skill", ""),
        level=row.get("level", defaults.get("level", 0.0)) if row.get("skill") else 0.0,
        mode=row.get("mode", defaults.get("mode", "assign")),
        policy=row.get("policy", defaults.get("policy", DEFAULT_POLICY)),
        offer_timeout_s=row.get("offer_timeout_s", defaults.get("offer_timeout_s", 60)),
        wrap_up_s=row.get("wrap_up_s", defaults.get("wrap_up_s", 0)),
    )


def _faults(
    rules: QueueRules, skills: Collection[str], categories: Collection[str], policies: Collection[str]
) -> list[str]:
    faults = [f"queue {needed} is missing" for needed in (TRIAGE, GENERAL) if needed not in rules.queues]
    for queue in rules.queues.values():
        faults += queue_faults(queue, policies)
        if queue.skill and queue.skill not in skills:
            faults.append(f"{queue.queue_id}: unknown skill {queue.skill}")
    for number, rule in enumerate(rules.rules, 1):
        if rule.queue_id not in rules.queues:
            faults.append(f"rule {number}: unknown queue {rule.queue_id or '(none)'}")
        if not rule.labels or any(label not in RULE_LABELS for label in rule.labels):
            faults.append(f"rule {number}: labels must be some of {', '.join(RULE_LABELS)}")
        if rule.labels.get("category", "other") not in categories:
            faults.append(f"rule {number}: unknown category {rule.labels['category']}")
    missing = set(categories) - {rule.labels.get("category") for rule in rules.rules if len(rule.labels) == 1}
    faults += [f"no rule for category {category}" for category in sorted(missing)]
    if any(rules.predicted_min.get(name, 0) <= 0 for name in SENIORITY):
        faults.append("defaults.predicted_min must give minutes above 0 for simple, moderate and complex")
    return faults
