"""The events, under one roof: `from fenliu.contracts.events import TicketReceived`."""

from google.protobuf.message import Message

from fenliu.contracts.gen.fenliu.events.v1.agent_pb2 import AgentChanged, SkillLevel
from fenliu.contracts.gen.fenliu.events.v1.logistics_pb2 import LogisticsEvent, LogisticsEventKind
from fenliu.contracts.gen.fenliu.events.v1.order_pb2 import OrderEvent, OrderEventKind
from fenliu.contracts.gen.fenliu.events.v1.ticket_pb2 import (
    Labels,
    Probability,
    TicketCancelRequested,
    TicketClassified,
    TicketConfirmed,
    TicketFacts,
    TicketHelpRequested,
    TicketMessageAdded,
    TicketRated,
    TicketReceived,
    TicketRelabelled,
    TicketReopenRequested,
    TicketStatusChanged,
)
from fenliu.contracts.topics import CATALOGUE, Topic

EVENT_TYPES: dict[str, type[Message]] = {
    cls.DESCRIPTOR.name: cls
    for cls in (
        TicketReceived,
        TicketMessageAdded,
        TicketCancelRequested,
        TicketReopenRequested,
        TicketHelpRequested,
        TicketConfirmed,
        TicketRated,
        TicketClassified,
        TicketStatusChanged,
        TicketRelabelled,
        AgentChanged,
        OrderEvent,
        LogisticsEvent,
    )
}
"""Every event by the name that stands in proto/topics.yaml."""

TOPIC_OF: dict[str, Topic] = {event: topic for topic in CATALOGUE.values() for event in topic.events}
"""The one topic that carries an event, by the event's name."""

__all__ = [
    "EVENT_TYPES",
    "TOPIC_OF",
    "AgentChanged",
    "Labels",
    "LogisticsEvent",
    "LogisticsEventKind",
    "OrderEvent",
    "OrderEventKind",
    "Probability",
    "SkillLevel",
    "TicketCancelRequested",
    "TicketClassified",
    "TicketConfirmed",
    "TicketFacts",
    "TicketHelpRequested",
    "TicketMessageAdded",
    "TicketRated",
    "TicketReceived",
    "TicketRelabelled",
    "TicketReopenRequested",
    "TicketStatusChanged",
]
