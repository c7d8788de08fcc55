import asyncio

import httpx2
import pytest

from fenliu.chassis.auth import StatusTokens
from fenliu.contracts.events import TicketStatusChanged
from tests.component.intake.conftest import BROWSER_KEY, KEY, ORIGIN, START, Intake


async def test_create_returns_202_with_location_and_status_link_after_the_commit(intake: Intake):
    answer = await intake.post(
        "/v1/tickets", {"text": "几时能送货", "customer_id": "c1", "attributes": {"n": 1, "b": True}}
    )
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/tickets/{body['ticket_id']}"
    assert (body["state"], body["joined"], body["received_at"]) == ("received", False, "2026-11-21T12:00:00Z")
    claims = StatusTokens(KEY).verify(body["status_token"], START)
    assert (claims.tenant_id, claims.ticket_id, claims.received_at) == ("t1", body["ticket_id"], START)
    assert body["status_url"] == f"https://status.example/s/{body['status_token']}"
    (event,) = await intake.published()
    assert (event.tenant_id, event.ticket_id, event.text, event.sequence) == ("t1", body["ticket_id"], "几时能送货", 1)
    assert (event.origin, event.customer_id, event.repeat_contacts) == ("customer", "c1", 0)
    shown = (await intake.get(answer.headers["location"])).json()
    assert shown["attributes"] == {"n": 1, "b": True}


async def test_create_same_idempotency_key_and_body_gives_the_same_answer_and_one_ticket(intake: Intake):
    first = await intake.open(key="k1")
    intake.clock.advance(hours=5)
    assert await intake.open(key="k1") == first
    assert len(await intake.rows("tickets")) == len(await intake.rows("messages")) == 1
    assert len(await intake.published()) == 1


async def test_create_same_idempotency_key_fifty_at_once_gives_one_ticket(intake: Intake, second: Intake):
    answers = await asyncio.gather(*((intake, second)[n % 2].open(key="k1", order_id="O1") for n in range(50)))
    assert all(answer == answers[0] for answer in answers)
    assert len(await intake.rows("tickets")) == len(await intake.rows("messages")) == 1
    assert len(await intake.published()) == 1


async def test_create_same_key_other_body_is_refused_and_writes_nothing(intake: Intake):
    await intake.open(key="k1")
    for body in ({"text": "other", "customer_id": "c1"}, {"text": "几时能送货", "customer_id": "c2"}):
        answer = await intake.post("/v1/tickets", body, Idempotency_Key="k1")
        assert answer.status_code == 422
        assert answer.json()["type"].endswith("/idempotency-key-reused")
    assert len(await intake.rows("tickets")) == 1


async def test_create_same_key_with_two_bodies_in_one_commit_refuses_one(intake: Intake):
    bodies = [{"text": text, "customer_id": "c1"} for text in ("a", "b")]
    answers = await asyncio.gather(*(intake.post("/v1/tickets", body, Idempotency_Key="k") for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [202, 422]
    assert len(await intake.rows("tickets")) == 1


async def test_create_same_key_of_another_tenant_is_another_ticket(intake: Intake):
    first, other = await intake.open(key="k1"), await intake.open(key="k1", tenant="t2")
    assert first["ticket_id"] != other["ticket_id"]
    assert len(await intake.rows("tickets")) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "schlüssel", "a\tb"])
async def test_create_malformed_idempotency_key_is_refused(intake: Intake, key: str):
    headers = intake.auth() | {"Idempotency-Key": key.encode("latin-1")}
    answer = await intake.http.post("/v1/tickets", json={"text": "a", "customer_id": "c"}, headers=headers)
    assert answer.status_code in (400, 422)
    assert await intake.rows("tickets") == []


async def test_create_second_contact_about_the_same_order_joins(intake: Intake):
    first = await intake.open(order_id="O1", text="one")
    joined = await intake.open(order_id="O1", text="two", key="k2")
    assert (joined["ticket_id"], joined["joined"]) == (first["ticket_id"], True)
    assert await intake.open(order_id="O1", text="two", key="k2") == joined
    (event,) = await intake.published("TicketMessageAdded")
    assert (event.text, event.joined_text, event.sequence, event.repeat_contact) == ("two", "one\ntwo", 2, True)
    (ticket,) = await intake.rows("tickets")
    assert (ticket.repeat_contacts, ticket.sequence) == (1, 2)
    assert len(await intake.rows("messages")) == 2


