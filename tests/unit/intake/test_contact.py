import itertools

import pytest

from services.intake.domain.contact import (
    MAX_JOINED_CHARS,
    Contact,
    Held,
    Joined,
    Opened,
    fingerprint_of,
    joined_text,
    settle,
    ticket_id_for,
)


def contact(
    number: int, *, customer: str = "c1", order: str = "", parcel: str = "", tenant: str = "t1", fact: str = ""
):
    return Contact(tenant, f"ticket-{number}", customer, f"text {number}", order_id=order, parcel_id=parcel, fact=fact)


def test_settle_same_customer_and_order_joins_the_open_ticket():
    settlement = settle([contact(1, order="O1")], {("t1", "c1", "order:O1"): Held("open")})
    assert settlement.outcomes == (Joined(contact(1, order="O1"), "open", 1),)
    assert settlement.added == {("t1", "open"): 1}
    assert settlement.matters == {}


LOST, LATE, CHARGED = "fact:parcel_lost:P1", "fact:promise_missed:O1/P1", "fact:duplicate_charge:O1"


def test_settle_fact_of_another_story_opens_a_ticket_of_its_own():
    lost = Held("lost", LOST)
    known = {("t1", "c1", "order:O1"): lost, ("t1", "c1", "parcel:P1"): lost}
    settlement = settle([contact(1, order="O1", fact=CHARGED), contact(2, order="O1", parcel="P1", fact=LATE)], known)
    charged, late = settlement.outcomes
    assert charged == Opened(contact(1, order="O1", fact=CHARGED))
    assert late == Joined(contact(2, order="O1", parcel="P1", fact=LATE), "lost", 1)


def test_settle_fact_finds_its_story_by_the_parcel_where_the_order_belongs_to_another():
    known = {("t1", "c1", "order:O1"): Held("charged", CHARGED), ("t1", "c1", "parcel:P1"): Held("lost", LOST)}
    (late,) = settle([contact(1, order="O1", parcel="P1", fact=LATE)], known).outcomes
    assert late == Joined(contact(1, order="O1", parcel="P1", fact=LATE), "lost", 1)


@pytest.mark.parametrize(("held", "fact"), [("", CHARGED), (CHARGED, "")], ids=["complaint_first", "fact_first"])
def test_settle_complaint_and_fact_about_one_order_are_one_ticket_in_either_order(held: str, fact: str):
    known = {("t1", "c1", "order:O1"): Held("open", held)}
    (outcome,) = settle([contact(1, order="O1", fact=fact)], known).outcomes
    assert isinstance(outcome, Joined)


def test_settle_same_parcel_joins_the_open_ticket_and_brings_its_order():
    settlement = settle([contact(1, order="O1", parcel="P1")], {("t1", "c1", "parcel:P1"): Held("open")})
    assert settlement.outcomes == (Joined(contact(1, order="O1", parcel="P1"), "open", 1),)
    assert settlement.matters == {("t1", "c1", "order:O1"): "open"}


@pytest.mark.parametrize(
    "other",
    [contact(2, customer="c2", order="O1"), contact(2, tenant="t2", order="O1"), contact(2, order="O2"), contact(2)],
    ids=["customer", "tenant", "order", "nothing"],
)
def test_settle_other_matter_opens_its_own_ticket(other):
    settlement = settle([contact(1, order="O1"), other], {})
    assert settlement.outcomes == (Opened(contact(1, order="O1")), Opened(other))


def test_settle_order_named_like_a_parcel_is_another_matter():
    settlement = settle([contact(1, order="X"), contact(2, parcel="X")], {})
    assert [type(outcome) for outcome in settlement.outcomes] == [Opened, Opened]


def test_settle_two_of_one_batch_gives_one_ticket_with_a_follower():
    first, second, third = contact(1, order="O1"), contact(2, order="O1", parcel="P1"), contact(3, parcel="P1")
    settlement = settle([first, second, third], {})
    assert settlement.outcomes == (Opened(first, 2), Joined(second, "ticket-1", 1), Joined(third, "ticket-1", 2))
    assert settlement.added == {}
    assert set(settlement.matters.values()) == {"ticket-1"}


def test_settle_contacts_about_nothing_never_join():
    settlement = settle([contact(number) for number in range(5)], {})
    assert all(isinstance(outcome, Opened) for outcome in settlement.outcomes)
    assert settlement.matters == {}


def test_settle_any_order_of_arrival_gives_one_ticket():
    batch = [contact(1, order="O1"), contact(2, order="O1", parcel="P1", fact="fact:parcel_lost:P1")]
    for arrival in itertools.permutations(batch):
        opened = [outcome for outcome in settle(arrival, {}).outcomes if isinstance(outcome, Opened)]
        assert [outcome.contact for outcome in opened] == [arrival[0]]


def test_ticket_id_for_same_key_is_the_same_and_depends_on_tenant_and_operation():
    ids = {ticket_id_for(*key) for key in itertools.product(("t1", "t2"), ("create", "fact"), ("k", "l"))}
    assert len(ids) == 8
    assert ticket_id_for("t1", "create", "k") == ticket_id_for("t1", "create", "k")


def test_ticket_id_for_separator_inside_a_part_does_not_collide():
    assert ticket_id_for("a", "b", "c") != ticket_id_for("ab", "", "c")


def test_fingerprint_of_order_of_fields_does_not_matter_but_values_and_types_do():
    base = fingerprint_of({"text": "a", "attributes": {"n": 1, "m": True}})
    assert base == fingerprint_of({"attributes": {"m": True, "n": 1}, "text": "a"})
    others = [
        {"text": "b", "attributes": {"n": 1, "m": True}},
        {"text": "a", "attributes": {"n": "1", "m": True}},
        {"text": "a", "attributes": {"n": 1, "m": 1}},
        {"text": "a"},
    ]
    assert len({base, *map(fingerprint_of, others)}) == 5


def test_joined_text_short_messages_are_joined_by_newlines():
    assert joined_text(["a", "b"], "c") == "a\nb\nc"
    assert joined_text([], "c") == "c"


@pytest.mark.parametrize(("head", "tail"), [(10, 5_000), (5_000, 10), (5_000, 5_000), (0, 5_000), (1_990, 100)])
def test_joined_text_long_messages_keep_opening_and_latest_within_the_limit(head, tail):
    joined = joined_text(["h" * head] if head else [], "t" * tail)
    assert len(joined) <= MAX_JOINED_CHARS
    assert joined.count("t") >= min(tail, MAX_JOINED_CHARS // 2)
    assert joined.count("h") >= min(head, MAX_JOINED_CHARS // 2 - 1)
