"""The router's tables. Only the store reads and writes them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from fenliu.chassis.db import UtcDateTime
from fenliu.chassis.messaging.tables import messaging_tables

metadata = MetaData()

_TEXT: dict[str, Any] = {"nullable": False, "server_default": ""}
_COUNT: dict[str, Any] = {"nullable": False, "server_default": "0"}
_FLAG: dict[str, Any] = {"nullable": False, "server_default": text("false")}

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", String(128), primary_key=True),
    Column("tenant_id", String(128), nullable=False),
    Column("desk_id", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("fence", BigInteger, **_COUNT),
    Column("queue_id", String(128), **_TEXT),
    Column("agent_id", String(128), **_TEXT),
    Column("agent_name", String(200), **_TEXT),
    Column("reason", String(64), **_TEXT),
    Column("awaited", String(32), **_TEXT),
    Column("reopen_count", Integer, **_COUNT),
    Column("tier", String(16), **_TEXT, comment="copy of labels.tier, for counting"),
    Column("labels", Text, **_TEXT, comment="labels in force, JSON; empty: none yet"),
    Column("suggestion", Text, **_TEXT, comment="newer labels that were not applied, JSON; empty: none"),
    Column("corrected", Boolean, **_FLAG, comment="a person set the labels"),
    Column("model_version", String(64), **_TEXT, comment="model that gave the labels before any correction"),
    Column("facts", Text, **_TEXT, comment="what routing knows besides the labels, JSON"),
    Column("announced", Boolean, **_FLAG, comment="TicketReceived was seen"),
    Column("labelled_sequence", BigInteger, **_COUNT, comment="message whose labels are in force or suggested"),
    Column("predicted_min", Float, **_COUNT, comment="minutes of work expected"),
    Column("declined_by", Text, **_TEXT, comment="agents who declined, JSON array; empty: nobody"),
    Column("missed", String(64), **_TEXT, comment="clocks whose due time has passed and was counted, comma-separated"),
    Column("escalation", SmallInteger, **_COUNT, comment="steps of the ladder taken for the clock that counts"),
    Column("acknowledged_by", String(255), **_TEXT, comment="supervisor who took care of the escalation"),
    Column("reminded", Boolean, **_FLAG, comment="whoever is awaited was reminded"),
    Column("pinned", Boolean, **_FLAG, comment="given by hand: no clock takes it from its owner"),
    Column("note", Text, **_TEXT, comment="what the last agent or party had to say to the next"),
    Column("rating", SmallInteger, **_COUNT, comment="1 to 5; 0: not rated"),
    Column("sla_version", String(32), **_TEXT, comment="version of sla.toml under which it was promised"),
    Column("received_at", UtcDateTime, nullable=False, comment="when intake accepted it"),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("waiting_since", UtcDateTime),
    Column("first_response_due_at", UtcDateTime),
    Column("resolution_due_at", UtcDateTime),
    Column("first_responded_at", UtcDateTime),
    Column("next_response_due_at", UtcDateTime, comment="null: no message of the customer is unanswered"),
    Column("owned_since", UtcDateTime, comment="when its present owner got it"),
    Column("working_since", UtcDateTime),
    Column("wrap_up_s", Integer, **_COUNT, comment="seconds for its agent to wrap up after it"),
    Column("worked_s", Float, **_COUNT, comment="seconds that its present owner worked on it before working_since"),
    Column("awaited_since", UtcDateTime, comment="since when it is on hold or resolved"),
    Column("next_check_at", UtcDateTime, comment="when something must have happened; null only when it is over"),
    Column("dirty", Boolean, **_FLAG, comment="changed by somebody else than the dispatcher since it last looked"),
    postgresql_with={"fillfactor": 60},  # room to update a row in its own page, which leaves the indexes alone
)
"""One row per ticket: the only truth about its state. Made by whichever event comes first."""

_OPEN = text("state IN ('offered', 'assigned', 'in_progress', 'on_hold')")
Index(
    "ix_tickets_agent",
    tickets.c.tenant_id,
    tickets.c.agent_id,
    postgresql_where=_OPEN,
    sqlite_where=_OPEN,
)
_WAITING = text("state = 'waiting'")
Index(
    "ix_tickets_waiting",
    tickets.c.tenant_id,
    tickets.c.desk_id,
    tickets.c.queue_id,
    tickets.c.waiting_since,
    postgresql_where=_WAITING,
    sqlite_where=_WAITING,
)
_DUE = text("next_check_at IS NOT NULL")
Index("ix_tickets_due", tickets.c.next_check_at, postgresql_where=_DUE, sqlite_where=_DUE)
_DIRTY = text("dirty")
Index("ix_tickets_dirty", tickets.c.tenant_id, tickets.c.desk_id, postgresql_where=_DIRTY, sqlite_where=_DIRTY)
_ON_HOLD = text("state = 'on_hold'")
Index(
    "ix_tickets_awaited",
    tickets.c.tenant_id,
    tickets.c.awaited,
    tickets.c.awaited_since,
    postgresql_where=_ON_HOLD,
    sqlite_where=_ON_HOLD,
)
_ESCALATED = text("escalation > 2 AND acknowledged_by = '' AND next_check_at IS NOT NULL")
Index(
    "ix_tickets_escalated",
    tickets.c.tenant_id,
    tickets.c.ticket_id,
    postgresql_where=_ESCALATED,
    sqlite_where=_ESCALATED,
)

ticket_history = Table(
    "ticket_history",
    metadata,
    Column("ticket_id", String(128), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("action", String(16), nullable=False),
    Column("state", String(16), nullable=False, comment="after the change"),
    Column("fence", BigInteger, nullable=False),
    Column("agent_id", String(128), nullable=False, comment="owner after the change; empty: nobody"),
    Column("queue_id", String(128), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("ticket_id", "version", name="ticket_history_pk"),
)
"""Every change of every ticket, never updated. Its key is the last wall against two changes from one version."""

ticket_decisions = Table(
    "ticket_decisions",
    metadata,
    Column("ticket_id", String(128), nullable=False),
    Column("version", BigInteger, nullable=False, comment="of the ticket after the assignment"),
    Column("policy", String(80), nullable=False, comment="name/version"),
    Column("grounds", Text, nullable=False, comment="candidates with scores and parts, refusals; JSON"),
    Column("scene_at", String(160), **_TEXT, comment="ticket@version of the row of the same plan that has the scene"),
    Column("scene", LargeBinary, comment="facts of the plan, see store/scenes.py"),
    PrimaryKeyConstraint("ticket_id", "version", name="ticket_decisions_pk"),
)
"""Why the dispatcher gave a ticket to an agent; written with the history row of the same key."""

agents = Table(
    "agents",
    metadata,
    Column("tenant_id", String(128), nullable=False),
    Column("agent_id", String(128), nullable=False),
    Column("desk_id", String(128), nullable=False),
    Column("name", String(200), nullable=False),
    Column("skills", Text, nullable=False, comment="JSON object: skill slug to level 0..1"),
    Column("languages", Text, nullable=False, comment="JSON array of primary tags; empty array: every language"),
    Column("seniority", Float, nullable=False, comment="0..1"),
    Column("capacity", Integer, nullable=False, comment="tickets they may own at once"),
    Column("capacity_min", Float, comment="minutes at which they are full; null: no limit"),
    Column("load", Integer, **_COUNT, comment="tickets they own now"),
    Column("load_min", Float, **_COUNT, comment="predicted minutes of what they own now"),
    Column("presence", String(16), nullable=False, comment="online, away, offline"),
    Column("presence_at", UtcDateTime, nullable=False, comment="when presence last changed"),
    Column("seen_at", UtcDateTime, nullable=False, comment="last sign of life: presence set, or a poll for work"),
    Column("last_assigned_at", UtcDateTime),
    Column("version", BigInteger, nullable=False, comment="grows when settings or presence change"),
    Column("revision", BigInteger, nullable=False, comment="grows with every change, also of load or of owned work"),
    Column("shifts", Text, **_TEXT, comment="plan, JSON; empty: presence alone"),
    Column("shift_from", UtcDateTime, comment="beginning of the present or next shift"),
    Column("shift_ends_at", UtcDateTime, comment="end of the present, next or last shift; null: no plan"),
    Column("shift_turn_at", UtcDateTime, comment="when the next shift must be found; null: never"),
    Column("shift_ended_at", UtcDateTime, comment="end of the shift before"),
    Column("wrap_until", UtcDateTime, comment="until when they wrap up and get nothing new"),
    Column("release_at", UtcDateTime, comment="their work must be looked at because they left; null: nothing to do"),
    Column("dirty", Boolean, **_FLAG, comment="changed by somebody else than the dispatcher since it last looked"),
    PrimaryKeyConstraint("tenant_id", "agent_id", name="agents_pk"),
    CheckConstraint("load >= 0", name="agents_load_not_negative"),
    CheckConstraint("capacity >= 0", name="agents_capacity_not_negative"),
    postgresql_with={"fillfactor": 60},  # room to update a row in its own page, which leaves the indexes alone
)
"""Who works on tickets. load is kept in the transactions that change ownership; tests compare it with count(*)."""

Index("ix_agents_dirty", agents.c.tenant_id, agents.c.desk_id, postgresql_where=_DIRTY, sqlite_where=_DIRTY)
_RELEASE = text("release_at IS NOT NULL")
Index("ix_agents_release", agents.c.release_at, postgresql_where=_RELEASE, sqlite_where=_RELEASE)
_SHIFT = text("shift_turn_at IS NOT NULL")
Index("ix_agents_shift", agents.c.shift_turn_at, postgresql_where=_SHIFT, sqlite_where=_SHIFT)
_ONLINE = text("presence = 'online'")
Index("ix_agents_seen", agents.c.seen_at, postgresql_where=_ONLINE, sqlite_where=_ONLINE)

efforts = Table(
    "efforts",
    metadata,
    Column("tenant_id", String(128), nullable=False),
    Column("agent_id", String(128), nullable=False),
    Column("category", String(64), nullable=False),
    Column("complexity", String(16), nullable=False),
    Column("count", Integer, **_COUNT, comment="finished tickets that count"),
    Column("minutes", Float, **_COUNT, comment="of all of them together"),
    Column("prior_min", Float, comment="what a supervisor expects; null: nothing"),
    Column("version", BigInteger, **_COUNT, comment="grows with the prior"),
    Column("changed_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "agent_id", "category", "complexity", name="efforts_pk"),
)
"""What finished work teaches about an agent's minutes: at most one row per agent, category and complexity."""