async def test_create_contacts_about_one_matter_at_once_make_one_ticket(intake: Intake, second: Intake):
    answers = await asyncio.gather(*((intake, second)[n % 2].open(order_id="O1", text=f"m{n}") for n in range(40)))
    assert len({answer["ticket_id"] for answer in answers}) == 1
    assert sorted(answer["joined"] for answer in answers) == [False] + [True] * 39
    (ticket,) = await intake.rows("tickets")
    assert (ticket.sequence, ticket.repeat_contacts) == (40, 39)
    assert sorted(row.sequence for row in await intake.rows("messages")) == list(range(1, 41))
    events = await intake.published()
    assert sorted(event.sequence for event in events) == list(range(1, 41))
    assert len(await intake.published("TicketReceived")) == 1


async def test_create_other_customer_about_the_same_order_does_not_join(intake: Intake):
    await intake.open(order_id="O1")
    assert not (await intake.open(order_id="O1", customer_id="c2"))["joined"]
    assert not (await intake.open(order_id="O1", tenant="t2"))["joined"]


async def snapshot(intake: Intake, ticket_id: str, state: str, version: int, **fields: object) -> None:
    await intake.handle(
        TicketStatusChanged(tenant_id="t1", ticket_id=ticket_id, state=state, version=version, **fields)
    )


@pytest.mark.parametrize("state", ["resolved", "closed", "cancelled"])
async def test_create_after_the_ticket_was_settled_opens_a_new_one(intake: Intake, state: str):
    first = await intake.open(order_id="O1")
    await snapshot(intake, first["ticket_id"], state, 3)
    again = await intake.open(order_id="O1")
    assert not again["joined"]
    assert [event.repeat_contacts for event in await intake.published("TicketReceived")] == [0, 1]


async def test_create_after_the_ticket_was_reopened_joins_it(intake: Intake):
    first = await intake.open(order_id="O1")
    await snapshot(intake, first["ticket_id"], "resolved", 3)
    await snapshot(intake, first["ticket_id"], "waiting", 4, reopen_count=1)
    assert (await intake.open(order_id="O1"))["ticket_id"] == first["ticket_id"]


async def test_create_without_customer_needs_a_customers_token(intake: Intake):
    answer = await intake.post("/v1/tickets", {"text": "a"})
    assert (answer.status_code, answer.json()["type"].rsplit("/")[-1]) == (422, "customer-missing")
    answer = await intake.post("/v1/tickets", {"text": "a"}, role="customer", subject="c9")
    assert answer.status_code == 202
    assert [row.customer_id for row in await intake.rows("tickets")] == ["c9"]


async def test_create_customer_naming_another_customer_is_refused(intake: Intake):
    answer = await intake.post("/v1/tickets", {"text": "a", "customer_id": "c2"}, role="customer", subject="c1")
    assert answer.status_code == 403
    assert await intake.rows("tickets") == []


async def test_create_browser_key_creates_only_and_never_learns_the_link_of_an_open_ticket(intake: Intake):
    headers = {"Authorization": f"Bearer {BROWSER_KEY}", "Origin": ORIGIN}
    body = {"text": "a", "customer_id": "c1", "order_id": "O1"}
    first = await intake.http.post("/v1/tickets", json=body, headers=headers)
    assert first.status_code == 202
    assert first.json()["status_token"]
    joined = (await intake.http.post("/v1/tickets", json=body, headers=headers)).json()
    assert (joined["joined"], joined["status_url"], joined["status_token"]) == (True, None, None)
    assert (await intake.http.get("/v1/tickets", headers=headers)).status_code == 403


