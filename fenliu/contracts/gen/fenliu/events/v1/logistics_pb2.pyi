import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogisticsEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOGISTICS_EVENT_KIND_UNSPECIFIED: _ClassVar[LogisticsEventKind]
    LOGISTICS_EVENT_KIND_PICKED_UP: _ClassVar[LogisticsEventKind]
    LOGISTICS_EVENT_KIND_IN_TRANSIT: _ClassVar[LogisticsEventKind]
    LOGISTICS_EVENT_KIND_OUT_FOR_DELIVERY: _ClassVar[LogisticsEventKind]
    LOGISTICS_EVENT_KIND_DELIVERY_FAILED: _ClassVar[LogisticsEventKind]
    LOGISTICS_EVENT_KIND_DELIVERED: _ClassVar[LogisticsEventKind]
    LOGISTICS_EVENT_KIND_LOST: _ClassVar[LogisticsEventKind]
    LOGISTICS_EVENT_KIND_DAMAGED: _ClassVar[LogisticsEventKind]
    LOGISTICS_EVENT_KIND_RETURNED: _ClassVar[LogisticsEventKind]
LOGISTICS_EVENT_KIND_UNSPECIFIED: LogisticsEventKind
LOGISTICS_EVENT_KIND_PICKED_UP: LogisticsEventKind
LOGISTICS_EVENT_KIND_IN_TRANSIT: LogisticsEventKind
LOGISTICS_EVENT_KIND_OUT_FOR_DELIVERY: LogisticsEventKind
LOGISTICS_EVENT_KIND_DELIVERY_FAILED: LogisticsEventKind
LOGISTICS_EVENT_KIND_DELIVERED: LogisticsEventKind
LOGISTICS_EVENT_KIND_LOST: LogisticsEventKind
LOGISTICS_EVENT_KIND_DAMAGED: LogisticsEventKind
LOGISTICS_EVENT_KIND_RETURNED: LogisticsEventKind

class LogisticsEvent(_message.Message):
    __slots__ = ("tenant_id", "parcel_id", "kind", "occurred_at", "version", "order_id", "carrier", "location", "promised_at", "note")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PARCEL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    PROMISED_AT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    parcel_id: str
    kind: LogisticsEventKind
    occurred_at: _timestamp_pb2.Timestamp
    version: int
    order_id: str
    carrier: str
    location: str
    promised_at: _timestamp_pb2.Timestamp
    note: str
    def __init__(self, tenant_id: _Optional[str] = ..., parcel_id: _Optional[str] = ..., kind: _Optional[_Union[LogisticsEventKind, str]] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ..., order_id: _Optional[str] = ..., carrier: _Optional[str] = ..., location: _Optional[str] = ..., promised_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...
