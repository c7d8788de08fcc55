import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TicketReceived(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "sequence", "text", "customer_id", "channel", "language_hint", "order_id", "parcel_id", "yearly_spend_minor", "currency", "customer_class", "region", "desk_id", "received_at", "origin", "fact", "fact_labels", "repeat_contacts")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_HINT_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PARCEL_ID_FIELD_NUMBER: _ClassVar[int]
    YEARLY_SPEND_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_CLASS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    DESK_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    FACT_LABELS_FIELD_NUMBER: _ClassVar[int]
    REPEAT_CONTACTS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    sequence: int
    text: str
    customer_id: str
    channel: str
    language_hint: str
    order_id: str
    parcel_id: str
    yearly_spend_minor: int
    currency: str
    customer_class: str
    region: str
    desk_id: str
    received_at: _timestamp_pb2.Timestamp
    origin: str
    fact: str
    fact_labels: Labels
    repeat_contacts: int
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., sequence: _Optional[int] = ..., text: _Optional[str] = ..., customer_id: _Optional[str] = ..., channel: _Optional[str] = ..., language_hint: _Optional[str] = ..., order_id: _Optional[str] = ..., parcel_id: _Optional[str] = ..., yearly_spend_minor: _Optional[int] = ..., currency: _Optional[str] = ..., customer_class: _Optional[str] = ..., region: _Optional[str] = ..., desk_id: _Optional[str] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., origin: _Optional[str] = ..., fact: _Optional[str] = ..., fact_labels: _Optional[_Union[Labels, _Mapping]] = ..., repeat_contacts: _Optional[int] = ...) -> None: ...

class TicketMessageAdded(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "sequence", "message_id", "author_role", "author_id", "visibility", "text", "joined_text", "added_at", "repeat_contact")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_ROLE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_ID_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    JOINED_TEXT_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    REPEAT_CONTACT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    sequence: int
    message_id: str
    author_role: str
    author_id: str
    visibility: str
    text: str
    joined_text: str
    added_at: _timestamp_pb2.Timestamp
    repeat_contact: bool
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., sequence: _Optional[int] = ..., message_id: _Optional[str] = ..., author_role: _Optional[str] = ..., author_id: _Optional[str] = ..., visibility: _Optional[str] = ..., text: _Optional[str] = ..., joined_text: _Optional[str] = ..., added_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., repeat_contact: _Optional[bool] = ...) -> None: ...

class TicketCancelRequested(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "sequence", "requested_at", "reason")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    sequence: int
    requested_at: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., sequence: _Optional[int] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class TicketReopenRequested(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "sequence", "requested_at", "reason")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    sequence: int
    requested_at: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., sequence: _Optional[int] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class TicketHelpRequested(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "sequence", "requested_at")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    sequence: int
    requested_at: _timestamp_pb2.Timestamp
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., sequence: _Optional[int] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TicketConfirmed(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "sequence", "confirmed_at", "confirmed_by")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_AT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_BY_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    sequence: int
    confirmed_at: _timestamp_pb2.Timestamp
    confirmed_by: str
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., sequence: _Optional[int] = ..., confirmed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., confirmed_by: _Optional[str] = ...) -> None: ...

