"""Service levels and queue rules: the shipped files are right, and wrong ones stop the start."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest

from fenliu.contracts import vocabulary
from services.router.domain import queues, sla
from services.router.domain.clocks import WIDENED
from services.router.domain.policies import POLICIES
from services.router.domain.ticket import Agent, Facts, Labels, Ticket
from services.router.domain.waiting import waiting_reasons

RECEIVED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SLA = files("services.router").joinpath("sla.toml").read_text(encoding="utf-8")
QUEUES = files("services.router").joinpath("queues.toml").read_text(encoding="utf-8")


def parse_queues(text: str) -> queues.QueueRules:
    return queues.parse(text, skills=vocabulary.skills(), categories=vocabulary.CATEGORIES, policies=POLICIES)


@pytest.mark.parametrize(("tier", "minutes"), [("urgent", 30), ("priority", 120), ("standard", 240)])
def test_due_standard_customer_gets_the_promise_of_the_tier(tier: str, minutes: int) -> None:
    first, last = sla.parse(SLA).due(RECEIVED, "standard", tier)
    assert first == RECEIVED + timedelta(minutes=minutes)
    assert last > first


def test_due_unknown_class_and_tier_get_the_standard_promise() -> None:
    assert sla.parse(SLA).due(RECEIVED, "martian", "whenever") == sla.parse(SLA).due(RECEIVED, "standard", "standard")


def test_requirement_ticket_that_waited_too_long_asks_for_the_skill_alone() -> None:
    rules = parse_queues(QUEUES)
    hard = _ticket(Labels(complexity="complex"))
    widened = rules.requirement(rules.queues["payment"], replace(hard, escalation=WIDENED))
    assert rules.requirement(rules.queues["payment"], hard).level > 0
    assert widened == queues.Requirement(skill="payment")


def _ticket(labels: Labels, language_hint: str = "") -> Ticket:
    return Ticket("t", "k", "main", RECEIVED, labels=labels, facts=Facts(language_hint=language_hint))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("urgent = { first_response_min = 30,", "urgent = { first_response_min = 0,", "above 0"),
        ("urgent = { first_response_min = 30,", "urgent = { first_response_min = 130,", "urgent <= priority"),
        ("next_response_min = 30,", "next_response_min = 0,", "above 0"),
        ("warn = 0.75", "warn = 1.75", "do not fall"),
        ('overflow_queue = "overflow"', "", "overflow_queue is missing"),
        ('calendar = "always"', 'calendar = "never"', "unknown calendar never"),
        ("remind_min = 720", "remind_min = 7200", "remind_min"),
        ("silence = 0.5", "silence = 5", "silence"),
        ("[hold.warehouse]", "[hold.wherehouse]", "must be one of"),
        ("[targets.standard]", "[targets.ordinary]", "class standard is missing"),
        ('version = "2026-11-2"', 'version = ""', "version is missing"),
        ("[hold.customer]", "[hold.nobody]", "must name customer"),
    ],
)
def test_sla_that_makes_no_sense_is_refused_with_its_fault(old: str, new: str, fault: str) -> None:
    assert old in SLA
    with pytest.raises(ValueError, match=fault):
        sla.parse(SLA.replace(old, new, 1))


def test_rules_every_category_leads_to_a_queue() -> None:
    rules = parse_queues(QUEUES)
    found = {category: rules.queue_for(Labels(category), needs_review=False) for category in vocabulary.CATEGORIES}
    assert found["logistics"] == "logistics"
    assert found["unclear"] == "triage"
    assert found["other"] == "general"
    assert set(found.values()) <= set(rules.queues)


def test_rules_ticket_to_review_goes_to_triage_and_unknown_category_to_general() -> None:
    rules = parse_queues(QUEUES)
    assert rules.queue_for(Labels("payment"), needs_review=True) == "triage"
    assert rules.queue_for(Labels("from_the_future"), needs_review=False) == "general"


def test_requirement_complex_ticket_asks_for_more_skill_and_seniority() -> None:
    rules = parse_queues(QUEUES)
    simple = rules.requirement(rules.queues["payment"], _ticket(Labels(complexity="simple", language="zh-CN")))
    hard = rules.requirement(rules.queues["payment"], _ticket(Labels(complexity="complex"), "en-GB"))
    assert (simple.skill, simple.language, simple.seniority) == ("payment", "zh", 0.0)
    assert hard.level > simple.level
    assert hard.seniority > simple.seniority
    assert hard.language == "en"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[queues.triage]", "[queues.triaje]", "queue triage is missing"),
        ('skill = "payment"', 'skill = "telepathy"', "unknown skill telepathy"),
        ('queue = "payment"', 'queue = "nowhere"', "unknown queue nowhere"),
        ('category = "payment"', 'category = "paiment"', "unknown category paiment"),
        ('policy = "fenliu"', 'policy = "dice"', "policy must be one of"),
        ('mode = "assign"', 'mode = "auction"', "mode must be one of"),
        ("simple = 4", "simple = 0", "predicted_min"),
    ],
)
def test_queues_that_make_no_sense_are_refused_with_their_fault(old: str, new: str, fault: str) -> None:
    assert old in QUEUES
    with pytest.raises(ValueError, match=fault):
        parse_queues(QUEUES.replace(old, new, 1))


def test_override_names_the_bad_field() -> None:
    queue = parse_queues(QUEUES).queues["order"]
    assert queues.override(queue, {"mode": "offer"}, POLICIES).mode == "offer"
    with pytest.raises(ValueError, match="level"):
        queues.override(queue, {"level": 2.0}, POLICIES)


def test_reason_for_waiting_that_is_remembered_is_the_one_that_would_be_worked_out() -> None:
    rules = parse_queues(QUEUES)
    staff = [Agent("t", "a", "main", "a", skills={"order": 1.0}, presence="online", capacity=1)]
    plain = replace(_ticket(Labels("order", "standard", "simple")), ticket_id="plain")
    declined = replace(plain, ticket_id="declined", declined_by=("a",))
    known: dict[tuple[object, ...], str] = {}
    kept = waiting_reasons([plain], staff, rules, {}, known) | waiting_reasons([declined], staff, rules, {}, known)
    assert (
        kept == {"plain": "queued", "declined": "all_declined"} == waiting_reasons([plain, declined], staff, rules, {})
    )
    assert waiting_reasons([plain], [], rules, {}, known) == {"plain": "queued"}, (
        "it was worked out for this staff once"
    )
