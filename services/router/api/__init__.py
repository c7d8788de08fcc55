"""The router's routes: agents, queues, assignments, and the story of one ticket's routing."""

from __future__ import annotations

from fastapi import APIRouter

from services.router.api import (
    agents,
    assignments,
    configuration,
    customers,
    efforts,
    labels,
    presence,
    promises,
    queues,
    routing,
    shifts,
)
from services.router.api.parts import Parts

LINKS = {
    "/v1/agents": "agents with skills, capacity and presence",
    "/v1/agents/{agent_id}/assignments": "an agent's work; wait_s=20 waits for news",
    "/v1/agents/{agent_id}": "one agent, with the minutes that they are expected to need",
    "/v1/agents/{agent_id}/shifts": "when an agent works",
    "/v1/queues": "queues with what waits in them",
    "/v1/routing/awaited": "what a department or other party owes",
    "/v1/routing/configuration": "what was changed about queues and agents; …/rollback goes back",
    "/v1/routing/customers/{customer_id}": "who knows a customer, and who serves them by name",
    "/v1/routing/escalations": "tickets that need a supervisor",
    "/v1/routing/tickets/{ticket_id}": "where a ticket is, and how it got there",
    "/v1/routing/tickets/{ticket_id}/labels": "PUT: labels that a person gives it; they win over the classifier's",
}


def routes(parts: Parts) -> list[APIRouter]:
    """All routers of the service. presence comes before agents: its fixed address would else be taken for an id."""
    return [
        presence.routes(parts),
        agents.routes(parts),
        efforts.routes(parts),
        shifts.routes(parts),
        assignments.routes(parts),
        queues.routes(parts),
        promises.routes(parts),
        routing.routes(parts),
        customers.routes(parts),
        configuration.routes(parts),
        labels.routes(parts),
    ]


__all__ = ["LINKS", "Parts", "routes"]
