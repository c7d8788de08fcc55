import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import services.intake
from services.intake.domain.fact import (
    DELIVERY,
    DUPLICATE_CHARGE,
    KINDS,
    PARCEL_DAMAGED,
    PARCEL_LOST,
    PROMISE_MISSED,
    REFUND,
    REFUND_OVERDUE,
    Charge,
    Due,
    Fact,
    Order,
    OrderChange,
    Parcel,
    Scan,
    apply_order,
    apply_scan,
    charge_of,
    dues_of,
    facts_of,
    missed,
    parse_rules,
    settled_by_delivery,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = (Path(services.intake.__file__).parent / "facts.toml").read_text(encoding="utf-8")


def change(status: str, version: int, **fields) -> OrderChange:
    return OrderChange("t1", "O1", status, version, NOON, **fields)


def scan(status: str, version: int, **fields) -> Scan:
    return Scan("t1", "P1", status, version, NOON + version * HOUR, **fields)


def charge(number: str, amount: int) -> Charge:
    return Charge("t1", "O1", number, amount, NOON)


ORDER = Order("t1", "O1", version=1, status="placed", customer_id="c1", promised_at=NOON)


def test_apply_order_older_or_equal_version_is_ignored():
    order = apply_order(None, change("paid", 5))
    assert order is not None
    assert apply_order(order, change("placed", 4)) is None
    assert apply_order(order, change("packed", 5)) is None


def test_apply_order_absent_fields_leave_what_is_there():
    order = apply_order(None, change("placed", 1, customer_id="c1", total_minor=500, currency="CNY", promised_at=NOON))
    order = apply_order(order, change("dispatched", 2))
    assert (order.customer_id, order.total_minor, order.currency, order.promised_at) == ("c1", 500, "CNY", NOON)
    assert order.status == "dispatched"


def test_apply_order_unknown_kind_keeps_the_status():
    assert apply_order(ORDER, change("", 2)).status == "placed"


def test_apply_order_promise_of_a_refund_is_not_a_promise_of_delivery():
    order = apply_order(ORDER, change("refund_approved", 2, promised_at=NOON + HOUR))
    assert (order.promised_at, order.refund_promised_at) == (NOON, NOON + HOUR)


def test_apply_scan_older_version_is_ignored_in_any_order_of_arrival():
    scans = [scan("picked_up", 1), scan("in_transit", 2), scan("delivered", 3)]
    for arrival in itertools.permutations(scans):
        parcel = Parcel("t1", "P1")
        for one in arrival:
            parcel = apply_scan(parcel, one) or parcel
        assert (parcel.status, parcel.version) == ("delivered", 3)


def test_apply_scan_found_again_is_no_longer_lost_but_damaged_stays_damaged():
    lost = apply_scan(None, scan("lost", 1))
    assert lost.trouble == "lost"
    assert apply_scan(lost, scan("in_transit", 2)).trouble == ""
    damaged = apply_scan(None, scan("damaged", 1))
    assert apply_scan(damaged, scan("delivered", 2)).trouble == "damaged"


@pytest.mark.parametrize(("trouble", "kind"), [("lost", PARCEL_LOST), ("damaged", PARCEL_DAMAGED)])
def test_facts_of_parcel_in_trouble_names_the_parcel(trouble, kind):
    facts = facts_of(ORDER, [Parcel("t1", "P1", 1, "O1", trouble=trouble), Parcel("t1", "P2", 1, "O1")], [])
    assert facts == [Fact("t1", kind, "P1", "c1", "O1", "P1")]
    assert facts[0].name == f"fact:{kind}:P1"


def test_facts_of_unknown_customer_are_none():
    parcels = [Parcel("t1", "P1", 1, "O1", trouble="lost")]
    assert facts_of(Order("t1", "O1"), parcels, [charge("a", 1), charge("b", 1)]) == []


@pytest.mark.parametrize(
    ("charges", "found"),
    [
        ([("a", 100), ("b", 100)], True),
        ([("b", 100), ("a", 100)], True),
        ([("a", 100), ("a", 100)], False),
        ([("a", 100), ("b", 101)], False),
        ([("a", 100), ("b", 50), ("c", 50)], True),
        ([("a", 100)], False),
        ([], False),
    ],
)
def test_facts_of_duplicate_charge_needs_two_ids_and_one_amount(charges, found):
    facts = facts_of(ORDER, [], [charge(*one) for one in charges])
    assert [fact.name for fact in facts] == ([f"fact:{DUPLICATE_CHARGE}:O1"] if found else [])


def test_charge_of_only_charged_and_paid_with_id_and_amount_are_charges():
    assert charge_of(change("paid", 1, charge_id="a", amount_minor=5)) == charge("a", 5)
    assert charge_of(change("charged", 1, charge_id="a", amount_minor=5)) == charge("a", 5)
    assert charge_of(change("charged", 1, charge_id="", amount_minor=5)) is None
    assert charge_of(change("charged", 1, charge_id="a")) is None
    assert charge_of(change("refund_paid", 1, charge_id="a", amount_minor=5)) is None


def test_dues_of_promise_is_looked_at_after_the_grace():
    dues = dues_of(ORDER, [Parcel("t1", "P1", 1, "O1", promised_at=NOON + HOUR)], 6 * HOUR)
    assert [(due.kind, due.subject_id, due.due_at) for due in dues] == [
        (DELIVERY, "order:O1", NOON + 6 * HOUR),
        (DELIVERY, "parcel:P1", NOON + 7 * HOUR),
    ]


def test_dues_of_ended_orders_and_delivered_parcels_are_none():
    delivered = Parcel("t1", "P1", 1, "O1", promised_at=NOON, delivered_at=NOON)
    assert dues_of(apply_order(ORDER, change("cancelled", 2)), [delivered], HOUR) == []


def test_dues_of_refund_until_it_is_paid():
    order = apply_order(ORDER, change("refund_approved", 2, promised_at=NOON))
    assert REFUND in [due.kind for due in dues_of(order, [], HOUR)]
    order = apply_order(order, change("refund_paid", 3))
    assert REFUND not in [due.kind for due in dues_of(order, [], HOUR)]


def due(kind: str = DELIVERY, parcel: str = "") -> Due:
    return Due("t1", kind, f"parcel:{parcel}" if parcel else "order:O1", "O1", parcel, NOON)


LATE = Parcel("t1", "P1", 1, "O1", status="in_transit")
THERE = Parcel("t1", "P2", 1, "O1", status="delivered", delivered_at=NOON)


@pytest.mark.parametrize(
    ("order", "parcels", "expected"),
    [
        (ORDER, [], ""),
        (ORDER, [LATE], "P1"),
        (ORDER, [LATE, THERE], "P1"),
        (ORDER, [THERE], None),
        (ORDER, [Parcel("t1", "P1", 1, "O1", status="lost")], None),
        (Order("t1", "O1", 1, "cancelled", "c1"), [LATE], None),
        (Order("t1", "O1", 1, "placed", ""), [LATE], None),
        (None, [LATE], None),
    ],
    ids=["no parcel", "late", "one of two late", "delivered", "lost", "cancelled", "nobody", "no order"],
)
def test_missed_delivery_is_a_fact_about_the_order(order, parcels, expected):
    fact = missed(due(), order, parcels)
    if expected is None:
        assert fact is None
    else:
        assert fact == Fact("t1", PROMISE_MISSED, "O1", "c1", "O1", expected)


def test_missed_parcel_looks_at_that_parcel_alone():
    assert missed(due(parcel="P2"), ORDER, [LATE, THERE]) is None
    assert missed(due(parcel="P1"), ORDER, [LATE, THERE]) is not None


def test_missed_refund_is_a_fact_until_it_is_paid():
    order = apply_order(ORDER, change("refund_approved", 2, promised_at=NOON))
    assert missed(due(REFUND), order, []) == Fact("t1", REFUND_OVERDUE, "O1", "c1", "O1")
    assert missed(due(REFUND), apply_order(order, change("refund_paid", 3)), []) is None


def test_settled_by_delivery_waits_for_the_last_parcel():
    assert f"fact:{PROMISE_MISSED}:O1" not in settled_by_delivery(THERE, [LATE, THERE])
    assert f"fact:{PROMISE_MISSED}:O1" in settled_by_delivery(THERE, [THERE])
    assert f"fact:{PARCEL_LOST}:P2" in settled_by_delivery(THERE, [LATE, THERE])


def test_parse_rules_shipped_table_speaks_both_languages_for_every_kind():
    rules = parse_rules(RULES)
    assert set(rules) == set(KINDS)
    for kind, rule in rules.items():
        fact = Fact("t1", kind, "x", "c1", "O-77", "P-88")
        for words in (rule.words, rule.resolved_words):
            assert words("en-GB", fact) != words("zh-CN", fact)
            assert "{" not in words("en", fact) + words("", fact)


def test_parse_rules_missing_or_unknown_kind_fails_at_start():
    with pytest.raises(ValueError, match="must name exactly"):
        parse_rules(RULES.replace("[parcel_lost]", "[parcel_lots]"))
