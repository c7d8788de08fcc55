"""What becomes of a poll: every outcome of a handler, halving, blocking, giving up. No broker, no database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import DBAPIError

from fenliu.chassis.clock import SystemClock
from fenliu.chassis.db import DatabaseUnavailable
from fenliu.chassis.errors import Malformed, Transient
from fenliu.chassis.messaging.batch import Outcome, Processor, TooManyDeadLetters, grouped
from fenliu.chassis.messaging.deadletter import Failure
from fenliu.chassis.messaging.decode import Decoder
from fenliu.chassis.messaging.envelope import Envelope, Received, Record, to_headers
from fenliu.chassis.messaging.kafka import KafkaUnavailable
from fenliu.contracts.events import TicketMessageAdded, TicketReceived
from fenliu.contracts.topics import TICKET_INBOUND

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(offset: int, *, partition: int = 0, value: bytes | None = None, kind: str = "TicketReceived") -> Record:
    key = f"t{partition}-{offset}"
    event = TicketReceived(tenant_id="shop", ticket_id=key, sequence=offset)
    envelope = Envelope(f"e-{partition}-{offset}", kind, "intake", "shop", key, NOW)
    payload = event.SerializeToString() if value is None else value
    return Record("ticket-inbound", partition, offset, key.encode(), payload, tuple(to_headers(envelope)), 0)


class Scene:
    """A processor with a handler that fails as told, and a record of what it did."""

    def __init__(self, fail: Callable[[list[int]], Exception | None] = lambda _: None, *, dead_fails: bool = False):
        self.applied: list[list[int]] = []
        self.tried = 0
        self.dead: list[Failure] = []
        self._fail, self._dead_fails = fail, dead_fails
        decoder = Decoder(TICKET_INBOUND, {"TicketReceived"})
        self.processor = Processor(decoder, self._apply, self._write_dead, SystemClock(), max_dead_in_row=5)

    async def _apply(self, received: Sequence[Received]) -> None:
        self.tried += 1
        offsets = [item.event.sequence for item in received]  # type: ignore[attr-defined]
        error = self._fail(offsets)
        if error is not None:
            raise error
        self.applied.append(offsets)

    async def _write_dead(self, failures: Sequence[Failure]) -> None:
        if self._dead_fails:
            raise KafkaUnavailable
        self.dead += failures

    async def process(self, *records: Record) -> Outcome:
        return await self.processor.process(records)


async def test_process_good_records_is_one_transaction() -> None:
    scene = Scene()
    outcome = await scene.process(*[record(n) for n in range(10)])
    assert scene.applied == [list(range(10))]
    assert outcome.done == {0: 10}


async def test_process_malformed_culprit_is_found_by_halving_and_the_rest_applied_in_order() -> None:
    scene = Scene(lambda offsets: Malformed("bad") if 6 in offsets else None)
    outcome = await scene.process(*[record(n) for n in range(10)])
    assert [n for batch in scene.applied for n in batch] == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert [failure.record.offset for failure in scene.dead] == [6]
    assert scene.tried <= 2 * 5
    assert outcome.done == {0: 10}


async def test_process_transient_culprit_blocks_its_partition_from_there_and_no_other() -> None:
    scene = Scene(lambda offsets: Transient("later") if 3 in offsets else None)
    records = [*[record(n) for n in range(6)], *[record(n, partition=1) for n in range(10, 14)]]
    outcome = await scene.process(*records)
    assert [n for batch in scene.applied for n in batch] == [0, 1, 2, 10, 11, 12, 13]
    assert outcome.done == {0: 3, 1: 14}
    assert outcome.blocked[0][0] == 3
    assert scene.dead == []


async def test_process_database_away_blocks_everything_without_halving() -> None:
    scene = Scene(lambda _: DatabaseUnavailable())
    outcome = await scene.process(*[record(n) for n in range(8)], *[record(n, partition=1) for n in range(8)])
    assert scene.tried == 1
    assert outcome.done == {}
    assert {p: offset for p, (offset, _) in outcome.blocked.items()} == {0: 0, 1: 0}


async def test_process_deadlock_that_did_not_clear_counts_as_transient() -> None:
    class Deadlock(Exception):
        sqlstate = "40P01"

    scene = Scene(lambda _: DBAPIError("UPDATE", {}, Deadlock()))
    outcome = await scene.process(record(0))
    assert outcome.blocked[0][0] == 0
    assert scene.dead == []


@pytest.mark.allows_errors
async def test_process_bug_is_tried_three_times_then_set_aside() -> None:
    scene = Scene(lambda offsets: KeyError("x") if 1 in offsets else None)
    outcome = await scene.process(record(0), record(1), record(2))
    assert [(failure.record.offset, failure.attempts) for failure in scene.dead] == [(1, 3)]
    assert outcome.done == {0: 3}


@pytest.mark.parametrize("later", [None, Malformed("really"), Transient("now")])
async def test_process_bug_that_changes_its_mind_takes_the_new_outcome(later: Exception | None) -> None:
    errors = iter([KeyError("first"), later])
    scene = Scene(lambda _: next(errors))
    outcome = await scene.process(record(0))
    assert len(scene.dead) == isinstance(later, Malformed)
    assert (0 in outcome.blocked) == isinstance(later, Transient)
    assert len(scene.applied) == (later is None)


async def test_process_undecodable_record_whose_dead_letter_cannot_be_written_blocks_its_partition() -> None:
    scene = Scene(dead_fails=True)
    outcome = await scene.process(record(0), record(1, value=b"\xff\xff"), record(2), record(9, partition=1))
    assert scene.applied == [[0, 9]]
    assert outcome.done == {0: 1, 1: 10}
    assert outcome.blocked[0][0] == 1


async def test_process_handler_failure_whose_dead_letter_cannot_be_written_blocks_its_partition() -> None:
    scene = Scene(lambda offsets: Malformed("bad") if 1 in offsets else None, dead_fails=True)
    outcome = await scene.process(record(0), record(1), record(2))
    assert outcome.done == {0: 1}
    assert outcome.blocked[0][0] == 1


async def test_process_skipped_types_move_the_offset_on() -> None:
    scene = Scene()
    outcome = await scene.process(record(0), record(1, kind="TicketRated"))
    assert outcome.done == {0: 2}
    assert outcome.skipped == 1


async def test_process_too_many_dead_letters_in_a_row_raises_and_a_good_one_between_resets() -> None:
    scene = Scene()
    for n in range(0, 20, 2):
        await scene.process(record(n, value=b"\xff"), record(n + 1))
    with pytest.raises(TooManyDeadLetters):
        await scene.process(*[record(n, value=b"\xff") for n in range(20, 26)])
    assert len(scene.dead) == 10


def item(kind: type, key: str, sequence: int) -> Received:
    event = kind(tenant_id="shop", ticket_id=key, sequence=sequence)
    return Received(event, Envelope(f"{key}-{sequence}", kind.__name__, "intake", "shop", key, NOW))


def test_grouped_types_of_different_keys_share_a_list() -> None:
    events = [item(TicketReceived, "a", 1), item(TicketMessageAdded, "a", 2), item(TicketReceived, "b", 1)]
    assert [(kind.__name__, len(items)) for kind, items in grouped(events)] == [
        ("TicketReceived", 2),
        ("TicketMessageAdded", 1),
    ]


def test_grouped_one_key_keeps_its_order_across_types() -> None:
    kinds = [TicketReceived, TicketMessageAdded, TicketReceived, TicketMessageAdded]
    events = [item(kind, key, n) for n, kind in enumerate(kinds) for key in ("a", "b")]
    order = [(i.envelope.key, i.event.sequence) for _, items in grouped(events) for i in items]
    assert [n for key, n in order if key == "a"] == [n for key, n in order if key == "b"] == [0, 1, 2, 3]
