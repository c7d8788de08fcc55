import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OrderEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_EVENT_KIND_UNSPECIFIED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_PLACED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_PAID: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_CHARGED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_CHANGED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_MERGED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_CANCELLED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_PACKED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_DISPATCHED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_RETURN_OPENED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_RETURN_RECEIVED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_REFUND_REQUESTED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_REFUND_APPROVED: _ClassVar[OrderEventKind]
    ORDER_EVENT_KIND_REFUND_PAID: _ClassVar[OrderEventKind]
ORDER_EVENT_KIND_UNSPECIFIED: OrderEventKind
ORDER_EVENT_KIND_PLACED: OrderEventKind
ORDER_EVENT_KIND_PAID: OrderEventKind
ORDER_EVENT_KIND_CHARGED: OrderEventKind
ORDER_EVENT_KIND_CHANGED: OrderEventKind
ORDER_EVENT_KIND_MERGED: OrderEventKind
ORDER_EVENT_KIND_CANCELLED: OrderEventKind
ORDER_EVENT_KIND_PACKED: OrderEventKind
ORDER_EVENT_KIND_DISPATCHED: OrderEventKind
ORDER_EVENT_KIND_RETURN_OPENED: OrderEventKind
ORDER_EVENT_KIND_RETURN_RECEIVED: OrderEventKind
ORDER_EVENT_KIND_REFUND_REQUESTED: OrderEventKind
ORDER_EVENT_KIND_REFUND_APPROVED: OrderEventKind
ORDER_EVENT_KIND_REFUND_PAID: OrderEventKind

class OrderEvent(_message.Message):
    __slots__ = ("tenant_id", "order_id", "kind", "occurred_at", "version", "customer_id", "total_minor", "currency", "parcel_ids", "promised_at", "charge_id", "amount_minor", "note", "yearly_spend_minor", "customer_class")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PARCEL_IDS_FIELD_NUMBER: _ClassVar[int]
    PROMISED_AT_FIELD_NUMBER: _ClassVar[int]
    CHARGE_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    YEARLY_SPEND_MINOR_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_CLASS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    order_id: str
    kind: OrderEventKind
    occurred_at: _timestamp_pb2.Timestamp
    version: int
    customer_id: str
    total_minor: int
    currency: str
    parcel_ids: _containers.RepeatedScalarFieldContainer[str]
    promised_at: _timestamp_pb2.Timestamp
    charge_id: str
    amount_minor: int
    note: str
    yearly_spend_minor: int
    customer_class: str
    def __init__(self, tenant_id: _Optional[str] = ..., order_id: _Optional[str] = ..., kind: _Optional[_Union[OrderEventKind, str]] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ..., customer_id: _Optional[str] = ..., total_minor: _Optional[int] = ..., currency: _Optional[str] = ..., parcel_ids: _Optional[_Iterable[str]] = ..., promised_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., charge_id: _Optional[str] = ..., amount_minor: _Optional[int] = ..., note: _Optional[str] = ..., yearly_spend_minor: _Optional[int] = ..., customer_class: _Optional[str] = ...) -> None: ...
