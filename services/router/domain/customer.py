"""Who should have a customer's next ticket: whoever knows them, or the agent that they are entitled to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from services.router.domain.ticket import Facts

ENTITLED_SPEND = 5000
"""Yearly spend, in whole units of its currency, from which a customer may have a dedicated agent."""

DEDICATED_A_MONTH = 5
"""Tickets of a customer that wish for the dedicated agent, by calendar month in UTC; further ones are ordinary."""

KNOWN, DEDICATED = 1.0, 2.0
"""What a wish is worth to a policy, see pool.Work."""

_WHOLE_UNITS = frozenset({"JPY", "KRW", "VND"})
"""Currencies whose minor unit is the whole one."""


@dataclass(frozen=True, slots=True)
class Customer:
    """What the router remembers of a customer.

    known_agent       who resolved their last ticket; "" is nobody yet.
    dedicated_agent   whom a supervisor named for them; "" is nobody, and the known agent stands in.
    month             "2026-11": the month for which `used` counts.
    used              tickets that wished for the dedicated agent in that month.
    """

    customer_id: str
    known_agent: str = ""
    dedicated_agent: str = ""
    month: str = ""
    used: int = 0


def is_entitled(facts: Facts) -> bool:
    """True where the customer may have a dedicated agent."""
    minor = 1 if facts.currency in _WHOLE_UNITS else 100
    return facts.customer_class == "dedicated" or facts.yearly_spend_minor >= ENTITLED_SPEND * minor


def used_in(customer: Customer, now: datetime) -> int:
    """Dedicated tickets of the month of `now`."""
    return customer.used if customer.month == f"{now:%Y-%m}" else 0


def wished(facts: Facts, before: Facts) -> Facts:
    """Newer facts of a ticket whose wish was settled before."""
    return replace(facts, known_agent=before.known_agent, wish=before.wish)


def wish(facts: Facts, customer: Customer, now: datetime) -> tuple[Facts, Customer]:
    """The facts of a new ticket with the agent whom it should have, and the customer with this ticket counted."""
    dedicated = customer.dedicated_agent or customer.known_agent
    used = used_in(customer, now)
    if dedicated and is_entitled(facts) and used < DEDICATED_A_MONTH:
        counted = replace(customer, month=f"{now:%Y-%m}", used=used + 1)
        return replace(facts, known_agent=dedicated, wish=DEDICATED), counted
    if customer.known_agent:
        return replace(facts, known_agent=customer.known_agent, wish=KNOWN), customer
    return facts, customer
