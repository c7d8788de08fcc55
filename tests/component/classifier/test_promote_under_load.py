"""Models change while tickets stream in: nothing is lost, no ticket gets two labels, no batch two versions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fenliu.chassis.messaging.consumer import Consumer
from fenliu.chassis.messaging.embedded import EmbeddedBroker
from fenliu.chassis.messaging.envelope import Outgoing, Received, Record, event_id_of
from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions, Producer, ensure_topics, read_range
from fenliu.chassis.migrations import folder_of, upgrade_database
from fenliu.chassis.worker import Loop
from fenliu.contracts import topics
from fenliu.contracts.events import TicketClassified, TicketReceived
from services.classifier.main import build
from services.classifier.model.directory import promote, read_current, rollback
from services.classifier.settings import ClassifierSettings
from services.router.main import build as build_router
from services.router.settings import RouterSettings
from services.router.store import board, tickets
from tests.component.classifier.models import write_version
from tests.integration.messaging_lab import QUICK, eventually, quick, record_of, rewind, running

KEY = "k" * 40
TICKETS = 300
SWITCHES = 4


async def test_promote_and_rollback_under_load_lose_nothing_and_mix_nothing(tmp_path: Path) -> None:
    write_version(tmp_path, "v1")
    write_version(tmp_path, "v2", always="other")
    promote(tmp_path, "v1")
    batches: list[set[str]] = []
    async with EmbeddedBroker() as broker:
        kafka = quick(broker.bootstrap)
        await ensure_topics(kafka, [topics.TICKET_INBOUND, topics.TICKET_CLASSIFIED])
        settings = ClassifierSettings(
            token_key=KEY, status_key=KEY, kafka_bootstrap=broker.bootstrap, model_directory=str(tmp_path),
            model_poll_s=0.02,
        )  # fmt: skip
        service = build(settings)
        [subscription], [follow] = service.subscriptions, service.workers
        answer = subscription.answer
        assert answer is not None

        async def watched(received: Sequence[Received]) -> Sequence[Outgoing]:
            outgoing = await answer(received)
            batches.append({one.event.model_version for one in outgoing if isinstance(one.event, TicketClassified)})
            return outgoing

        consumer = replace(subscription, answer=watched, max_records=150)
        async with running(Consumer("classifier", consumer, kafka=kafka, db=None, options=QUICK), follow):
            await _stream(kafka, tmp_path, follow, batches)
            await _caught_up(kafka, "classifier.ticket-inbound", topics.TICKET_INBOUND.name)
        # As after a crash between the answers and the offsets: everything is read, and labelled, once more.
        (rollback if read_current(tmp_path).version == "v2" else lambda at: promote(at, "v2"))(tmp_path)
        await rewind(kafka, "classifier.ticket-inbound", topics.TICKET_INBOUND)
        async with running(Consumer("classifier", consumer, kafka=kafka, db=None, options=QUICK), follow):
            await _caught_up(kafka, "classifier.ticket-inbound", topics.TICKET_INBOUND.name)
        answers = await _answers(kafka)
        stands = await _in_router(kafka, tmp_path)

    assert all(len(versions) == 1 for versions in batches), "a batch is labelled by one version"
    assert {version for versions in batches for version in versions} == {"v1", "v2"}
    assert len(answers) == TICKETS, "no ticket without an answer"
    assert all(len({event_id for event_id, _ in found}) == 1 for found in answers.values()), "one answer, one id"
    twice = [found for found in answers.values() if len({event.labels.category for _, event in found}) > 1]
    assert twice, "some were read again by the other model, else this test says nothing"
    assert stands == {ticket_id: (found[0][1].labels.category, ["queue"]) for ticket_id, found in answers.items()}, (
        "for the router the first answer stands"
    )


async def _stream(kafka: KafkaOptions, folder: Path, follow: Loop, batches: list[set[str]]) -> None:
    """Publish tickets; meanwhile change the model again and again, each time after batches of the present one."""
    producer = Producer(kafka)
    try:
        for part in range(SWITCHES + 1):
            share = range(part, TICKETS, SWITCHES + 1)
            await producer.send([_ticket(number) for number in share])
            before = len(batches)
            await eventually(lambda seen=before: _more(batches, seen), "a batch being labelled")  # type: ignore[misc]
            promote(folder, "v2") if part % 2 == 0 else rollback(folder)
            follow.stepped.clear()
            await asyncio.wait_for(follow.stepped.wait(), 20)
    finally:
        await producer.close()


async def _more(batches: list[set[str]], than: int) -> bool:
    return len(batches) > than


def _ticket(number: int):  # type: ignore[no-untyped-def]
    text = ("我要退货怎么操作", "发票怎么开", "快递好几天没更新了")[number % 3]
    ticket_id = f"k{number}"
    event = TicketReceived(tenant_id="acme", ticket_id=ticket_id, sequence=1, text=text, customer_id="c")
    event.received_at.GetCurrentTime()
    return record_of(event, event_id=event_id_of("intake", "TicketReceived", ticket_id, 1))


async def _caught_up(kafka: KafkaOptions, group: str, topic: str) -> None:
    inspector = Inspector(kafka)

    async def done() -> bool:
        ends = sum((await inspector.end_offsets([topic])).values())
        return sum((await inspector.committed(group, topic)).values()) == ends

    try:
        await eventually(done, f"{group} reading everything", within_s=60)
    finally:
        await inspector.close()


async def _answers(kafka: KafkaOptions) -> dict[str, list[tuple[str, TicketClassified]]]:
    """Every answer by ticket, with its event id, in the order of the topic."""
    inspector = Inspector(kafka)
    try:
        ends = await inspector.end_offsets([topics.TICKET_CLASSIFIED.name])
    finally:
        await inspector.close()
    found: dict[str, list[tuple[str, TicketClassified]]] = defaultdict(list)
    for (topic, partition), end in ends.items():
        records: list[Record] = await read_range(kafka, topic, partition, 0, end) if end else []
        for record in records:
            event = TicketClassified.FromString(record.value or b"")
            found[event.ticket_id].append((dict(record.headers)["ce_id"].decode(), event))
    return found


async def _in_router(kafka: KafkaOptions, folder: Path) -> dict[str, tuple[str, list[str]]]:
    """What the real router makes of the answers: category in force, and what was done to the ticket."""
    url = f"sqlite+aiosqlite:///{folder}/router.db"
    await upgrade_database(url, folder_of("router"))
    router = build_router(
        RouterSettings(token_key=KEY, status_key=KEY, database_url=url, kafka_bootstrap=kafka.bootstrap)
    )
    assert router.db is not None
    [labelled] = [one for one in router.subscriptions if one.topic == topics.TICKET_CLASSIFIED]
    async with running(Consumer("router", labelled, kafka=kafka, db=router.db, options=QUICK)):
        await _caught_up(kafka, "router.ticket-classified", topics.TICKET_CLASSIFIED.name)
    found: dict[str, tuple[str, list[str]]] = {}
    async with router.db.read() as tx:
        for number in range(TICKETS):
            ticket = await tickets.load_ticket(tx, "acme", f"k{number}")
            assert ticket is not None
            assert ticket.labels is not None
            steps = [step.action for step in await board.load_history(tx, ticket.ticket_id)]
            found[ticket.ticket_id] = (ticket.labels.category, steps[1:])
    await router.db.close()
    return found