Index("ix_efforts_changed", efforts.c.tenant_id, efforts.c.changed_at)

customers = Table(
    "customers",
    metadata,
    Column("tenant_id", String(128), nullable=False),
    Column("customer_id", String(128), nullable=False),
    Column("known_agent", String(128), **_TEXT, comment="who resolved their last ticket"),
    Column("dedicated_agent", String(128), **_TEXT, comment="whom a supervisor named for them"),
    Column("month", String(7), **_TEXT, comment="2026-11: for which `used` counts"),
    Column("used", Integer, **_COUNT, comment="tickets of that month that wished for the dedicated agent"),
    PrimaryKeyConstraint("tenant_id", "customer_id", name="customers_pk"),
)
"""Customers of whom a ticket was resolved, or for whom an agent was named."""

queues = Table(
    "queues",
    metadata,
    Column("tenant_id", String(128), nullable=False),
    Column("queue_id", String(128), nullable=False),
    Column("name", String(200), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("skill", String(64), nullable=False),
    Column("level", Float, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("policy", String(64), nullable=False),
    Column("offer_timeout_s", Integer, nullable=False),
    Column("wrap_up_s", Integer, **_COUNT, comment="seconds after each ticket"),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "queue_id", name="queues_pk"),
)
"""What a tenant changed about its queues, or added; a queue without a row is as queues.toml says."""

config_heads = Table(
    "config_heads",
    metadata,
    Column("tenant_id", String(128), nullable=False),
    Column("revision", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", name="config_heads_pk"),
)
"""The newest revision of each tenant's queues and agents; its row is the lock under which they are changed."""

config_edits = Table(
    "config_edits",
    metadata,
    Column("tenant_id", String(128), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False, comment="queue, agent"),
    Column("key", String(128), nullable=False, comment="id of the queue or agent"),
    Column("before", Text, nullable=False, comment="settings, JSON; empty: there were none"),
    Column("after", Text, nullable=False, comment="settings, JSON; empty: there are none"),
    Column("by", String(255), nullable=False, comment="subject of the token"),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "revision", "kind", "key", name="config_edits_pk"),
)
"""What people changed about queues and agents, never updated."""

desks = Table(
    "desks",
    metadata,
    Column("tenant_id", String(128), nullable=False),
    Column("desk_id", String(128), nullable=False),
    Column("holder", String(64), **_TEXT, comment="dispatcher that serves the desk"),
    Column("fence", BigInteger, **_COUNT, comment="grows with every change of holder"),
    Column("expires_s", Float(53), **_COUNT, comment="Unix seconds on the database's clock"),
    PrimaryKeyConstraint("tenant_id", "desk_id", name="desks_pk"),
)
"""Every desk with the lease of its dispatcher."""

messaging_tables(metadata)
