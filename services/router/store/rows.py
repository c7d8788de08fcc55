"""Between table rows and the domain's values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import orjson
from sqlalchemy import Column

from services.router.domain.queues import Queue
from services.router.domain.ticket import Agent, Facts, Labels, Ticket
from services.router.tables import agents, queues, tickets

_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Labels, Facts)}

TICKET_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Ticket))
TICKET_COLUMNS: tuple[Column[Any], ...] = tuple(tickets.c[name] for name in TICKET_FIELDS)

AGENT_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Agent) if field.name in agents.c)
AGENT_COLUMNS: tuple[Column[Any], ...] = tuple(agents.c[name] for name in AGENT_FIELDS)

QUEUE_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Queue))
QUEUE_COLUMNS: tuple[Column[Any], ...] = tuple(queues.c[name] for name in QUEUE_FIELDS)

_LABELS = TICKET_FIELDS.index("labels")
_SUGGESTION = TICKET_FIELDS.index("suggestion")
_FACTS = TICKET_FIELDS.index("facts")
_DECLINED = TICKET_FIELDS.index("declined_by")
_MISSED = TICKET_FIELDS.index("missed")
_SKILLS = AGENT_FIELDS.index("skills")
_LANGUAGES = AGENT_FIELDS.index("languages")


def ticket_of(row: Sequence[Any]) -> Ticket:
    """A ticket from a row of TICKET_COLUMNS."""
    values = list(row)
    values[_LABELS] = Labels(**orjson.loads(values[_LABELS])) if values[_LABELS] else None
    values[_SUGGESTION] = Labels(**orjson.loads(values[_SUGGESTION])) if values[_SUGGESTION] else None
    values[_FACTS] = Facts(**orjson.loads(values[_FACTS])) if values[_FACTS] else Facts()
    values[_DECLINED] = tuple(orjson.loads(values[_DECLINED])) if values[_DECLINED] else ()
    values[_MISSED] = tuple(values[_MISSED].split(",")) if values[_MISSED] else ()
    return Ticket(*values)


def column_values(ticket: Ticket, names: Sequence[str]) -> dict[str, Any]:
    """Column values of a ticket for these of its fields."""
    return {name: _stored(name, getattr(ticket, name)) for name in names}


def _stored(name: str, value: Any) -> Any:
    if name in ("labels", "suggestion"):
        return "" if value is None else _compact(value)
    if name == "facts":
        return _compact(value)
    if name == "missed":
        return ",".join(value)
    if name == "declined_by":
        return orjson.dumps(value).decode() if value else ""
    return value


def _compact(value: Labels | Facts) -> str:
    """JSON of the fields that say something."""
    return orjson.dumps({name: item for name in _NAMES[type(value)] if (item := getattr(value, name))}).decode()


def agent_of(row: Sequence[Any]) -> Agent:
    """An agent from a row of AGENT_COLUMNS."""
    values = list(row)
    values[_SKILLS] = orjson.loads(values[_SKILLS])
    values[_LANGUAGES] = frozenset(orjson.loads(values[_LANGUAGES]))
    return Agent(**dict(zip(AGENT_FIELDS, values, strict=True)))


def queue_of(row: Sequence[Any]) -> Queue:
    """A queue from a row of QUEUE_COLUMNS."""
    return Queue(*row)
