"""Who should have a customer's next ticket."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.router.domain.customer import DEDICATED_A_MONTH, Customer, is_entitled, wish
from services.router.domain.ticket import Facts
from tests.unit.router.test_engine import NOW

RICH = Facts(customer_id="c", customer_class="dedicated")


@pytest.mark.parametrize(
    ("facts", "entitled"),
    [
        (Facts(yearly_spend_minor=500_000, currency="CNY"), True),
        (Facts(yearly_spend_minor=499_999, currency="CNY"), False),
        (Facts(yearly_spend_minor=5_000, currency="JPY"), True),
        (Facts(customer_class="dedicated"), True),
        (Facts(customer_class="plus"), False),
    ],
)
def test_dedicated_agent_is_for_spend_from_five_thousand_or_the_class(facts: Facts, entitled: bool) -> None:
    assert is_entitled(facts) == entitled


def test_repeat_contact_wishes_for_whoever_resolved_the_last_one() -> None:
    facts, customer = wish(Facts(customer_id="c"), Customer("c", known_agent="ann"), NOW)
    assert (facts.known_agent, facts.wish, customer.used) == ("ann", 1.0, 0)
    assert wish(Facts(), Customer("c"), NOW)[0].known_agent == ""


def test_sixth_dedicated_ticket_of_a_month_is_an_ordinary_one_and_the_next_month_counts_anew() -> None:
    customer = Customer("c", known_agent="ann", dedicated_agent="bob")
    agents = []
    for _ in range(DEDICATED_A_MONTH + 1):
        facts, customer = wish(RICH, customer, NOW)
        agents.append((facts.known_agent, facts.wish))
    assert agents == [("bob", 2.0)] * DEDICATED_A_MONTH + [("ann", 1.0)]
    facts, customer = wish(RICH, customer, NOW + timedelta(days=31))
    assert (facts.known_agent, customer.used) == ("bob", 1)
