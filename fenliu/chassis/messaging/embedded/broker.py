"""The embedded broker: connections, dispatch and topics. In memory, one node, for development and tests only.

Requests of one connection are answered in order. One that cannot be read, or whose version is not spoken, closes the
connection, as with Apache Kafka; all else that is not carried out is answered with the protocol's own error.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Self

from aiokafka import errors

from fenliu.chassis.messaging.embedded import protocol as wire
from fenliu.chassis.messaging.embedded.groups import Group
from fenliu.chassis.messaging.embedded.log import Partition
from fenliu.chassis.messaging.embedded.protocol import Message

log = logging.getLogger(__name__)

_NODE: Final = 0
_MAX_PARTITIONS, _METADATA_CHARS = 1000, 4096
_MAX_REQUEST_BYTES: Final = 32 << 20
_MAX_WAIT_S: Final = 30.0  # a longer fetch is answered empty; the client asks again
_TOPIC_NAME: Final = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")
_TOPIC_CONFIG: Final = re.compile(  # what a topic may ask for; times and segments mean nothing in memory
    r"(retention\.bytes|max\.message\.bytes)=-?\d{1,18}|(retention|segment)\.(ms|bytes)=.*|cleanup\.policy=delete"
    r"|min\.insync\.replicas=1|compression\.type=producer|message\.timestamp\.type=CreateTime"
)
_REFUSED: Final = {"offset": -1, "timestamp": -1, "log_start_offset": -1, "highwater_offset": -1, "message_set": b""}

_Answer = Message | None | Awaitable[Message]


class EmbeddedBroker:
    """A Kafka-protocol broker in this process. Everything is lost when it stops.

    port                0 takes a free one; see `bootstrap`.
    retention_bytes     per partition; the oldest whole batches above it are forgotten.
    max_message_bytes   largest record batch; larger ones are refused with MESSAGE_TOO_LARGE.
    first_join_delay_s  how long an empty group waits for more members before its first rebalance.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        retention_bytes: int = 64 << 20,
        max_message_bytes: int = 1_048_588,
        first_join_delay_s: float = 0.1,
    ) -> None:
        self.host, self.port = host, port
        self._retention_bytes, self._max_message_bytes = retention_bytes, max_message_bytes
        self._first_join_delay_s = first_join_delay_s
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._reset()
        # fmt: off
        self._handlers: dict[int, Callable[[Message, wire.Request], _Answer]] = {
            wire.PRODUCE: self._produce, wire.FETCH: self._fetch, wire.LIST_OFFSETS: self._list_offsets,
            wire.METADATA: self._metadata, wire.API_VERSIONS: self._api_versions,
            wire.CREATE_TOPICS: self._create_topics, wire.DELETE_TOPICS: self._delete_topics,
            wire.OFFSET_COMMIT: self._offset_commit, wire.OFFSET_FETCH: self._offset_fetch,
            wire.FIND_COORDINATOR: self._find_coordinator, wire.INIT_PRODUCER_ID: self._init_producer_id,
            wire.JOIN_GROUP: lambda body, asked: self._group(body["group"]).join(body, asked.client_id),
            wire.SYNC_GROUP: lambda body, asked: self._group(body["group"]).sync(body),
            wire.HEARTBEAT: lambda body, asked: self._group(body["group"]).heartbeat(body),
            wire.LEAVE_GROUP: lambda body, asked: self._group(body["group"]).leave(body),
        }
        # fmt: on

    def _reset(self) -> None:
        self._topics: dict[str, list[Partition]] = {}
        self._groups: dict[str, Group] = {}
        self._cluster_id = uuid.uuid4().hex[:22]  # another one after every start: it is another, empty cluster
        self._producer_id = time.time_ns() // 1000  # never an id that an earlier start gave out

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients; the real port once started."""
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen. The broker starts empty, also after a stop. Raises OSError if the port is taken."""
        self._reset()
        self._server = await asyncio.start_server(self._connected, self.host, self.port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection and forget everything. May be called twice."""
        if self._server is None:
            return
        self._server.close()
        for group in self._groups.values():
            group.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(4), signed=True)
                if not 8 <= size <= _MAX_REQUEST_BYTES:
                    raise wire.MalformedRequest(f"frame of {size} bytes; allowed are 8 to {_MAX_REQUEST_BYTES}")
                writer.write(await self._answer(await reader.readexactly(size)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        except wire.MalformedRequest as error:
            log.warning("connection of %s closed: %s", writer.get_extra_info("peername"), error)
        finally:
            writer.close()

    async def _answer(self, frame: bytes) -> bytes:
        """Frame of the response; empty for a produce request that asks for no acknowledgement."""
        asked = wire.decode_request(frame)
        if asked.body is None:
            if asked.key != wire.API_VERSIONS:
                raise wire.MalformedRequest(f"API {asked.key} version {asked.version} is not implemented")
            # A client learns what is spoken from the oldest form of the answer. Source: KIP-511.
            known = {**self._api_versions({}, asked), "error_code": errors.UnsupportedVersionError.errno}
            return wire.encode_response(asked.key, 0, asked.correlation_id, known)
        try:
            given = self._handlers[asked.key](asked.body, asked)
            answer = await given if isinstance(given, Awaitable) else given
        except errors.BrokerResponseError as refused:
            answer = {"error_code": refused.errno, "member_assignment": b""}
        return b"" if answer is None else wire.encode_response(asked.key, asked.version, asked.correlation_id, answer)

    def _partition(self, topic: str, index: int) -> Partition:
        partitions = self._topics.get(topic, ())
        if not 0 <= index < len(partitions):
            raise errors.UnknownTopicOrPartitionError
        return partitions[index]

    def _each(self, topics: list[Message], one: Callable[[str, Message], Message]) -> Message:
        """Answer every partition of a request; what one refuses does not touch the others."""

        def answers(topic: Message) -> Iterator[Message]:
            for part in topic["partitions"]:
                try:
                    yield {"partition": part["partition"], **one(topic["topic"], part)}
                except errors.BrokerResponseError as refused:
                    yield {**_REFUSED, "partition": part["partition"], "error_code": refused.errno}

        names = ("topic", "topics")  # aiokafka's layout of fetch answers says "topics"
        return {"topics": [{**dict.fromkeys(names, t["topic"]), "partitions": [*answers(t)]} for t in topics]}

    def _produce(self, body: Message, asked: wire.Request) -> Message | None:
        def one(topic: str, part: Message) -> Message:
            if asked.version < 3:
                raise errors.UnsupportedVersionError
            if body["transactional_id"] is not None:
                raise errors.TransactionalIdAuthorizationFailed
            partition = self._partition(topic, part["partition"])
            base = partition.append(part["messages"] or b"")
            return {"offset": base, "timestamp": -1, "log_start_offset": partition.start}

        answer = self._each(body["topics"], one)
        return answer if body["required_acks"] else None

    async def _fetch(self, body: Message, asked: wire.Request) -> Message:
        """Answer as soon as min_bytes are there, at the latest after max_wait; every append wakes it."""
        if body.get("session_id"):
            raise errors.FetchSessionIdNotFound  # sessions are never given out: the client asks for everything again
        loop, appended = asyncio.get_running_loop(), asyncio.Event()
        until = loop.time() + min(body["max_wait_time"] / 1000, _MAX_WAIT_S)
        wanted = {(topic["topic"], part["partition"]) for topic in body["topics"] for part in topic["partitions"]}
        watched = [part for name, parts in self._topics.items() for i, part in enumerate(parts) if (name, i) in wanted]
        for partition in watched:
            partition.waiters.add(appended)
        timer = loop.call_at(until, appended.set)
        try:
            while True:
                answer, size = self._read(body)
                refused = any("error_code" in part for topic in answer["topics"] for part in topic["partitions"])
                if refused or size >= body["min_bytes"] or loop.time() >= until:
                    return answer
                appended.clear()
                await appended.wait()
        finally:
            timer.cancel()
            for partition in watched:
                partition.waiters.discard(appended)

    def _read(self, body: Message) -> tuple[Message, int]:
        """One pass over the asked partitions: the answer and its size in bytes."""
        left = body["max_bytes"]

        def one(topic: str, part: Message) -> Message:
            nonlocal left
            partition = self._partition(topic, part["partition"])
            offset = part["offset" if "offset" in part else "fetch_offset"]  # the name changes with the version
            records = b"".join(partition.read(offset, min(part["max_bytes"], left)))
            left -= len(records)
            ends = {"highwater_offset": partition.end, "last_stable_offset": partition.end}
            return {"message_set": records, "log_start_offset": partition.start, **ends}

        return self._each(body["topics"], one), body["max_bytes"] - left

    def _list_offsets(self, body: Message, asked: wire.Request) -> Message:
        def one(topic: str, part: Message) -> Message:
            partition = self._partition(topic, part["partition"])
            ends = {-1: (partition.end, -1), -2: (partition.start, -1)}
            offset, timestamp = ends.get(part["timestamp"]) or partition.find(part["timestamp"])
            return {"offset": offset, "timestamp": timestamp}

        return self._each(body["topics"], one)

    def _metadata(self, body: Message, asked: wire.Request) -> Message:
        names = body["topics"]
        if names is None or (asked.version == 0 and not names):
            names = list(self._topics)
        where = {"leader": _NODE, "replicas": [_NODE], "isr": [_NODE]}
        topics = [
            {"topic": name, "partitions": [{"partition": index, **where} for index in range(len(self._topics[name]))]}
            if name in self._topics
            else {"topic": name, "error_code": errors.UnknownTopicOrPartitionError.errno}
            for name in names
        ]
        broker = {"node_id": _NODE, "host": self.host, "port": self.port, "rack": None}
        return {"brokers": [broker], "cluster_id": self._cluster_id, "controller_id": _NODE, "topics": topics}

    def _create_topics(self, body: Message, asked: wire.Request) -> Message:
        answers: list[Message] = []
        for topic in body["create_topic_requests"]:
            answer = {"topic": topic["topic"], "error_code": 0, "error_message": None}
            try:
                partitions = self._new_topic(topic)
                if not body.get("validate_only"):
                    self._topics[topic["topic"]] = partitions
            except errors.BrokerResponseError as refused:
                answer |= {"error_code": refused.errno, "error_message": refused.description}
            answers.append(answer)
        return {"topic_errors": answers}

    def _new_topic(self, topic: Message) -> list[Partition]:
        config = {item["config_key"]: item["config_value"] for item in topic["configs"]}
        valid_config = all(_TOPIC_CONFIG.fullmatch(f"{name}={value}") for name, value in config.items())
        for refused, error in (
            (topic["topic"] in self._topics, errors.TopicAlreadyExistsError),
            (not _TOPIC_NAME.fullmatch(topic["topic"]), errors.InvalidTopicError),
            (bool(topic["replica_assignment"]), errors.InvalidRequestError),
            (not 1 <= topic["num_partitions"] <= _MAX_PARTITIONS, errors.InvalidPartitionsError),
            (topic["replication_factor"] not in (-1, 1), errors.InvalidReplicationFactorError),
            (not valid_config, errors.InvalidConfigurationError),
        ):
            if refused:
                raise error
        wanted = int(config.get("retention.bytes", -1))
        kept = min(wanted, self._retention_bytes) if wanted >= 0 else self._retention_bytes
        largest = int(config.get("max.message.bytes", self._max_message_bytes))
        return [Partition(kept, largest) for _ in range(topic["num_partitions"])]

    def _delete_topics(self, body: Message, asked: wire.Request) -> Message:
        answers: list[Message] = []
        for name in body["topics"]:
            gone = self._topics.pop(name, [])
            answers.append({"topic": name, "error_code": 0 if gone else errors.UnknownTopicOrPartitionError.errno})
            for group in self._groups.values():
                group.offsets = {at: kept for at, kept in group.offsets.items() if at[0] != name}
        return {"topic_error_codes": answers}

    def _group(self, name: str) -> Group:
        if not name:
            raise errors.InvalidGroupIdError
        return self._groups.setdefault(name, Group(name, self._first_join_delay_s))

    def _offset_commit(self, body: Message, asked: wire.Request) -> Message:
        group = self._group(body["consumer_group"])

        def one(topic: str, part: Message) -> Message:
            group.check_commit(body)
            self._partition(topic, part["partition"])
            if len(part["metadata"] or "") > _METADATA_CHARS:
                raise errors.OffsetMetadataTooLargeError
            group.offsets[topic, part["partition"]] = (part["offset"], part["metadata"])
            return {}

        return self._each(body["topics"], one)

    def _offset_fetch(self, body: Message, asked: wire.Request) -> Message:
        offsets = self._group(body["consumer_group"]).offsets
        wanted = body["topics"]
        if wanted is None:
            names = sorted({topic for topic, _ in offsets})
            wanted = [{"topic": name, "partitions": [at for topic, at in offsets if topic == name]} for name in names]

        def one(topic: str, part: Message) -> Message:
            offset, metadata = offsets.get((topic, part["partition"]), (-1, ""))
            return {"offset": offset, "metadata": metadata}

        asked_for = [{**topic, "partitions": [{"partition": at} for at in topic["partitions"]]} for topic in wanted]
        return self._each(asked_for, one)

    def _find_coordinator(self, body: Message, asked: wire.Request) -> Message:
        if body.get("coordinator_type"):  # a coordinator of transactions, which are not implemented
            raise errors.TransactionalIdAuthorizationFailed
        return {"error_message": None, "coordinator_id": _NODE, "host": self.host, "port": self.port}

    def _init_producer_id(self, body: Message, asked: wire.Request) -> Message:
        if body["transactional_id"] is not None:
            raise errors.TransactionalIdAuthorizationFailed
        self._producer_id += 1
        return {"producer_id": self._producer_id}

    def _api_versions(self, body: Message, asked: wire.Request) -> Message:
        spoken = [{"api_key": key, "min_version": v[0], "max_version": v[1]} for key, v in wire.VERSIONS.items()]
        return {"api_versions": spoken}
