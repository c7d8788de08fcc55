import asyncio
import itertools
from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from fenliu.chassis.errors import Malformed, Transient
from fenliu.contracts.events import LogisticsEvent, LogisticsEventKind, OrderEvent, OrderEventKind, TicketStatusChanged
from tests.component.intake.conftest import START, Intake


def at(hours: float = 0) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(START + timedelta(hours=hours))
    return stamp


def order(kind: str = "PLACED", version: int = 1, **fields: object) -> OrderEvent:
    named = {"tenant_id": "t1", "order_id": "O1", "customer_id": "c1", "occurred_at": at(version / 60)} | fields
    return OrderEvent(kind=OrderEventKind.Value(f"ORDER_EVENT_KIND_{kind}"), version=version, **named)


def scan(kind: str = "IN_TRANSIT", version: int = 1, **fields: object) -> LogisticsEvent:
    named = {"tenant_id": "t1", "parcel_id": "P1", "occurred_at": at(version / 60)} | fields
    return LogisticsEvent(kind=LogisticsEventKind.Value(f"LOGISTICS_EVENT_KIND_{kind}"), version=version, **named)


async def test_order_and_parcel_events_become_views_on_the_ticket(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"], total_minor=9900, currency="CNY", promised_at=at(48)))
    await intake.handle(scan("OUT_FOR_DELIVERY", carrier="sf", location="上海"))
    ticket = (await intake.open(order_id="O1", parcel_id="P1"))["ticket_id"]
    shown = (await intake.get(f"/v1/tickets/{ticket}")).json()
    assert (shown["order"]["status"], shown["order"]["total_minor"]) == ("placed", 9900)
    assert (shown["parcel"]["status"], shown["parcel"]["carrier"], shown["parcel"]["order_id"]) == (
        "out_for_delivery",
        "sf",
        "O1",
    )
    read = (await intake.get("/v1/orders/O1")).json()
    assert read == shown["order"]
    assert [parcel["parcel_id"] for parcel in read["parcels"]] == ["P1"]
    assert (await intake.get("/v1/parcels/P1")).json() == shown["parcel"]


async def test_order_and_parcel_of_others_answer_like_missing_ones(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"]))
    await intake.handle(scan("IN_TRANSIT", parcel_id="P9"))
    for path in ("/v1/orders/O1", "/v1/parcels/P1"):
        assert (await intake.get(path, role="customer", subject="c1")).status_code == 200
        assert (await intake.get(path, role="customer", subject="c2")).status_code == 404
        assert (await intake.get(path, tenant="t2")).status_code == 404
    assert (await intake.get("/v1/parcels/P9", role="customer", subject="c1")).status_code == 404
    assert (await intake.get("/v1/orders/missing")).status_code == 404


async def test_customer_who_names_anothers_order_is_not_shown_it(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"]))
    ticket = (await intake.open(order_id="O1", parcel_id="P1", customer_id="c2"))["ticket_id"]
    shown = (await intake.get(f"/v1/tickets/{ticket}", role="customer", subject="c2")).json()
    assert (shown["order"], shown["parcel"]) == (None, None)


async def test_order_event_older_version_is_ignored(intake: Intake):
    await intake.handle(order("DISPATCHED", 7), order("PACKED", 6))
    await intake.handle(order("PAID", 3))
    assert (await intake.get("/v1/orders/O1")).json()["status"] == "dispatched"
    await intake.handle(scan("DELIVERED", 7))
    await intake.handle(scan("IN_TRANSIT", 6))
    assert (await intake.get("/v1/parcels/P1")).json()["status"] == "delivered"


async def test_order_event_without_version_is_ordered_by_occurred_at(intake: Intake):
    await intake.handle(order("DISPATCHED", 0, occurred_at=at(2)))
    await intake.handle(order("PACKED", 0, occurred_at=at(1)))
    shown = (await intake.get("/v1/orders/O1")).json()
    assert (shown["status"], shown["version"]) == ("dispatched", int((START + timedelta(hours=2)).timestamp() * 1e6))


@pytest.mark.parametrize(
    "event",
    [
        OrderEvent(tenant_id="t1", order_id="", kind=1, occurred_at=at()),
        OrderEvent(tenant_id="t1", order_id="x" * 129, kind=1, occurred_at=at()),
        OrderEvent(tenant_id="t1", order_id="O1", occurred_at=at()),
        LogisticsEvent(tenant_id="t1", parcel_id="P1", occurred_at=at()),
        OrderEvent(tenant_id="t1", order_id="O1", kind=1),
        LogisticsEvent(tenant_id="t1", parcel_id="", kind=1, occurred_at=at()),
        LogisticsEvent(tenant_id="t1", parcel_id="P1", kind=1, occurred_at=Timestamp(seconds=10**15)),
        LogisticsEvent(tenant_id="t1", parcel_id="a\nb", kind=1, occurred_at=at()),
    ],
    ids=[
        "no order",
        "long order",
        "no order kind",
        "no parcel kind",
        "no time",
        "no parcel",
        "no such time",
        "control character",
    ],
)
async def test_outside_event_that_makes_no_sense_is_malformed(intake: Intake, event):
    with pytest.raises(Malformed):
        await intake.handle(event)


async def test_customer_facts_of_order_events_travel_with_tickets(intake: Intake):
    await intake.handle(order(yearly_spend_minor=700_000, currency="CNY", customer_class="plus"))
    await intake.open(customer_id="c1")
    (event,) = await intake.published("TicketReceived")
    assert (event.yearly_spend_minor, event.currency, event.customer_class) == (700_000, "CNY", "plus")


FACTS = [
    ([order(parcel_ids=["P1"]), scan("LOST")], "fact:parcel_lost:P1", "logistics", "priority"),
    ([order(parcel_ids=["P1"]), scan("DAMAGED")], "fact:parcel_damaged:P1", "logistics", "priority"),
    ([order(), scan("LOST", order_id="O1")], "fact:parcel_lost:P1", "logistics", "priority"),
    (
        [
            order("PAID", 2, charge_id="x1", amount_minor=500),
            order("CHARGED", 3, charge_id="x2", amount_minor=500),
        ],
        "fact:duplicate_charge:O1",
        "payment",
        "urgent",
    ),
]


@pytest.mark.parametrize(("events", "fact", "category", "tier"), FACTS, ids=[fact for _, fact, *_ in FACTS])
async def test_fact_in_any_order_of_arrival_opens_one_ticket(intake: Intake, events, fact, category, tier):
    for tenant, arrival in enumerate(itertools.permutations(events)):
        for event in arrival:
            own = type(event).FromString(event.SerializeToString())
            own.tenant_id = f"t{tenant}"
            await intake.handle(own)
            await intake.handle(own)
        (opened,) = [e for e in await intake.published("TicketReceived") if e.tenant_id == f"t{tenant}"]
        assert (opened.fact, opened.origin, opened.channel, opened.customer_id) == (fact, "event", "event", "c1")
        assert (opened.fact_labels.category, opened.fact_labels.tier, opened.order_id) == (category, tier, "O1")
        assert opened.text


async def test_fact_damaged_then_delivered_in_one_batch_is_not_missed(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"]))
    await intake.handle(scan("DAMAGED", 1), scan("DELIVERED", 2))
    assert [event.fact for event in await intake.published("TicketReceived")] == ["fact:parcel_damaged:P1"]


async def test_fact_after_the_complaint_joins_the_complaint(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"]))
    ticket = (await intake.open(parcel_id="P1", locale="en", text="where is it"))["ticket_id"]
    await intake.handle(scan("LOST"))
    assert len(await intake.rows("tickets")) == 1
    (event,) = await intake.published("TicketMessageAdded")
    assert (event.ticket_id, event.author_role, event.repeat_contact, event.joined_text) == (
        ticket,
        "system",
        False,
        "",
    )
    assert "lost" in event.text  # in the customer's language
    assert (await intake.rows("tickets"))[0].repeat_contacts == 0


async def test_complaint_after_the_fact_joins_its_ticket(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"]))
    await intake.handle(scan("LOST"))
    for body in ({"parcel_id": "P1"}, {"order_id": "O1"}):
        assert (await intake.open(**body))["joined"]
    (ticket,) = await intake.rows("tickets")
    assert (ticket.origin, ticket.repeat_contacts) == ("event", 2)


async def test_complaint_naming_the_order_and_one_naming_its_parcel_are_one_matter(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"]))
    first = await intake.open(order_id="O1")
    assert (await intake.open(parcel_id="P1"))["ticket_id"] == first["ticket_id"]


async def test_complaint_and_fact_at_once_make_one_ticket(intake: Intake, second: Intake):
    await intake.handle(order(parcel_ids=["P1"]))

    async def event() -> None:
        while True:
            try:
                return await second.handle(scan("LOST"))
            except Transient:  # what the consumer loop does
                continue

    await asyncio.gather(event(), *(intake.open(order_id="O1", text=str(n)) for n in range(10)))
    assert len(await intake.rows("tickets")) == 1
    assert len(await intake.published("TicketReceived")) == 1
    assert len(await intake.published()) == 11


async def test_scan_and_order_handled_at_once_never_miss_each_other(intake: Intake, second: Intake):
    for number in range(8):
        ids = {"order_id": f"O{number}"}
        await asyncio.gather(
            intake.handle(order(parcel_ids=[f"P{number}"], **ids)),
            second.handle(scan("LOST", parcel_id=f"P{number}", **(ids if number % 2 else {}))),
        )
    facts = {event.fact for event in await intake.published("TicketReceived")}
    assert facts == {f"fact:parcel_lost:P{number}" for number in range(8)}


async def test_promise_missed_after_the_grace_opens_one_ticket(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"], promised_at=at(24)))
    intake.clock.advance(hours=29.9)
    await intake.work("due_promises")
    assert await intake.published() == []
    intake.clock.advance(hours=0.2)
    await intake.work("due_promises")
    await intake.handle(order("CHANGED", 5, promised_at=at(24)))
    await intake.work("due_promises")
    (event,) = await intake.published()
    assert (event.fact, event.order_id, event.parcel_id) == ("fact:promise_missed:O1", "O1", "P1")
    assert await intake.rows("dues") == []


async def test_promise_kept_or_moved_opens_nothing(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"], promised_at=at(24)), order(order_id="O2", promised_at=at(24)))
    await intake.handle(scan("DELIVERED", occurred_at=at(28)))
    await intake.handle(order("CHANGED", 2, order_id="O2", promised_at=at(72)))
    intake.clock.advance(hours=31)
    await intake.work("due_promises")
    assert await intake.published() == []
    intake.clock.advance(hours=48)
    await intake.work("due_promises")
    assert [event.fact for event in await intake.published()] == ["fact:promise_missed:O2"]


async def test_promise_of_a_parcel_that_waits_for_its_order_is_kept_for_it(intake: Intake):
    await intake.handle(scan("IN_TRANSIT", promised_at=at(1)))
    intake.clock.advance(hours=10)
    await intake.work("due_promises")
    await intake.handle(order(parcel_ids=["P1"]))
    await intake.work("due_promises")
    assert [event.fact for event in await intake.published()] == ["fact:promise_missed:O1"]


async def test_late_delivery_confirms_an_untouched_ticket(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"], promised_at=at(24)))
    intake.clock.advance(hours=31)
    await intake.work("due_promises")
    for _ in range(2):
        await intake.handle(scan("DELIVERED", 9, occurred_at=at(32)))
    (event,) = await intake.published("TicketConfirmed")
    assert (event.confirmed_by, event.sequence) == ("event", 2)


async def touched_by_message(intake: Intake, ticket: str) -> None:
    await intake.open(order_id="O1")


async def touched_by_agent(intake: Intake, ticket: str) -> None:
    await intake.handle(TicketStatusChanged(tenant_id="t1", ticket_id=ticket, state="in_progress", version=4))


@pytest.mark.parametrize("touch", [touched_by_message, touched_by_agent])
async def test_late_delivery_on_a_touched_ticket_is_told_not_decided(intake: Intake, touch):
    await intake.handle(order(parcel_ids=["P1"]))
    await intake.handle(scan("LOST"))
    (ticket,) = await intake.rows("tickets")
    await touch(intake, ticket.ticket_id)
    await intake.handle(scan("DELIVERED", 9))
    assert await intake.published("TicketConfirmed") == []
    told = [event for event in await intake.published("TicketMessageAdded") if event.author_role == "system"]
    assert ["P1" in event.text for event in told] == [True]


async def test_late_delivery_on_a_closed_ticket_changes_nothing(intake: Intake):
    await intake.handle(order(parcel_ids=["P1"]))
    await intake.handle(scan("LOST"))
    (ticket,) = await intake.rows("tickets")
    await intake.handle(TicketStatusChanged(tenant_id="t1", ticket_id=ticket.ticket_id, state="closed", version=4))
    await intake.handle(scan("DELIVERED", 9))
    assert len(await intake.published()) == 1
