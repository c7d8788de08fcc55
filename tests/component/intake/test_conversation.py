import asyncio
from datetime import timedelta

import pytest

from fenliu.chassis.auth import StatusTokens
from fenliu.contracts.events import TicketStatusChanged
from tests.component.intake.conftest import KEY, START, Intake


async def snapshot(intake: Intake, ticket_id: str, state: str, version: int, **fields: object) -> None:
    await intake.handle(
        TicketStatusChanged(tenant_id="t1", ticket_id=ticket_id, state=state, version=version, **fields)
    )


async def test_message_of_customer_and_agent_are_kept_and_published(intake: Intake):
    ticket = (await intake.open(text="one"))["ticket_id"]
    path = f"/v1/tickets/{ticket}/messages"
    by_customer = await intake.post(path, {"text": "two"}, role="customer", subject="c1")
    by_agent = await intake.post(path, {"text": "three"}, role="agent", subject="a1")
    assert by_customer.status_code == by_agent.status_code == 202
    assert by_agent.json() == {"message_id": f"{ticket}.3", "sequence": 3}
    events = await intake.published("TicketMessageAdded")
    assert [(e.author_role, e.author_id, e.text, e.joined_text) for e in events] == [
        ("customer", "c1", "two", "one\ntwo"),
        ("agent", "a1", "three", ""),
    ]
    shown = (await intake.get(path)).json()["items"]
    assert [(m["sequence"], m["author_role"], m["text"]) for m in shown] == [
        (1, "customer", "one"),
        (2, "customer", "two"),
        (3, "agent", "three"),
    ]


async def test_internal_note_is_never_shown_to_customers_nor_published(intake: Intake):
    ticket = (await intake.open())["ticket_id"]
    path, note = f"/v1/tickets/{ticket}/messages", {"text": "SECRET-NOTE", "visibility": "internal"}
    assert (await intake.post(path, note, role="agent", subject="a1")).status_code == 202
    for role, subject in (("customer", "c1"), ("storefront", "web"), ("integration", "erp")):
        assert "SECRET-NOTE" not in (await intake.get(path, role=role, subject=subject)).text
        assert (await intake.post(path, note, role=role, subject=subject)).status_code == 403
    assert "SECRET-NOTE" in (await intake.get(path, role="agent", subject="a2")).text
    (event,) = await intake.published("TicketMessageAdded")
    assert (event.visibility, event.text) == ("internal", "")
    assert all(b"SECRET-NOTE" not in row.value for row in await intake.rows("outbox"))


async def test_message_retried_with_its_key_is_added_once(intake: Intake):
    ticket = (await intake.open())["ticket_id"]
    path = f"/v1/tickets/{ticket}/messages"
    sends = (intake.post(path, {"text": "a"}, role="agent", subject="a1", Idempotency_Key="k") for _ in range(10))
    answers = await asyncio.gather(*sends)
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(await intake.rows("messages")) == 2
    other = await intake.post(path, {"text": "b"}, role="agent", subject="a1", Idempotency_Key="k")
    assert (other.status_code, other.json()["type"].rsplit("/")[-1]) == (422, "idempotency-key-reused")
    assert len(await intake.published("TicketMessageAdded")) == 1


async def test_messages_at_once_get_sequences_without_gaps(intake: Intake, second: Intake):
    ticket = (await intake.open())["ticket_id"]
    path = f"/v1/tickets/{ticket}/messages"
    await asyncio.gather(*((intake, second)[n % 2].post(path, {"text": f"m{n}"}) for n in range(20)))
    assert sorted(row.sequence for row in await intake.rows("messages")) == list(range(1, 22))


async def test_messages_are_listed_in_pages(intake: Intake):
    ticket = (await intake.open())["ticket_id"]
    path = f"/v1/tickets/{ticket}/messages"
    for number in range(4):
        await intake.post(path, {"text": str(number)})
    first = (await intake.get(path, limit=3)).json()
    rest = (await intake.get(path, limit=3, cursor=first["next"])).json()
    assert [m["sequence"] for m in first["items"] + rest["items"]] == [1, 2, 3, 4, 5]
    assert rest["next"] is None


async def test_customers_message_on_a_resolved_ticket_asks_to_reopen_it(intake: Intake):
    ticket = (await intake.open())["ticket_id"]
    await snapshot(intake, ticket, "resolved", 5)
    await intake.post(f"/v1/tickets/{ticket}/messages", {"text": "thanks"}, role="agent", subject="a1")
    assert await intake.published("TicketReopenRequested") == []
    await intake.post(f"/v1/tickets/{ticket}/messages", {"text": "still broken"}, role="customer", subject="c1")
    (event,) = await intake.published("TicketReopenRequested")
    assert (event.reason, event.sequence) == ("still broken", 4)


