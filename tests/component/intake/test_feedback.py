"""Corrections of labels: kept beside the text, handed out masked to admins, exported as training rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fenliu.cli.feedback import Unanswered, items, training_rows, write_rows
from fenliu.contracts.events import Labels, TicketRelabelled, TicketStatusChanged
from services.classifier.domain.label import LABELS
from services.classifier.model.corpus import Example
from tests.component.intake.conftest import Intake

BEFORE = {"category": "order", "tier": "standard", "complexity": "complex", "sentiment": "negative", "language": "zh"}
AFTER = {**BEFORE, "category": "payment", "complexity": "simple"}


def relabelled(intake: Intake, ticket_id: str, version: int = 3, tenant: str = "t1", **fields: Any) -> TicketRelabelled:
    event = TicketRelabelled(
        tenant_id=tenant, ticket_id=ticket_id, version=version, labels_before=Labels(**BEFORE),
        labels_after=Labels(**AFTER), corrected_by="ann", corrected_by_role="agent", model_version="m1", **fields,
    )  # fmt: skip
    event.corrected_at.FromDatetime(intake.clock.now())
    return event


async def listed(intake: Intake, role: str = "admin", tenant: str = "t1", **params: Any) -> Any:
    answer = await intake.get("/v1/feedback", role=role, subject="a", tenant=tenant, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_correction_is_kept_beside_the_text_and_listed_masked(intake: Intake) -> None:
    ticket = (await intake.open(text="扣了我两次钱 13912345678"))["ticket_id"]
    more = await intake.post(f"/v1/tickets/{ticket}/messages", {"text": "卡号4111111111111111"})
    assert more.status_code == 202
    note = {"text": "secret note", "visibility": "internal"}
    assert (await intake.post(f"/v1/tickets/{ticket}/messages", note, role="agent", subject="ann")).status_code == 202
    intake.clock.advance(seconds=10)
    told = relabelled(intake, ticket, reason="他的手机 13912345678 付了两次")
    intake.clock.advance(seconds=10)
    await intake.post(f"/v1/tickets/{ticket}/messages", {"text": "后来写的"})
    await intake.handle(told)
    await intake.handle(told)
    (item,) = (await listed(intake))["items"]
    assert item["text"] == "扣了我两次钱 <手机>\n卡号<银行卡>", "what the customer had written by then, and nobody else"
    assert (item["labels_before"], item["labels_after"]) == (BEFORE, AFTER)
    assert (item["corrected_by_role"], item["model_version"]) == ("agent", "m1")
    assert item["reason"] == "他的手机 <手机> 付了两次"
    assert item["corrected_at"].startswith("2026-11-21T12:00:10")
    assert "ann" not in json.dumps(item)


async def test_correction_of_a_ticket_that_a_fact_opened_has_no_text_and_labels_may_be_absent(intake: Intake) -> None:
    event = relabelled(intake, "opened-by-a-fact")
    event.ClearField("labels_before")
    await intake.handle(event)
    (item,) = (await listed(intake))["items"]
    assert (item["text"], item["labels_before"], item["reason"]) == ("", {}, None)


async def test_feedback_is_for_admins_of_the_tenant_alone(intake: Intake) -> None:
    ticket = (await intake.open())["ticket_id"]
    await intake.handle(relabelled(intake, ticket))
    assert (await listed(intake, tenant="t2"))["items"] == []
    for role in ("storefront", "customer", "agent", "supervisor", "integration"):
        assert (await intake.get("/v1/feedback", role=role, subject="x")).status_code == 403


async def test_feedback_pages_show_every_correction_once_newest_first(intake: Intake) -> None:
    for number in range(5):
        ticket = (await intake.open(customer_id=f"c{number}"))["ticket_id"]
        await intake.handle(relabelled(intake, ticket, 2), relabelled(intake, ticket, 3))
        intake.clock.advance(seconds=number % 2)
    seen, cursor = [], None
    while True:
        page = await listed(intake, limit=3, **({"cursor": cursor} if cursor else {}))
        seen += [(item["corrected_at"], item["ticket_id"], item["version"]) for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 10
    assert seen == sorted(seen, reverse=True)
    assert (await intake.get("/v1/feedback", role="admin", subject="a", cursor="xx")).status_code == 422


async def test_relabelled_event_leaves_the_copy_of_the_state_alone(intake: Intake) -> None:
    ticket = (await intake.open())["ticket_id"]
    await intake.handle(TicketStatusChanged(tenant_id="t1", ticket_id=ticket, state="waiting", version=2))
    await intake.handle(relabelled(intake, ticket, 9))
    assert (await intake.get(f"/v1/tickets/{ticket}")).json()["version"] == 2


def test_training_rows_take_the_newest_labels_of_each_ticket_in_the_form_of_the_corpus(tmp_path: Path) -> None:
    def item(ticket_id: str, text: str, **after: str) -> dict[str, Any]:
        return {"ticket_id": ticket_id, "text": text, "labels_after": after}

    rows = list(
        training_rows(
            [
                item(
                    "a", "扣了两次 13912345678", category="payment", tier="urgent", complexity="simple", sentiment="x"
                ),
                item("a", "扣了两次", category="order"),
                item("b", "", category="order"),
                item("c", "没有类别", tier="urgent"),
            ]
        )
    )
    assert rows == [
        {
            "text": "扣了两次 <手机>",
            "category": "payment",
            "tier": "urgent",
            "complexity": "simple",
            "source": "feedback",
        }
    ]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == rows
    labels = {label: slug for label, slug in rows[0].items() if label not in ("text", "source")}
    assert Example(rows[0]["text"], rows[0]["source"], labels, 1.0).labels.keys() <= LABELS.keys()


def test_items_follow_the_cursor_and_say_what_intake_answered() -> None:
    pages = {None: {"items": [1, 2], "next": "n"}, "n": {"items": [3], "next": None}}

    def answer(request: httpx2.Request) -> httpx2.Response:
        if "broken" in str(request.url):
            return httpx2.Response(403, text="not you")
        return httpx2.Response(200, json=pages[request.url.params.get("cursor")])

    with httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://intake") as client:
        assert list(items(client)) == [1, 2, 3]
    with (
        httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://broken") as client,
        pytest.raises(Unanswered, match="403: not you"),
    ):
        list(items(client))
