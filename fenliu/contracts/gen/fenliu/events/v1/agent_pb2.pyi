import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentChanged(_message.Message):
    __slots__ = ("tenant_id", "agent_id", "version", "name", "desk_id", "presence", "skills", "capacity", "load", "changed_at")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESK_ID_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    SKILLS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    agent_id: str
    version: int
    name: str
    desk_id: str
    presence: str
    skills: _containers.RepeatedCompositeFieldContainer[SkillLevel]
    capacity: int
    load: int
    changed_at: _timestamp_pb2.Timestamp
    def __init__(self, tenant_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., version: _Optional[int] = ..., name: _Optional[str] = ..., desk_id: _Optional[str] = ..., presence: _Optional[str] = ..., skills: _Optional[_Iterable[_Union[SkillLevel, _Mapping]]] = ..., capacity: _Optional[int] = ..., load: _Optional[int] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SkillLevel(_message.Message):
    __slots__ = ("skill", "level")
    SKILL_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    skill: str
    level: float
    def __init__(self, skill: _Optional[str] = ..., level: _Optional[float] = ...) -> None: ...
