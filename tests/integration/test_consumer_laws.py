"""The laws of style.md 10.3 for the consumer loop itself, on both brokers and both databases, with a toy handler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from fenliu.chassis.db import Transaction
from fenliu.chassis.errors import Malformed, Transient
from fenliu.chassis.messaging.consumer import Consumer, Subscription
from fenliu.chassis.messaging.deadletter import Failure, replay_dead_letters
from fenliu.chassis.messaging.envelope import Outgoing, Received
from fenliu.chassis.messaging.kafka import KafkaUnavailable
from fenliu.chassis.messaging.tables import inbox
from fenliu.contracts.events import TicketClassified, TicketMessageAdded, TicketReceived
from tests.integration.messaging_lab import (
    QUICK,
    Lab,
    added,
    broken,
    eventually,
    lab,
    note,
    received,
    record_of,
    running,
)

__all__ = ["lab"]  # the fixture


async def effects_are(lab: Lab, count: int) -> None:
    async def reached() -> bool:
        return len(await lab.effects()) >= count

    await eventually(reached, f"{count} effects")


async def test_consumer_same_record_twice_has_one_effect(lab: Lab) -> None:
    record = record_of(received("t1"))
    await lab.publish(record, record)
    async with running(lab.consumer()):
        await lab.caught_up()
        await lab.publish(record)
        await lab.caught_up()
    assert await lab.effects() == [("t1", "TicketReceived", 1)]


async def test_consumer_poison_between_good_records_is_set_aside_and_the_rest_handled(lab: Lab) -> None:
    good = [record_of(received(f"t{n}")) for n in range(20)]
    await lab.publish(*good[:10], broken(record_of(received("bad"))), *good[10:])
    async with running(lab.consumer()):
        await lab.caught_up()
    assert sorted(await lab.effects()) == sorted((f"t{n}", "TicketReceived", 1) for n in range(20))
    [letter] = await lab.dead()
    assert letter.record.value == b"\xff\xff\xff"
    assert letter.record.key == b"bad"
    assert ("ce_type", b"TicketReceived") in letter.record.headers
    assert letter.error == "Undecodable"
    assert letter.record.topic == lab.topic.name


async def test_consumer_dead_letter_replayed_reaches_the_handler_with_the_original_bytes(lab: Lab) -> None:
    broken_so_far = asyncio.Event()
    broken_so_far.set()

    async def moody(tx: Transaction, events: Sequence[Any]) -> None:
        if broken_so_far.is_set() and any(event.ticket_id == "t1" for event in events):
            raise Malformed("not yet")
        await note(tx, events)

    subscription = lab.subscribe({TicketReceived: moody})
    await lab.publish(record_of(received("t1")), record_of(received("t2")))
    async with running(lab.consumer(subscription)):
        await lab.caught_up()
        [letter] = await lab.dead()
        assert letter.reason == "not yet"
        broken_so_far.clear()
        assert await replay_dead_letters(lab.kafka, [letter]) == 1
        assert await replay_dead_letters(lab.kafka, [letter]) == 1  # a second replay changes nothing
        await lab.caught_up()
    assert sorted(await lab.effects()) == [("t1", "TicketReceived", 1), ("t2", "TicketReceived", 1)]


async def test_consumer_death_between_commit_and_offset_has_one_effect(lab: Lab) -> None:
    await lab.publish(*[record_of(received(f"t{n}")) for n in range(30)])
    async with running(lab.consumer()):
        await lab.caught_up()
    await lab.rewind()
    assert await lab.committed() == 0
    async with running(lab.consumer()):
        await lab.caught_up()
    assert len(await lab.effects()) == 30
    assert await lab.count(inbox) == 30


async def test_consumer_killed_in_mid_transaction_handles_the_records_after_the_restart(lab: Lab) -> None:
    inside = asyncio.Event()

    async def hangs(tx: Transaction, events: Sequence[Any]) -> None:
        await note(tx, events)
        inside.set()
        await asyncio.Event().wait()

    await lab.publish(record_of(received("t1")))
    dying = asyncio.create_task(lab.consumer(lab.subscribe({TicketReceived: hangs})).run(asyncio.Event()))
    await asyncio.wait_for(inside.wait(), 20)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert await lab.committed() == 0
    assert await lab.effects() == []
    async with running(lab.consumer()):
        await lab.caught_up()
    assert await lab.effects() == [("t1", "TicketReceived", 1)]


async def test_consumer_unknown_field_and_unknown_type_are_tolerated(lab: Lab) -> None:
    newer = record_of(received("t1"))
    unknown = replace(
        record_of(received("t2")),
        headers=[(n, b"TicketTeleported" if n == "ce_type" else v) for n, v in record_of(received("t2")).headers],
    )
    await lab.publish(replace(newer, value=(newer.value or b"") + b"\xf8\x7c\x01\xfa\x7c\x03abc"), unknown)
    async with running(lab.consumer()):
        await lab.caught_up()
    assert await lab.effects() == [("t1", "TicketReceived", 1)]
    assert await lab.dead() == []


async def test_consumer_stopped_in_the_middle_loses_nothing(lab: Lab) -> None:
    await lab.publish(*[record_of(received(f"t{n}")) for n in range(100)])
    small = lab.subscribe({TicketReceived: note}, max_records=10)
    for _ in range(3):
        consumer = lab.consumer(small)
        async with running(consumer):
            await asyncio.wait_for(consumer.progressed.wait(), 20)
    async with running(lab.consumer(small)):
        await lab.caught_up()
    assert sorted(await lab.effects()) == sorted((f"t{n}", "TicketReceived", 1) for n in range(100))


async def test_consumer_of_a_copy_takes_more_at_once(lab: Lab) -> None:
    taken: list[float] = []

    async def timed(tx: Transaction, events: Sequence[Any]) -> None:
        taken.append(time.monotonic())
        await note(tx, events)

    consumer = lab.consumer(lab.subscribe({TicketReceived: timed}, gap_s=0.6))
    async with running(consumer):
        for number in range(5):
            await lab.publish(record_of(received(f"t{number}")))
            await effects_are(lab, 1)
        await effects_are(lab, 5)
    assert len(taken) > 1
    assert all(after - before > 0.3 for before, after in pairwise(taken))


async def test_consumer_types_of_one_key_reach_their_handlers_in_order(lab: Lab) -> None:
    events = [received("t1"), *[added("t1", n) for n in range(2, 6)], received("t2"), added("t2", 2)]
    await lab.publish(*map(record_of, events))
    async with running(lab.consumer()):
        await lab.caught_up()
    seen = [sequence for ticket, _, sequence in await lab.effects() if ticket == "t1"]
    assert seen == [1, 2, 3, 4, 5]


async def test_consumer_transient_failure_keeps_the_order_and_repeats_the_same_records(lab: Lab) -> None:
    failures = 0

    async def moody(tx: Transaction, events: Sequence[Any]) -> None:
        nonlocal failures
        if failures < 4 and any(event.sequence == 3 for event in events):
            failures += 1
            raise Transient("come back later")
        await note(tx, events)

    subscription = lab.subscribe({TicketReceived: note, TicketMessageAdded: moody})
    await lab.publish(*[record_of(added("t1", n)) for n in range(1, 7)])
    async with running(lab.consumer(subscription)):
        await lab.caught_up()
    assert [sequence for _, _, sequence in await lab.effects()] == [1, 2, 3, 4, 5, 6]
    assert failures == 4
    assert await lab.dead() == []


@pytest.mark.allows_errors
async def test_consumer_bug_in_a_handler_gives_one_dead_letter_after_three_tries(lab: Lab) -> None:
    tries = 0

    async def buggy(tx: Transaction, events: Sequence[Any]) -> None:
        nonlocal tries
        await note(tx, events)
        if any(event.ticket_id == "t7" for event in events):
            tries += len(events) == 1
            raise KeyError("personal data must not leak into the reason")

    await lab.publish(*[record_of(received(f"t{n}")) for n in range(20)])
    async with running(lab.consumer(lab.subscribe({TicketReceived: buggy}))):
        await lab.caught_up()
    [letter] = await lab.dead()
    assert (letter.error, letter.attempts, tries) == ("KeyError", 3, 3)
    assert "personal" not in letter.reason
    assert sorted(ticket for ticket, _, _ in await lab.effects()) == sorted(f"t{n}" for n in range(20) if n != 7)


class WithoutDeadLetters(Consumer):
    """Its dead-letter topic cannot be written."""

    refused = 0

    async def _write_dead(self, failures: Sequence[Failure]) -> None:
        self.refused += 1
        raise KafkaUnavailable


async def test_consumer_dead_letter_unwritable_commits_no_offset_beyond_it(lab: Lab) -> None:
    await lab.publish(record_of(added("t1", 1)), broken(record_of(added("t1", 2))), record_of(added("t1", 3)))
    subscription = lab.subscribe({TicketMessageAdded: note})
    consumer = WithoutDeadLetters(lab.service, subscription, kafka=lab.kafka, db=lab.db, options=QUICK)
    async with running(consumer):

        async def refused_again() -> bool:
            return consumer.refused > 2

        await eventually(refused_again, "several attempts to write the dead letter")
        assert await lab.committed() == 1
        assert [sequence for _, _, sequence in await lab.effects()] == [1]
    async with running(lab.consumer()):  # the right topic again
        await lab.caught_up()
    assert [sequence for _, _, sequence in await lab.effects()] == [1, 3]
    assert len(await lab.dead()) == 1


@pytest.mark.allows_errors
async def test_consumer_too_many_dead_letters_in_a_row_stops_and_says_so(lab: Lab) -> None:
    await lab.publish(*[broken(record_of(received(f"t{n}"))) for n in range(QUICK.max_dead_in_row + 10)])
    consumer = lab.consumer()
    await asyncio.wait_for(consumer.run(asyncio.Event()), 20)
    problem = consumer.problem()
    assert problem is not None
    assert "dead letters" in problem


async def test_consumer_two_members_share_the_work_and_one_leaving_loses_nothing(lab: Lab) -> None:
    async with running(lab.consumer()):
        async with running(lab.consumer()):
            await lab.publish(*[record_of(received(f"t{n}")) for n in range(60)])
            await effects_are(lab, 30)
        await lab.publish(*[record_of(received(f"u{n}")) for n in range(60)])
        await lab.caught_up()
    effects = [ticket for ticket, _, _ in await lab.effects()]
    assert len(effects) == len(set(effects)) == 120


async def test_consumer_answers_are_acknowledged_before_offsets_and_repeat_exactly(lab: Lab) -> None:
    async def label(items: Sequence[Received]) -> list[Outgoing]:
        return [
            Outgoing(
                TicketClassified(tenant_id=item.envelope.tenant_id, ticket_id=item.envelope.key),
                key=item.envelope.key,
                event_id=f"labels-{item.envelope.event_id}",
                causation_id=item.envelope.event_id,
            )
            for item in items
        ]

    subscription = Subscription(lab.topic, answer=label, answers=(TicketReceived,))
    await lab.publish(*[record_of(received(f"t{n}")) for n in range(25)], record_of(added("t1", 2)))
    async with running(lab.consumer(subscription)):
        await lab.caught_up()
    await lab.rewind()
    async with running(lab.consumer(subscription)):
        await lab.caught_up()
    answers = await lab.records("ticket-classified")
    assert len(answers) == 50
    assert len({(r.key, r.value, dict(r.headers)["ce_id"]) for r in answers}) == 25


async def test_consumer_record_without_a_tenant_or_of_two_tenants_is_a_dead_letter(lab: Lab) -> None:
    plain = record_of(received("t1"))
    other = replace(plain, headers=[(n, b"rival" if n == "tenant" else v) for n, v in plain.headers])
    none = replace(plain, headers=[(n, v) for n, v in plain.headers if n != "tenant"])
    await lab.publish(other, none)
    async with running(lab.consumer()):
        await lab.caught_up()
    assert await lab.effects() == []
    assert len(await lab.dead()) == 2