class TicketRated(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "sequence", "score", "rated_at")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RATED_AT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    sequence: int
    score: int
    rated_at: _timestamp_pb2.Timestamp
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., sequence: _Optional[int] = ..., score: _Optional[int] = ..., rated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Labels(_message.Message):
    __slots__ = ("category", "tier", "complexity", "sentiment", "intent", "language")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    COMPLEXITY_FIELD_NUMBER: _ClassVar[int]
    SENTIMENT_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    category: str
    tier: str
    complexity: str
    sentiment: str
    intent: str
    language: str
    def __init__(self, category: _Optional[str] = ..., tier: _Optional[str] = ..., complexity: _Optional[str] = ..., sentiment: _Optional[str] = ..., intent: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class Probability(_message.Message):
    __slots__ = ("label", "slug", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    slug: str
    probability: float
    def __init__(self, label: _Optional[str] = ..., slug: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class TicketClassified(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "message_sequence", "labels", "probabilities", "confidence", "needs_review", "reasons", "model_version", "classified_at", "facts")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    NEEDS_REVIEW_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    message_sequence: int
    labels: Labels
    probabilities: _containers.RepeatedCompositeFieldContainer[Probability]
    confidence: float
    needs_review: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    model_version: str
    classified_at: _timestamp_pb2.Timestamp
    facts: TicketFacts
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., message_sequence: _Optional[int] = ..., labels: _Optional[_Union[Labels, _Mapping]] = ..., probabilities: _Optional[_Iterable[_Union[Probability, _Mapping]]] = ..., confidence: _Optional[float] = ..., needs_review: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ..., model_version: _Optional[str] = ..., classified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., facts: _Optional[_Union[TicketFacts, _Mapping]] = ...) -> None: ...

class TicketFacts(_message.Message):
    __slots__ = ("customer_id", "channel", "language_hint", "order_id", "parcel_id", "yearly_spend_minor", "currency", "customer_class", "region", "desk_id", "received_at", "repeat_contacts")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_HINT_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PARCEL_ID_FIELD_NUMBER: _ClassVar[int]
    YEARLY_SPEND_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_CLASS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    DESK_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    REPEAT_CONTACTS_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    channel: str
    language_hint: str
    order_id: str
    parcel_id: str
    yearly_spend_minor: int
    currency: str
    customer_class: str
    region: str
    desk_id: str
    received_at: _timestamp_pb2.Timestamp
    repeat_contacts: int
    def __init__(self, customer_id: _Optional[str] = ..., channel: _Optional[str] = ..., language_hint: _Optional[str] = ..., order_id: _Optional[str] = ..., parcel_id: _Optional[str] = ..., yearly_spend_minor: _Optional[int] = ..., currency: _Optional[str] = ..., customer_class: _Optional[str] = ..., region: _Optional[str] = ..., desk_id: _Optional[str] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., repeat_contacts: _Optional[int] = ...) -> None: ...

class TicketStatusChanged(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "state", "version", "fence", "queue_id", "agent_id", "agent_name", "labels", "first_response_due_at", "resolution_due_at", "reason", "awaited", "reopen_count", "changed_at", "received_at", "first_responded_at", "desk_id", "customer_id", "repeated")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    FIRST_RESPONSE_DUE_AT_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_DUE_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AWAITED_FIELD_NUMBER: _ClassVar[int]
    REOPEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    FIRST_RESPONDED_AT_FIELD_NUMBER: _ClassVar[int]
    DESK_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    state: str
    version: int
    fence: int
    queue_id: str
    agent_id: str
    agent_name: str
    labels: Labels
    first_response_due_at: _timestamp_pb2.Timestamp
    resolution_due_at: _timestamp_pb2.Timestamp
    reason: str
    awaited: str
    reopen_count: int
    changed_at: _timestamp_pb2.Timestamp
    received_at: _timestamp_pb2.Timestamp
    first_responded_at: _timestamp_pb2.Timestamp
    desk_id: str
    customer_id: str
    repeated: bool
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., state: _Optional[str] = ..., version: _Optional[int] = ..., fence: _Optional[int] = ..., queue_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., agent_name: _Optional[str] = ..., labels: _Optional[_Union[Labels, _Mapping]] = ..., first_response_due_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolution_due_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., awaited: _Optional[str] = ..., reopen_count: _Optional[int] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first_responded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., desk_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., repeated: _Optional[bool] = ...) -> None: ...

class TicketRelabelled(_message.Message):
    __slots__ = ("tenant_id", "ticket_id", "version", "labels_before", "labels_after", "corrected_by", "corrected_at", "corrected_by_role", "reason", "model_version")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABELS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    LABELS_AFTER_FIELD_NUMBER: _ClassVar[int]
    CORRECTED_BY_FIELD_NUMBER: _ClassVar[int]
    CORRECTED_AT_FIELD_NUMBER: _ClassVar[int]
    CORRECTED_BY_ROLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    ticket_id: str
    version: int
    labels_before: Labels
    labels_after: Labels
    corrected_by: str
    corrected_at: _timestamp_pb2.Timestamp
    corrected_by_role: str
    reason: str
    model_version: str
    def __init__(self, tenant_id: _Optional[str] = ..., ticket_id: _Optional[str] = ..., version: _Optional[int] = ..., labels_before: _Optional[_Union[Labels, _Mapping]] = ..., labels_after: _Optional[_Union[Labels, _Mapping]] = ..., corrected_by: _Optional[str] = ..., corrected_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., corrected_by_role: _Optional[str] = ..., reason: _Optional[str] = ..., model_version: _Optional[str] = ...) -> None: ...
