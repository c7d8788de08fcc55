"""The two things the router decides about: tickets (the work) and agents. Plain facts, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

OWNED = frozenset({"offered", "assigned", "in_progress", "on_hold"})
"""States in which a ticket has an owner and takes one place of that agent's capacity; except on hold and parked."""

TERMINAL = frozenset({"closed", "cancelled"})

UNTOUCHED = frozenset({"received", "self_service", "waiting", "offered", "assigned"})
"""States in which nobody has started to work."""

SENIORITY = {"simple": 0.0, "moderate": 0.3, "complex": 0.6}
"""Least seniority of an agent (0 newcomer to 1 expert) by the complexity of a ticket."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels in force. Slugs as in the taxonomy; "" means unknown."""

    category: str = ""
    tier: str = ""
    complexity: str = ""
    sentiment: str = ""
    intent: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What routing knows of a ticket besides its labels. "" and 0 mean unknown.

    known_agent  who should have it if free soon; "" is nobody.
    wish         what that is worth: 1 they know the customer, 2 they serve the customer by name.
    """

    customer_id: str = ""
    channel: str = ""
    language_hint: str = ""
    order_id: str = ""
    parcel_id: str = ""
    yearly_spend_minor: int = 0
    currency: str = ""
    customer_class: str = ""
    region: str = ""
    origin: str = ""
    fact: str = ""
    repeat_contacts: int = 0
    known_agent: str = ""
    wish: float = 0.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """One piece of work. All times aware UTC; None means "not (yet)".

    version            grows by one with every change, from 1.
    fence              grows with every change of owner; who works on the ticket must present it.
    queue_id           "" before it was queued.
    agent_id           owner; after resolving, who resolved it. "" is nobody.
    awaited            whom on_hold waits for; else "".
    announced          the opening record was seen (a classification may come first).
    labelled_sequence  sequence of the message whose labels are in force; 0 is none.
    corrected          a person set the labels; newer ones of the classifier are suggestions from then on.
    model_version      model that gave the labels, before a person corrected them; "" is none.
    suggestion         newer labels that came too late to be applied by themselves; None is none.
    declined_by        agents who declined it; they are not asked again.
    next_check_at      when something must have happened; None only in terminal states.
    waiting_since      when it entered the state waiting, kept over re-queueing so that age is not lost.
    missed             clocks whose due time has passed and was counted: first_response, next_response, resolution.
    next_response_due_at  when the customer's last message must be answered; None where none is open.
    predicted_min      minutes of work expected: of its owner, or the last one; before that of an average agent.
    owned_since        when its present owner got it.
    working_since      since when it is in progress; None in every other state.
    wrap_up_s          seconds that its owner gets to wrap up after resolving it, as its queue says.
    worked_s           seconds that its present owner, or whoever resolved it, worked on it before working_since.
    awaited_since      since when it is on hold for `awaited`, or resolved; else None.
    reminded           whoever is awaited was reminded.
    escalation         how many steps of sla.STEPS were taken or passed over for the clock that counts.
    acknowledged_by    the supervisor who took care of the escalation; "" is nobody.
    pinned             a supervisor gave it to its owner by hand: no clock takes it away again.
    note               what the last agent or party had to say to the next.
    """

    tenant_id: str
    ticket_id: str
    desk_id: str
    received_at: datetime
    state: str = "received"
    version: int = 1
    fence: int = 0
    queue_id: str = ""
    agent_id: str = ""
    agent_name: str = ""
    reason: str = ""
    awaited: str = ""
    reopen_count: int = 0
    labels: Labels | None = None
    suggestion: Labels | None = None
    corrected: bool = False
    model_version: str = ""
    facts: Facts = field(default_factory=Facts)
    announced: bool = False
    labelled_sequence: int = 0
    predicted_min: float = 0.0
    declined_by: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    changed_at: datetime | None = None
    waiting_since: datetime | None = None
    first_response_due_at: datetime | None = None
    resolution_due_at: datetime | None = None
    first_responded_at: datetime | None = None
    next_check_at: datetime | None = None
    sla_version: str = ""
    rating: int = 0
    next_response_due_at: datetime | None = None
    owned_since: datetime | None = None
    awaited_since: datetime | None = None
    reminded: bool = False
    escalation: int = 0
    acknowledged_by: str = ""
    pinned: bool = False
    note: str = ""
    working_since: datetime | None = None
    worked_s: float = 0.0
    wrap_up_s: int = 0

    @property
    def paused(self) -> bool:
        """True while the customer's clocks stand still: it is the customer's turn."""
        return self.state == "resolved" or (self.state == "on_hold" and self.awaited == "customer")

    @property
    def desk(self) -> tuple[str, str]:
        """Tenant and desk: the unit that one dispatcher serves."""
        return (self.tenant_id, self.desk_id)

    @property
    def owned(self) -> bool:
        """True where the ticket takes a place of its agent's capacity."""
        return self.state in OWNED and not self.parked

    @property
    def parked(self) -> bool:
        """True where its customer has been quiet for so long that it has given its agent's place back."""
        return self.state == "on_hold" and not self.agent_id


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody who works on tickets.

    skills            slug to level, 0 (cannot) to 1 (expert).
    languages         BCP 47 primary tags in lower case; empty means every language.
    seniority         0 newcomer to 1 expert; decides who gets complex tickets.
    capacity          how many tickets they may own at once, 0 or more.
    load              how many they own now; can exceed capacity only after capacity was lowered.
    capacity_min      predicted minutes at hand at which they are full, above 0; None is no such limit.
    load_min          predicted minutes of what they own now.
    presence          online, away or offline; anything else counts as offline.
    last_assigned_at  when they were last given a ticket; None is never.
    presence_at       when their presence last changed; None is never.
    version           grows when settings or presence change.
    revision          grows with every change, also of load or of an owned ticket.
    free_since        when they last finished a ticket; None is unknown, and last_assigned_at counts.
    shift_from        when their present or next shift begins; None is no plan.
    shift_ends_at     when it ends, or the last one ended; None is no plan.
    shift_ended_at    when the shift before ended; None is never.
    wrap_until        until when they wrap up and get nothing new; None is never.
    """

    tenant_id: str
    agent_id: str
    desk_id: str
    name: str
    skills: Mapping[str, float] = field(default_factory=dict)
    languages: frozenset[str] = frozenset()
    seniority: float = 1.0
    capacity: int = 1
    load: int = 0
    presence: str = "offline"
    last_assigned_at: datetime | None = None
    presence_at: datetime | None = None
    version: int = 1
    revision: int = 1
    capacity_min: float | None = None
    load_min: float = 0.0
    shift_from: datetime | None = None
    shift_ends_at: datetime | None = None
    shift_ended_at: datetime | None = None
    wrap_until: datetime | None = None
    free_since: datetime | None = None

    @property
    def available(self) -> bool:
        """Allow-list: only "online" counts, and only with a free place and, where minutes count, minutes left."""
        return self.presence == "online" and has_room(self.load, self.capacity, self.load_min, self.capacity_min)


def has_room(load: int, capacity: int, load_min: float, capacity_min: float | None) -> bool:
    """True where one more ticket may be given. Minutes may be passed by the last ticket, as they are predictions."""
    return load < capacity and (capacity_min is None or load_min < capacity_min)


TIER_WEIGHT = {"urgent": 4.0, "priority": 2.0}
"""What a minute's delay costs by tier, in those of a standard ticket."""


def delay_weight(ticket: Ticket) -> float:
    """What a minute's delay of this ticket costs, in those of an ordinary customer's standard one."""
    weight = TIER_WEIGHT.get(ticket.labels.tier, 1.0) if ticket.labels else 1.0
    return weight * (1.5 if ticket.facts.customer_class in ("vip", "dedicated") else 1.0)
