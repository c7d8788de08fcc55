"""Event streams: nothing is missed, nothing comes twice, and they end when they must."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fenliu.chassis.auth import Tokens
from services.notifier.workers import Streams, TooManyStreams
from tests.component.notifier.lab import KEY, World, message, received, status
from tests.component.travel import TravelClock


class Reader:
    """A browser's EventSource, roughly."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.last_id = ""
        self.comments = 0

    async def next(self, within_s: float = 5) -> dict[str, Any]:
        """The next event: its name, id and data. Raises TimeoutError, StopAsyncIteration at the end."""
        event: dict[str, Any] = {}
        async with asyncio.timeout(within_s):
            while True:
                line = await anext(self._lines)
                if line.startswith(":"):
                    self.comments += 1
                elif not line and "data" in event:
                    return event
                elif line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                    if name == "id":
                        self.last_id = value


def opened(client: httpx2.AsyncClient, url: str, last_id: str | None = None) -> Any:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    return client.stream("GET", url, headers=headers)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.serving() as url, httpx2.AsyncClient(base_url=url, timeout=20) as made:
        yield made


async def test_stream_replays_then_pushes_within_a_second(world: World, client: httpx2.AsyncClient) -> None:
    await world.handle(received(), status(1, "waiting"))
    async with opened(client, f"/s/{world.link()}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        reader = Reader(response)
        kinds = [json.loads((await reader.next())["data"])["kind"] for _ in range(2)]
        assert kinds == ["received", "in_line"]
        await world.handle(message(2, "two\nlines"))
        event = await reader.next(within_s=1)
    assert event["event"] == "timeline"
    assert json.loads(event["data"])["text"] == "two\nlines"


async def test_stream_resumed_misses_none_and_repeats_none(world: World, client: httpx2.AsyncClient) -> None:
    await world.handle(received())
    texts: list[str] = []
    last_id, sent = "0", 0
    for round_ in range(4):
        async with opened(client, f"/s/{world.link()}/events", last_id) as response:
            reader = Reader(response)
            for _ in range(5):
                sent += 1
                await world.handle(message(sent + 1, f"text {sent}"))
            wanted = 5 if round_ else 6
            for _ in range(wanted - 2):  # hang up with two of them unread
                texts.append(json.loads((await reader.next())["data"])["text"])
            last_id = reader.last_id
    async with opened(client, f"/s/{world.link()}/events", last_id) as response:
        reader = Reader(response)
        while len(texts) < sent + 1:
            texts.append(json.loads((await reader.next())["data"])["text"])
    assert texts == [None, *(f"text {n}" for n in range(1, sent + 1))]


async def test_stream_shows_what_another_replica_wrote(
    world: World, replica: World, client: httpx2.AsyncClient
) -> None:
    await world.handle(received())
    async with opened(client, f"/s/{world.link()}/events") as response:
        reader = Reader(response)
        await reader.next()
        await replica.handle(message(2, "from over there"))
        event = await reader.next(within_s=2)
    assert json.loads(event["data"])["text"] == "from over there"


async def test_stream_opened_before_any_event_gets_the_first(world: World, client: httpx2.AsyncClient) -> None:
    async with opened(client, f"/s/{world.link('early')}/events") as response:
        reader = Reader(response)
        await world.handle(received("early"))
        event = await reader.next()
    assert json.loads(event["data"])["kind"] == "received"


async def test_stream_concerns_its_ticket_and_tenant_only(world: World, client: httpx2.AsyncClient) -> None:
    await world.handle(received())
    async with opened(client, f"/s/{world.link()}/events") as response:
        reader = Reader(response)
        await reader.next()
        await world.handle(message(2, "foreign", tenant="other"), message(2, "another ticket", "k2"))
        await world.handle(message(2, "ours"))
        event = await reader.next()
    assert json.loads(event["data"])["text"] == "ours"


async def test_stream_ends_when_the_link_expires(world: World, client: httpx2.AsyncClient) -> None:
    await world.handle(received())
    link = world.link(lives=timedelta(seconds=2))
    async with opened(client, f"/s/{link}/events") as response:
        reader = Reader(response)
        await reader.next()
        event = await reader.next(within_s=8)
        assert (event["event"], json.loads(event["data"])) == ("end", {"reason": "expired"})
        with pytest.raises(StopAsyncIteration):
            await reader.next()
    assert (await client.get(f"/s/{link}/events")).status_code == 401


async def test_stream_is_kept_awake_by_comments(database_url: str, clock: TravelClock) -> None:
    world = World(database_url, clock, stream_heartbeat_s=0.05)
    await world.handle(received())
    async with (
        world.serving() as url,
        httpx2.AsyncClient(base_url=url, timeout=20) as client,
        opened(client, f"/s/{world.link()}/events") as response,
    ):
        reader = Reader(response)
        await reader.next()
        with pytest.raises(TimeoutError):
            await reader.next(within_s=1)
    await world.db.close()
    assert reader.comments >= 3


async def test_stream_ends_when_the_service_stops(world: World) -> None:
    await world.handle(received())
    async with httpx2.AsyncClient(timeout=20) as client:
        async with world.serving() as url:
            opening = opened(client, f"{url}/s/{world.link()}/events")
            reader = Reader(await opening.__aenter__())
            await reader.next()
        event = await reader.next()
        assert json.loads(event["data"]) == {"reason": "shutdown"}
        await opening.__aexit__(None, None, None)


async def test_stream_with_token_is_the_same_and_foreign_tickets_are_missing(
    world: World, client: httpx2.AsyncClient
) -> None:
    await world.handle(received(), message(2, "hello"))

    def bearer(role: str, tenant: str = "acme", subject: str = "c-1") -> dict[str, str]:
        token = Tokens(KEY).issue(tenant, [role], subject, 600, world.clock.now())
        return {"Authorization": f"Bearer {token}"}

    url = "/v1/timelines/k/events"
    async with client.stream("GET", url, headers=bearer("customer") | {"Last-Event-ID": "1"}) as response:
        event = await Reader(response).next()
    assert json.loads(event["data"])["text"] == "hello"
    assert (await client.get(url)).status_code == 401
    for headers in (bearer("customer", subject="c-2"), bearer("agent", tenant="other")):
        foreign = await client.get(url, headers=headers)
        missing = await client.get("/v1/timelines/nothing/events", headers=headers)
        assert foreign.status_code == missing.status_code == 404
        assert foreign.json()["detail"] == missing.json()["detail"]
        assert "retry-after" in missing.headers  # intake may have accepted it a moment ago


async def test_streams_reader_who_does_not_keep_up_is_cut_off(world: World) -> None:
    streams = Streams(world.db, every_s=0.1, room=5)
    slow, quick = streams.watch(("acme", "k"), 0), streams.watch(("acme", "k"), 0)
    for sequence in range(1, 8):
        await world.handle(message(sequence, "x"))
        await streams.push_once()
        world.clock.jump(seconds=1)
        quick.entries.clear()
    assert slow.closed == "slow"
    assert len(slow.entries) <= 6
    assert quick.closed is None


async def test_streams_above_the_limit_are_refused(world: World) -> None:
    streams = Streams(world.db, max_streams=2)
    first = streams.watch(("acme", "a"), 0)
    streams.watch(("acme", "b"), 0)
    with pytest.raises(TooManyStreams):
        streams.watch(("acme", "c"), 0)
    streams.leave(first, "client")
    streams.watch(("acme", "c"), 0)


async def test_streams_many_watched_tickets_are_looked_at_together(world: World) -> None:
    """5,000 idle streams cost one look at all of them, not one query each."""
    streams = Streams(world.db, every_s=0.1)
    watchers = [streams.watch(("acme", f"k-{n}"), 0) for n in range(5000)]
    await world.handle(message(1, "news", "k-4321"))
    await streams.push_once()
    assert [len(w.entries) for w in watchers if w.entries] == [1]
    assert watchers[4321].entries[0].text == "news"
