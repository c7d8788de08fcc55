"""The events that the router publishes: full snapshots of a ticket or an agent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import NAMESPACE_OID, uuid5

from fenliu.chassis.db import Transaction
from fenliu.contracts import events
from services.router.domain.ticket import Agent, Labels, Ticket

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def emit_ticket(tx: Transaction, ticket: Ticket) -> None:
    """Publish the ticket's snapshot when this transaction commits."""
    tx.emit(_snapshot(ticket), key=ticket.ticket_id, sequence=ticket.version)


def emit_repeated(tx: Transaction, tickets: Iterable[Ticket]) -> None:
    """Publish known states once more, in answer to somebody who seems not to have heard."""
    for ticket in tickets:
        event = _snapshot(ticket)
        event.repeated = True
        event_id = str(uuid5(NAMESPACE_OID, f"repeat:{ticket.ticket_id}:{ticket.version}:{tx.now.timestamp()}"))
        tx.emit(event, key=ticket.ticket_id, sequence=ticket.version, event_id=event_id)


def emit_relabelled(tx: Transaction, before: Ticket, after: Ticket, *, by: str, role: str, reason: str) -> None:
    """Publish what a person corrected. by: subject of their token."""
    event = events.TicketRelabelled(
        tenant_id=after.tenant_id,
        ticket_id=after.ticket_id,
        version=after.version,
        labels_before=_labels(before.labels) if before.labels else None,
        labels_after=_labels(after.labels) if after.labels else None,
        corrected_by=by,
        corrected_by_role=role,
        reason=reason,
        model_version=before.model_version,
    )
    _stamp(event.corrected_at, tx.now)
    tx.emit(event, key=after.ticket_id, sequence=after.version)


def emit_agent(tx: Transaction, agent: Agent) -> None:
    """Publish the agent's settings and presence. Load alone is not announced: it changes a thousand times a second."""
    skills = [events.SkillLevel(skill=skill, level=level) for skill, level in sorted(agent.skills.items())]
    event = events.AgentChanged(
        tenant_id=agent.tenant_id,
        agent_id=agent.agent_id,
        version=agent.version,
        name=agent.name,
        desk_id=agent.desk_id,
        presence=agent.presence,
        skills=skills,
        capacity=agent.capacity,
        load=agent.load,
    )
    _stamp(event.changed_at, tx.now)
    tx.emit(event, key=agent.agent_id, sequence=agent.version)


def _snapshot(ticket: Ticket) -> events.TicketStatusChanged:
    event = events.TicketStatusChanged(
        tenant_id=ticket.tenant_id,
        ticket_id=ticket.ticket_id,
        state=ticket.state,
        version=ticket.version,
        fence=ticket.fence,
        queue_id=ticket.queue_id,
        agent_id=ticket.agent_id,
        agent_name=ticket.agent_name,
        labels=_labels(ticket.labels) if ticket.labels else None,
        reason=ticket.reason,
        awaited=ticket.awaited,
        reopen_count=ticket.reopen_count,
        desk_id=ticket.desk_id,
        customer_id=ticket.facts.customer_id,
    )
    _stamp(event.received_at, ticket.received_at)
    if ticket.changed_at is not None:
        _stamp(event.changed_at, ticket.changed_at)
    if ticket.first_responded_at is not None:
        _stamp(event.first_responded_at, ticket.first_responded_at)
    elif ticket.first_response_due_at is not None:
        _stamp(event.first_response_due_at, ticket.first_response_due_at)
    if ticket.resolution_due_at is not None:
        _stamp(event.resolution_due_at, ticket.resolution_due_at)
    return event


def _labels(labels: Labels) -> events.Labels:
    return events.Labels(
        category=labels.category,
        tier=labels.tier,
        complexity=labels.complexity,
        sentiment=labels.sentiment,
        intent=labels.intent,
        language=labels.language,
    )


def _stamp(field: object, moment: datetime) -> None:
    """Fill a Timestamp without FromDatetime, which costs four times as much."""
    span = moment - _EPOCH
    field.seconds = span.days * 86400 + span.seconds  # type: ignore[attr-defined]
    field.nanos = span.microseconds * 1000  # type: ignore[attr-defined]
