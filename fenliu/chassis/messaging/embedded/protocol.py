"""Which requests of the Kafka wire protocol the embedded broker speaks, in which versions, and how they are coded.

The layouts are those of aiokafka's own codecs; a message is a dict with aiokafka's field names.
Versions with "flexible" encoding and with static group members are left out.
"""

import struct
from io import BytesIO
from typing import Any, Final, NamedTuple

# Importing a module of aiokafka.protocol defines its request types.
from aiokafka.protocol import admin, commit, coordination, fetch, group, metadata, offset, produce, transaction  # noqa: F401
from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.types import Array, Schema, String

PRODUCE, FETCH, LIST_OFFSETS, METADATA, OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR = 0, 1, 2, 3, 8, 9, 10
JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP, API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS = 11, 12, 13, 14, 18, 19, 20
INIT_PRODUCER_ID = 22

# First and last version spoken. Produce below 3 carries the old message format: advertised, because older librdkafka
# compresses only when it sees it, and refused when used. Apache Kafka 4 does the same.
# fmt: off
VERSIONS: Final[dict[int, tuple[int, int]]] = {
    PRODUCE: (0, 7), FETCH: (4, 10), LIST_OFFSETS: (1, 3), METADATA: (0, 5), FIND_COORDINATOR: (0, 1),
    JOIN_GROUP: (0, 2), SYNC_GROUP: (0, 1), HEARTBEAT: (0, 1), LEAVE_GROUP: (0, 1), OFFSET_COMMIT: (2, 3),
    OFFSET_FETCH: (1, 3), API_VERSIONS: (0, 2), CREATE_TOPICS: (0, 3), DELETE_TOPICS: (0, 3), INIT_PRODUCER_ID: (0, 0),
}
# fmt: on

Message = dict[str, Any]

_STRUCTS: Final = {(known.API_KEY, known.API_VERSION): known for known in RequestStruct.__subclasses__()}
_HEADER: Final = struct.Struct(">hhih")


class MalformedRequest(ValueError):
    """The bytes do not form the announced request. The connection is closed, as Apache Kafka does."""


class Request(NamedTuple):
    """One decoded frame. `body` is None where the version is not spoken."""

    key: int
    version: int
    correlation_id: int
    client_id: str
    body: Message | None


def decode_request(frame: bytes) -> Request:
    """Decode one frame (without its length). Raises MalformedRequest."""
    try:
        key, version, correlation_id, length = _HEADER.unpack_from(frame)
        at = _HEADER.size + max(length, 0)
        client_id = str(frame[_HEADER.size : at], "utf-8")
        first, last = VERSIONS.get(key, (0, -1))
        if not first <= version <= last:
            return Request(key, version, correlation_id, client_id, None)
        data = BytesIO(frame)
        data.seek(at)
        schema = _STRUCTS[key, version].SCHEMA
        return Request(key, version, correlation_id, client_id, _named(schema, schema.decode(data)))
    except (struct.error, ValueError) as error:
        raise MalformedRequest(str(error)) from error


def _named(schema: Any, values: Any) -> Message:
    message: Message = {}
    for name, kind, value in zip(schema.names, schema.fields, values, strict=True):
        records = isinstance(kind, Array) and isinstance(kind.array_of, Schema) and value is not None
        message[name] = [_named(kind.array_of, item) for item in value] if records else value
    return message


def encode_response(key: int, version: int, correlation_id: int, message: Message) -> bytes:
    """Frame of a response. A field that the message lacks is 0, "" or empty; None is null."""
    schema = _STRUCTS[key, version].RESPONSE_TYPE.SCHEMA
    body = schema.encode(_ordered(schema, message))
    return b"".join((struct.pack(">ii", 4 + len(body), correlation_id), body))


def _ordered(schema: Any, message: Message) -> list[Any]:
    values = []
    for name, kind in zip(schema.names, schema.fields, strict=True):
        if isinstance(kind, Array) and isinstance(kind.array_of, Schema):
            values.append([_ordered(kind.array_of, item) for item in message.get(name, ())])
        else:
            values.append(message.get(name, () if isinstance(kind, Array) else "" if isinstance(kind, String) else 0))
    return values
