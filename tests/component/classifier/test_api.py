"""POST /v1/classify, GET /v1/models, and `fenliu classify`."""

import io
import json
from datetime import UTC, datetime

import httpx2
import pytest

from fenliu.chassis.auth import Tokens
from fenliu.cli.classify import write_labels
from fenliu.contracts import topics
from services.classifier.main import build
from services.classifier.settings import ClassifierSettings

KEY = "k" * 40
SETTINGS = ClassifierSettings(token_key=KEY, status_key=KEY)


def client(*roles: str) -> httpx2.AsyncClient:
    headers = {}
    if roles:
        token = Tokens(KEY).issue("acme", roles, "someone", 3600, datetime.now(UTC))
        headers["Authorization"] = f"Bearer {token}"
    transport = httpx2.ASGITransport(app=build(SETTINGS).app())
    return httpx2.AsyncClient(transport=transport, base_url="http://classifier", headers=headers)


async def test_classify_one_text_answers_all_labels() -> None:
    async with client("storefront") as caller:
        answer = await caller.post("/v1/classify", json={"text": "扣了我两次钱 13912345678"})
    assert answer.status_code == 200
    (item,) = answer.json()["items"]
    assert (item["category"], item["tier"], item["language"], item["intent"]) == ("payment", "urgent", "zh", "")
    assert set(item["probabilities"]) == {"category", "tier", "complexity", "sentiment"}
    assert item["reasons"]
    assert "139" not in answer.text


async def test_classify_several_texts_keeps_their_order() -> None:
    async with client("agent") as caller:
        answer = await caller.post("/v1/classify", json={"texts": ["发票怎么开", "", "where is my parcel"]})
    assert [item["category"] for item in answer.json()["items"]] == ["invoice", "unclear", "logistics"]


@pytest.mark.parametrize(
    "body", [{}, {"text": 1}, {"texts": []}, {"texts": ["a"] * 101}, {"text": "a", "more": 1}, {"text": "a" * 16_001}]
)
async def test_classify_wrong_bodies_are_refused(body: dict[str, object]) -> None:
    async with client("admin") as caller:
        answer = await caller.post("/v1/classify", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_classify_needs_a_token_and_a_role() -> None:
    async with client() as nobody, client("customer") as customer:
        assert (await nobody.post("/v1/classify", json={"text": "a"})).status_code == 401
        assert (await customer.post("/v1/classify", json={"text": "a"})).status_code == 403


async def test_models_names_the_current_one() -> None:
    async with client("supervisor") as caller:
        answer = await caller.get("/v1/models")
    (model,) = answer.json()["items"]
    assert model["current"]
    assert model["labels"]["tier"] == ["urgent", "priority", "standard"]
    assert len(model["data_version"]) == 12


def test_build_reads_ticket_inbound_without_a_database() -> None:
    service = build(SETTINGS)
    (subscription,) = service.subscriptions
    assert service.db is None
    assert subscription.topic == topics.TICKET_INBOUND
    assert subscription.wanted() == {"TicketReceived", "TicketMessageAdded"}


def test_classify_command_answers_line_by_line_and_names_bad_lines() -> None:
    lines = ['{"text": "我要退货"}\n', "\n", "not json\n", '{"words": 1}\n', '{"text": "", "id": 7}\n']
    out = io.StringIO()
    bad = write_labels(lines, out)
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert list(answers[0]) == ["category", "tier", "complexity", "sentiment", "language", "confidence"]
    assert [answer.get("category") for answer in answers] == ["returns_refunds", None, None, "unclear"]
    assert [number for number, _ in bad] == [3, 4]
    assert answers[1]["line"] == 3
    assert "JSON" in answers[1]["error"]
