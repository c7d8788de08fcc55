"""From records to events: what producers outside may leave out, and what is never accepted."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenliu.chassis.messaging.deadletter import Failure, dead_letter_of, read_back
from fenliu.chassis.messaging.decode import MAX_VALUE_BYTES, Decoder, Undecodable
from fenliu.chassis.messaging.envelope import Record, event_id_of, pack_headers, unpack_headers
from fenliu.contracts.events import OrderEvent
from fenliu.contracts.topics import ORDER_EVENTS, TICKET_INBOUND

ORDERS = Decoder(ORDER_EVENTS, {"OrderEvent"})
TICKETS = Decoder(TICKET_INBOUND, {"TicketReceived"})
JSON = b'{"tenant_id": "shop", "order_id": "o1", "kind": "ORDER_EVENT_KIND_PAID", "later_field": 1}'


def plain(value: bytes | None = JSON, **headers: str) -> Record:
    items = tuple(
        (name.replace("_", "-") if name == "content_type" else name, v.encode()) for name, v in headers.items()
    )
    return Record("order-events", 0, 0, b"o1", value, items, 1_767_225_600_000)


def test_decode_plain_json_from_outside_is_understood() -> None:
    received = ORDERS.decode(plain())
    assert received is not None
    assert received.event.order_id == "o1"  # type: ignore[attr-defined]
    assert received.envelope.tenant_id == "shop"
    assert received.envelope.source == "outside"
    assert received.envelope.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_decode_tenant_comes_from_the_header_where_the_payload_has_none() -> None:
    received = ORDERS.decode(plain(OrderEvent(order_id="o1").SerializeToString(), tenant="shop"))
    assert received is not None
    assert received.event.tenant_id == "shop"  # type: ignore[attr-defined]


def test_decode_tenant_of_the_deployment_is_the_last_resort() -> None:
    record = plain(b'{"order_id": "o1"}')
    with pytest.raises(Undecodable, match="tenant"):
        ORDERS.decode(record)
    bound = Decoder(ORDER_EVENTS, {"OrderEvent"}, default_tenant="shop").decode(record)
    assert bound is not None
    assert bound.envelope.tenant_id == "shop"


def test_decode_same_bytes_give_the_same_id_and_other_bytes_or_tenants_another() -> None:
    ids = [
        received.envelope.event_id
        for record in (plain(), plain(), plain(JSON + b" "), plain(b'{"order_id":"o1"}', tenant="a"))
        if (received := ORDERS.decode(record)) is not None
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_decode_same_outside_id_of_two_tenants_does_not_collide() -> None:
    value = b'{"order_id":"o1"}'
    one, two = ORDERS.decode(plain(value, tenant="a", ce_id="1")), ORDERS.decode(plain(value, tenant="b", ce_id="1"))
    assert one is not None
    assert two is not None
    assert one.envelope.event_id != two.envelope.event_id


@pytest.mark.parametrize(
    "value",
    [
        b"",
        None,
        b"{",
        b"[1]",
        b'{"order_id": NaN}',
        b'{"order_id": 5}',
        b'{"order_id": "\\ud800"}',
        b'{"order_id": "a\\u0000b", "tenant_id": "shop"}',
        b'{"note": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"{" + b" " * MAX_VALUE_BYTES + b"}",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b" * 5000,
    ],
)
def test_decode_hostile_value_is_undecodable(value: bytes | None) -> None:
    with pytest.raises(Undecodable):
        ORDERS.decode(plain(value, tenant="shop"))


def test_decode_two_tenants_in_one_record_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="differ"):
        ORDERS.decode(plain(tenant="rival"))


def test_decode_headers_that_are_not_text_are_undecodable() -> None:
    with pytest.raises(Undecodable):
        ORDERS.decode(replace(plain(), headers=(("ce_type", b"\xff"),)))


def test_decode_content_type_that_the_topic_does_not_take_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="content"):
        ORDERS.decode(plain(content_type="text/xml"))
    assert ORDERS.decode(plain(content_type="application/json; charset=utf-8")) is not None


def test_decode_inside_record_without_type_id_or_tenant_is_undecodable() -> None:
    for headers in ({}, {"ce_type": "TicketReceived"}, {"ce_type": "TicketReceived", "tenant": "shop"}):
        with pytest.raises(Undecodable):
            TICKETS.decode(plain(b"\x0a\x04shop", **headers))


def test_decode_type_that_nobody_wants_is_skipped_without_looking_at_the_value() -> None:
    assert TICKETS.decode(plain(b"\xff\xff", ce_type="TicketRated")) is None


@given(st.binary(max_size=300), st.sampled_from(["application/json", "application/protobuf", ""]))
def test_decode_any_bytes_give_an_event_or_undecodable(value: bytes, content_type: str) -> None:
    with contextlib.suppress(Undecodable):
        ORDERS.decode(plain(value, content_type=content_type, tenant="shop"))


@given(st.lists(st.tuples(st.text(max_size=60), st.binary(max_size=300)), max_size=12))
def test_headers_packed_and_unpacked_are_the_same(headers: list[tuple[str, bytes]]) -> None:
    assert unpack_headers(pack_headers(headers)) == headers


def test_event_id_same_fact_same_id_and_no_two_facts_share_one() -> None:
    assert event_id_of("intake", "A", "k", 1) == event_id_of("intake", "A", "k", 1)
    assert event_id_of("intake", "A", "k1", 1) != event_id_of("intake", "A", "k", 11)


def test_dead_letter_read_back_gives_the_original_and_the_reason_without_personal_data() -> None:
    original = plain(ce_type="OrderEvent")
    failure = Failure(original, ValueError("alice@example.com"), 3, datetime(2026, 1, 1, tzinfo=UTC))
    written = dead_letter_of(failure, "order-events-dlq", "intake.order-events")
    stored = Record("order-events-dlq", 0, 7, written.key, written.value, tuple(written.headers), 5)
    letter = read_back(stored)
    assert (letter.record.headers, letter.record.value, letter.record.key) == (original.headers, JSON, b"o1")
    assert (letter.error, letter.attempts, letter.group) == ("ValueError", 3, "intake.order-events")
    assert b"alice" not in b"".join(value for _, value in written.headers)
    again = dead_letter_of(Failure(stored, ValueError(), 1, failure.first_failed_at), "order-events-dlq", "g")
    assert [name for name, _ in again.headers].count("fenliu-dlq-error") == 1
