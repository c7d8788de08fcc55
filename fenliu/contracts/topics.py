"""Generated from proto/topics.yaml by `make gen`. Do not edit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """One entry of the catalogue; the fields are explained in proto/topics.yaml."""

    name: str
    events: tuple[str, ...]
    key: str
    partitions: int
    retention_h: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    formats: tuple[str, ...]
    dead_letter: str


TICKET_INBOUND = Topic(
    name="ticket-inbound",
    events=(
        "TicketReceived",
        "TicketMessageAdded",
        "TicketCancelRequested",
        "TicketReopenRequested",
        "TicketHelpRequested",
        "TicketConfirmed",
        "TicketRated",
    ),
    key="ticket_id",
    partitions=6,
    retention_h=168,
    producers=("intake",),
    consumers=("classifier", "router", "notifier"),
    formats=("protobuf",),
    dead_letter="ticket-inbound-dlq",
)
TICKET_CLASSIFIED = Topic(
    name="ticket-classified",
    events=("TicketClassified",),
    key="ticket_id",
    partitions=6,
    retention_h=168,
    producers=("classifier",),
    consumers=("router",),
    formats=("protobuf",),
    dead_letter="ticket-classified-dlq",
)
TICKET_STATUS = Topic(
    name="ticket-status",
    events=("TicketStatusChanged", "TicketRelabelled"),
    key="ticket_id",
    partitions=6,
    retention_h=168,
    producers=("router",),
    consumers=("intake", "notifier"),
    formats=("protobuf",),
    dead_letter="ticket-status-dlq",
)
AGENT_CHANGED = Topic(
    name="agent-changed",
    events=("AgentChanged",),
    key="agent_id",
    partitions=3,
    retention_h=168,
    producers=("router",),
    consumers=("notifier",),
    formats=("protobuf",),
    dead_letter="agent-changed-dlq",
)
ORDER_EVENTS = Topic(
    name="order-events",
    events=("OrderEvent",),
    key="order_id",
    partitions=6,
    retention_h=168,
    producers=("outside",),
    consumers=("intake",),
    formats=("protobuf", "json"),
    dead_letter="order-events-dlq",
)
LOGISTICS_EVENTS = Topic(
    name="logistics-events",
    events=("LogisticsEvent",),
    key="parcel_id",
    partitions=6,
    retention_h=168,
    producers=("outside",),
    consumers=("intake",),
    formats=("protobuf", "json"),
    dead_letter="logistics-events-dlq",
)

CATALOGUE: dict[str, Topic] = {
    "ticket-inbound": TICKET_INBOUND,
    "ticket-classified": TICKET_CLASSIFIED,
    "ticket-status": TICKET_STATUS,
    "agent-changed": AGENT_CHANGED,
    "order-events": ORDER_EVENTS,
    "logistics-events": LOGISTICS_EVENTS,
}