async def test_message_and_requests_on_a_closed_ticket_are_refused(intake: Intake):
    opened = await intake.open()
    ticket = opened["ticket_id"]
    await snapshot(intake, ticket, "closed", 5)
    form = {"token": opened["status_token"], "text": "and one more thing"}
    answer = await intake.http.post("/v1/tickets/reply", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{opened['status_url']}?unsent=1")
    for action, body in (("messages", {"text": "a"}), ("cancel", {}), ("help", None), ("confirm", {}), ("reopen", {})):
        answer = await intake.post(f"/v1/tickets/{ticket}/{action}", body)
        assert (answer.status_code, answer.json()["type"].rsplit("/")[-1]) == (409, "ticket-over")
    assert len(await intake.published()) == 1


async def test_cancel_is_shown_until_the_router_has_decided_and_published_once(intake: Intake):
    ticket = (await intake.open())["ticket_id"]
    for _ in range(2):
        answer = await intake.post(f"/v1/tickets/{ticket}/cancel", {"reason": "bought elsewhere"})
        assert answer.status_code == 202
    (event,) = await intake.published("TicketCancelRequested")
    assert event.reason == "bought elsewhere"
    assert (await intake.get(f"/v1/tickets/{ticket}")).json()["cancel_requested"] is True
    await snapshot(intake, ticket, "cancelled", 2)
    shown = (await intake.get(f"/v1/tickets/{ticket}")).json()
    assert (shown["state"], shown["cancel_requested"]) == ("cancelled", False)


@pytest.mark.parametrize(
    ("action", "kind"),
    [("help", "TicketHelpRequested"), ("confirm", "TicketConfirmed"), ("reopen", "TicketReopenRequested")],
)
async def test_request_without_a_body_is_published(intake: Intake, action: str, kind: str):
    ticket = (await intake.open())["ticket_id"]
    answer = await intake.http.post(f"/v1/tickets/{ticket}/{action}", headers=intake.auth("customer", "c1"))
    assert (answer.status_code, answer.json()) == (202, {"ticket_id": ticket, "accepted": action})
    (event,) = await intake.published(kind)
    assert event.sequence == 2
    if action == "confirm":
        assert event.confirmed_by == "customer"


async def test_rating_is_replaced_published_when_it_changes_and_listed(intake: Intake):
    ticket = (await intake.open())["ticket_id"]
    path = f"/v1/tickets/{ticket}/rating"
    for score in (2, 2, 5):
        assert (await intake.post(path, {"score": score}, role="customer", subject="c1")).status_code == 202
    assert [event.score for event in await intake.published("TicketRated")] == [2, 5]
    listed = (await intake.get("/v1/feedback/ratings", role="supervisor", subject="s1")).json()
    assert [(item["ticket_id"], item["score"]) for item in listed["items"]] == [(ticket, 5)]
    assert (await intake.get("/v1/feedback/ratings", role="supervisor", subject="s1", tenant="t2")).json()[
        "items"
    ] == []
    assert (await intake.get("/v1/feedback/ratings", role="customer", subject="c1")).status_code == 403
    for bad in ({"score": 0}, {"score": 6}, {"score": "5"}, {"score": True}, {}):
        assert (await intake.post(path, bad)).status_code == 422


async def test_status_page_form_writes_and_goes_back_to_the_page(intake: Intake):
    ticket = await intake.open()
    form = {"token": ticket["status_token"], "text": "还没到\r\n急 & 100%"}
    answer = await intake.http.post("/v1/tickets/reply", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == ticket["status_url"]
    (event,) = await intake.published("TicketMessageAdded")
    assert (event.author_role, event.author_id, event.text) == ("customer", "c1", "还没到\n急 & 100%")
    answer = await intake.http.post("/v1/tickets/reply", data={"token": ticket["status_token"], "action": "cancel"})
    assert answer.status_code == 303
    assert len(await intake.published("TicketCancelRequested")) == 1


async def test_status_page_json_answers_202(intake: Intake):
    ticket = await intake.open()
    answer = await intake.http.post("/v1/tickets/reply", json={"token": ticket["status_token"], "text": "hello"})
    assert (answer.status_code, answer.json()["sequence"]) == (202, 2)
    answer = await intake.http.post("/v1/tickets/reply", json={"token": ticket["status_token"], "action": "help"})
    assert (answer.status_code, answer.json()["accepted"]) == (202, "help")


async def test_status_page_rates_also_what_is_closed_and_a_second_score_replaces_the_first(intake: Intake):
    ticket = await intake.open()
    await snapshot(intake, ticket["ticket_id"], "closed", 5)
    rate = {"token": ticket["status_token"], "action": "rate"}
    answer = await intake.http.post("/v1/tickets/reply", data=rate | {"score": "2"})
    assert (answer.status_code, answer.headers["location"]) == (303, ticket["status_url"])
    answer = await intake.http.post("/v1/tickets/reply", json=rate | {"score": 5, "text": "quick"})
    assert (answer.status_code, answer.json()["accepted"]) == (202, "rating")
    assert [event.score for event in await intake.published("TicketRated")] == [2, 5]
    (kept,) = await intake.rows("ratings")
    assert (kept.ticket_id, kept.score, kept.comment) == (ticket["ticket_id"], 5, "quick")
    for bad in ({}, {"score": 0}, {"score": 6}, {"score": "5"}, {"score": True}):
        assert (await intake.http.post("/v1/tickets/reply", json=rate | bad)).status_code == 422
    for bad in ("0", "6", "12", "٣", "good"):
        assert (await intake.http.post("/v1/tickets/reply", data=rate | {"score": bad})).status_code == 422
    assert len(await intake.published("TicketRated")) == 2


async def test_status_page_may_send_its_form_by_script_from_its_own_origin_alone(intake: Intake):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for origin, allowed in (("https://status.example", "https://status.example"), ("https://evil.example", None)):
        answer = await intake.http.options("/v1/tickets/reply", headers=asked | {"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert ("Content-Type" in answer.headers.get("access-control-allow-headers", "")) is bool(allowed)


async def test_status_page_reply_needs_a_genuine_token_and_a_text(intake: Intake):
    ticket = await intake.open()
    token = ticket["status_token"]
    forged = StatusTokens("x" * 40).issue("t1", ticket["ticket_id"], START, START + timedelta(days=1))
    expired = StatusTokens(KEY).issue("t1", ticket["ticket_id"], START, START)
    missing = StatusTokens(KEY).issue("t1", "missing", START, START + timedelta(days=1))
    foreign = StatusTokens(KEY).issue("t2", ticket["ticket_id"], START, START + timedelta(days=1))
    cases = [(forged, 401), (expired, 401), ("nonsense", 401), (missing, 404), (foreign, 404)]
    for bad, status in cases:
        for sent in ({"data": {"token": bad, "text": "a"}}, {"json": {"token": bad, "text": "a"}}):
            assert (await intake.http.post("/v1/tickets/reply", **sent)).status_code == status
    for body in (
        {"token": token},
        {"token": token, "text": " "},
        {"token": token, "action": "close"},
        {"text": "a"},
        [],
    ):
        assert (await intake.http.post("/v1/tickets/reply", json=body)).status_code == 422
    assert (await intake.http.post("/v1/tickets/reply", content=b"token=%ff&text=a", headers=FORM)).status_code == 400
    assert (await intake.http.post("/v1/tickets/reply", content=b"token=a&token=b", headers=FORM)).status_code == 400
    assert (await intake.http.post("/v1/tickets/reply", content=b"x")).status_code == 415
    assert len(await intake.published()) == 1


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_status_copy_late_snapshot_never_undoes_a_newer_one(intake: Intake):
    ticket = (await intake.open())["ticket_id"]
    await snapshot(intake, ticket, "assigned", 3, agent_id="a1", agent_name="Li")
    await snapshot(intake, ticket, "waiting", 2)
    await snapshot(intake, ticket, "in_progress", 3)  # the same version is no newer
    shown = (await intake.get(f"/v1/tickets/{ticket}", role="agent", subject="a1")).json()
    assert (shown["state"], shown["version"], shown["agent_id"], shown["agent_name"]) == ("assigned", 3, "a1", "Li")
    seen_by_customer = (await intake.get(f"/v1/tickets/{ticket}", role="customer", subject="c1")).json()
    assert (seen_by_customer["agent_name"], seen_by_customer["agent_id"]) == ("Li", None)


async def test_status_copy_batch_in_any_order_ends_at_the_newest(intake: Intake):
    ticket = (await intake.open())["ticket_id"]
    states = [("resolved", 4), ("waiting", 1), ("closed", 6), ("in_progress", 3)]
    await intake.handle(
        *(TicketStatusChanged(tenant_id="t1", ticket_id=ticket, state=state, version=v) for state, v in states)
    )
    assert (await intake.get(f"/v1/tickets/{ticket}")).json()["state"] == "closed"
    assert await intake.rows("matters") == []


async def test_status_copy_late_resolved_does_not_close_the_matter_of_a_reopened_ticket(intake: Intake):
    ticket = (await intake.open(order_id="O1"))["ticket_id"]
    await snapshot(intake, ticket, "waiting", 5, reopen_count=1)
    await snapshot(intake, ticket, "resolved", 4)
    assert (await intake.open(order_id="O1"))["ticket_id"] == ticket


async def test_status_copy_of_another_tenants_ticket_changes_nothing(intake: Intake):
    ticket = (await intake.open(tenant="t2"))["ticket_id"]
    await snapshot(intake, ticket, "closed", 9)
    assert (await intake.get(f"/v1/tickets/{ticket}", tenant="t2")).json()["state"] == "received"