HOSTILE = [
    b'{"text": NaN, "customer_id": "c"}',
    b'{"text": "a", "customer_id": "c", "attributes": {"n": 1e999}}',
    b'{"text": "a\\u0000b", "customer_id": "c"}',
    b'{"text": "a\\ud800", "customer_id": "c"}',
    b'{"text": "a", "customer_id": "c", "state": "closed"}',
    b'{"text": "a", "customer_id": "c", "tenant_id": "t2"}',
    b'{"text": "a", "customer_id": 5}',
    b'{"text": "a", "customer_id": ""}',
    b'{"text": "", "customer_id": "c"}',
    b'{"text": "  \\n ", "customer_id": "c"}',
    b'{"text": "a", "customer_id": "' + b"x" * 129 + b'"}',
    b'{"text": "' + b"x" * 16_001 + b'", "customer_id": "c"}',
    b'{"text": "a", "customer_id": "c", "attributes": {"n": {"m": 1}}}',
    b'{"text": "a", "customer_id": "c", "channel": "We b"}',
    b'{"text": "a", "customer_id": "c", "locale": "<script>"}',
    b'{"text": "a", "text": "b", "customer_id": "c"}',
    b'["text"]',
    b"",
    b"{",
    b"\xff\xfe{}",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_create_hostile_body_is_a_problem_and_writes_nothing(intake: Intake, body: bytes):
    headers = intake.auth() | {"Content-Type": "application/json"}
    answer = await intake.http.post("/v1/tickets", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await intake.rows("tickets") == []


@pytest.mark.parametrize("text", ["Robert'); DROP TABLE tickets;--", "👩‍👩‍👧‍👦‮ e\u0301", "{{7*7}} ${x} %s", "a\nb\tc"])
async def test_create_odd_text_is_stored_as_it_came(intake: Intake, text: str):
    ticket = await intake.open(text=text, customer_id="c';--")
    messages = (await intake.get(f"/v1/tickets/{ticket['ticket_id']}/messages")).json()["items"]
    assert [message["text"] for message in messages] == [text]


async def test_list_goes_through_all_tickets_once_newest_first(intake: Intake):
    for number in range(7):
        await intake.open(text=str(number), order_id=f"O{number % 2}", customer_id=f"c{number}")
        intake.clock.advance(seconds=number % 3)  # some share a moment
    seen, cursor = [], None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        body = (await intake.get("/v1/tickets", **params)).json()
        seen += body["items"]
        if (cursor := body["next"]) is None:
            break
    assert len(seen) == 7
    assert len({item["ticket_id"] for item in seen}) == 7
    moments = [item["received_at"] for item in seen]
    assert moments == sorted(moments, reverse=True)
    assert len((await intake.get("/v1/tickets", order_id="O1")).json()["items"]) == 3
    assert len((await intake.get("/v1/tickets", customer_id="c3")).json()["items"]) == 1
    assert len((await intake.get("/v1/tickets", state="received")).json()["items"]) == 7
    assert (await intake.get("/v1/tickets", state="closed")).json() == {"items": [], "next": None}
    assert (await intake.get("/v1/tickets", cursor="nonsense")).status_code == 422


async def test_list_customer_sees_their_own_only(intake: Intake):
    await intake.open(customer_id="c1")
    await intake.open(customer_id="c2")
    for params in ({}, {"customer_id": "c1"}):
        items = (await intake.get("/v1/tickets", role="customer", subject="c1", **params)).json()["items"]
        assert [item["customer_id"] for item in items] == ["c1"]
    assert (await intake.get("/v1/tickets", role="customer", subject="c1", customer_id="c2")).json()["items"] == []


def without_id(answer: httpx2.Response) -> tuple[int, dict]:
    body = answer.json()
    body.pop("request_id")
    return answer.status_code, body


async def test_foreign_ticket_answers_exactly_as_a_missing_one(intake: Intake):
    foreign = (await intake.open(customer_id="c2", tenant="t2"))["ticket_id"]
    other = (await intake.open(customer_id="c2"))["ticket_id"]
    bodies = {"messages": {"text": "a"}, "cancel": {}, "help": {}, "confirm": {}, "reopen": {}, "rating": {"score": 3}}
    as_customer = {"role": "customer", "subject": "c1"}
    for ticket, caller in ((foreign, {}), (other, as_customer), (foreign, as_customer)):
        for path in ("/v1/tickets/{}", "/v1/tickets/{}/messages"):
            missing = await intake.get(path.format("missing"), **caller)
            assert missing.status_code == 404
            assert without_id(await intake.get(path.format(ticket), **caller)) == without_id(missing)
        for action, body in bodies.items():
            missing = await intake.post(f"/v1/tickets/missing/{action}", body, **caller)
            assert missing.status_code == 404
            answer = await intake.post(f"/v1/tickets/{ticket}/{action}", body, **caller)
            assert without_id(answer) == without_id(missing)
    assert len(await intake.published()) == 2
