import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import update

from fenliu.chassis.db import DatabaseUnavailable, Transaction
from fenliu.chassis.group import CommitTimedOut, Overloaded
from fenliu.contracts.events import TicketStatusChanged
from services.intake import metrics
from services.intake.domain.contact import Contact
from services.intake.store.receiving import KeyReused, Receipt
from services.intake.tables import outbox
from services.intake.workers import LEFT_TO_A_PERSON, Positions, Unheard, grouped_contacts
from tests.component.intake.conftest import Intake


def contact(number: int, **fields: object) -> Contact:
    return Contact("t1", f"ticket-{number}", f"c{number}", f"text {number}", **fields)


async def test_grouped_commit_contacts_that_wait_share_a_transaction(intake: Intake):
    receiver = grouped_contacts(intake.db)
    receipts = await asyncio.gather(*(receiver.submit(contact(n)) for n in range(120)))
    assert [receipt.ticket_id for receipt in receipts] == [f"ticket-{n}" for n in range(120)]
    rows = await intake.rows("tickets")
    assert len(rows) == 120
    assert len(await intake.published("TicketReceived")) == 120


async def test_grouped_commit_one_bad_contact_fails_alone(intake: Intake):
    """A ticket id that is taken already cannot be written; its neighbours must not notice."""
    receiver = grouped_contacts(intake.db)
    await receiver.submit(contact(13))
    results = await asyncio.gather(*(receiver.submit(contact(n)) for n in range(40)), return_exceptions=True)
    failed = [number for number, result in enumerate(results) if isinstance(result, BaseException)]
    assert failed == [13]
    assert len(await intake.rows("tickets")) == len(await intake.published()) == 40


async def test_grouped_commit_of_nothing_but_retries_writes_nothing(intake: Intake):
    receiver = grouped_contacts(intake.db)
    retried = contact(1, key="k", fingerprint="f")
    results = await asyncio.gather(*(receiver.submit(retried) for _ in range(10)))
    again = await receiver.submit(retried)
    assert {(r.ticket_id, r.received_at) for r in [*results, again] if isinstance(r, Receipt)} == {
        ("ticket-1", intake.clock.now())
    }
    assert isinstance(await receiver.submit(contact(1, key="k", fingerprint="g")), KeyReused)
    assert len(await intake.rows("tickets")) == 1


async def test_grouped_commit_full_queue_refuses_with_a_wait(intake: Intake):
    receiver = grouped_contacts(intake.db, max_waiting=5)
    results = await asyncio.gather(*(receiver.submit(contact(n)) for n in range(8)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 3
    assert all(error.retry_after_s for error in refused)
    assert len(await intake.rows("tickets")) == 5


async def test_grouped_commit_caller_that_gave_up_while_waiting_is_not_written(intake: Intake):
    class Stuck:
        """A database that answers when it is released."""

        def __init__(self) -> None:
            self.released = asyncio.Event()

        async def run(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
            await self.released.wait()
            return await intake.db.run(work)

    stuck = Stuck()
    receiver = grouped_contacts(stuck, timeout_s=0.05)  # type: ignore[arg-type]
    results = []
    for number in (1, 2):  # the first is being written, the second waits behind it
        results += await asyncio.gather(receiver.submit(contact(number)), return_exceptions=True)
    assert [type(result) for result in results] == [CommitTimedOut] * 2
    stuck.released.set()
    patient = grouped_contacts(intake.db)
    await patient.submit(contact(3))
    await receiver.settled()
    assert {row.ticket_id for row in await intake.rows("tickets")} == {"ticket-1", "ticket-3"}


async def test_grouped_commit_database_away_is_told_to_every_caller(intake: Intake):
    class Away:
        async def run(self, work: object) -> None:
            raise DatabaseUnavailable()

    receiver = grouped_contacts(Away())  # type: ignore[arg-type]
    results = await asyncio.gather(*(receiver.submit(contact(n)) for n in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable] * 5


async def published_at(intake: Intake, partition: int, offset: int) -> None:
    """As the relay marks rows: acknowledged at a place in the log."""
    await intake.execute(
        update(outbox).values(published_at=intake.clock.now(), ack_partition=partition, ack_offset=offset)
    )


def sweeper(
    intake: Intake, router_read: Mapping[int, int], said: Mapping[int, int] | None = None,
    heard: Mapping[int, int] | None = None,
) -> Unheard:  # fmt: skip
    async def ask() -> Positions:
        return Positions(router_read, dict(said or {}), dict(heard or {}))

    return Unheard(intake.db, ask)


async def test_unheard_ticket_that_the_router_has_read_past_is_announced_again(intake: Intake):
    ticket = await intake.open(order_id="O1", text="几时能送货")
    await published_at(intake, 0, 7)
    behind, past = sweeper(intake, {0: 7}), sweeper(intake, {0: 8})
    assert await past.step() == 0  # not yet a minute old
    intake.clock.advance(seconds=61)
    assert await behind.step() == 0
    assert await past.step() == 1
    first, again = await intake.published("TicketReceived")
    assert first == again
    ids = {row.event_id for row in await intake.rows("outbox")}
    assert len(ids) == 2  # an inbox must not drop it
    assert again.ticket_id == ticket["ticket_id"]


async def test_unheard_ticket_is_left_alone_while_intake_has_yet_to_read_what_the_router_said(intake: Intake):
    await intake.open()
    await published_at(intake, 0, 7)
    intake.clock.advance(seconds=61)
    said, heard = {0: 10, 3: 5}, {0: 9, 3: 5}
    sweep = sweeper(intake, {0: 8}, said, heard)
    assert [await sweep.step(), await sweep.step()] == [0, 0]
    said[0] = 12
    heard[0] = 9
    assert await sweep.step() == 0  # 10 had been said by the last look
    said[0] = 14
    heard[0] = 12  # under load the newest word is never read yet; the last look's is
    assert await sweep.step() == 1


async def test_unheard_ticket_is_announced_again_once_intake_has_read_everything(intake: Intake):
    await intake.open()
    await published_at(intake, 0, 7)
    intake.clock.advance(seconds=61)
    assert await sweeper(intake, {0: 8}, {0: 10}, {0: 10}).step() == 1


@pytest.mark.allows_errors
async def test_unheard_ticket_is_announced_four_times_and_then_left_to_a_person(intake: Intake):
    await intake.open()
    past, counts = sweeper(intake, {0: 100}), []
    for _ in range(30):
        await published_at(intake, 0, 7)
        intake.clock.advance(minutes=1)
        await past.step()
        counts.append(len(await intake.published()) - 1)
    assert [counts.index(number) + 1 for number in (1, 2, 3, 4)] == [1, 3, 7, 15]
    assert counts[-1] == 4
    assert (await intake.rows("tickets"))[0].announce_at == LEFT_TO_A_PERSON


async def test_unheard_ticket_that_still_waits_in_the_outbox_is_left_alone(intake: Intake):
    await intake.open()
    intake.clock.advance(minutes=30)
    assert await sweeper(intake, {0: 100}).step() == 0


async def test_ticket_that_the_router_answered_for_is_never_announced_again(intake: Intake):
    ticket = await intake.open()
    await published_at(intake, 0, 7)
    await intake.handle(TicketStatusChanged(tenant_id="t1", ticket_id=ticket["ticket_id"], state="waiting", version=1))
    intake.clock.advance(minutes=30)
    assert await sweeper(intake, {0: 100}).step() == 0


async def test_gauges_tell_how_many_wait_and_how_old_the_oldest_is(intake: Intake):
    ticket = await intake.open()
    intake.clock.advance(seconds=90)
    await intake.work("gauges")
    assert (metrics.unheard_tickets.value(), metrics.unheard_oldest_seconds.value()) == (1, 90)
    await intake.handle(TicketStatusChanged(tenant_id="t1", ticket_id=ticket["ticket_id"], state="waiting", version=1))
    await intake.work("gauges")
    assert (metrics.unheard_tickets.value(), metrics.unheard_oldest_seconds.value()) == (0, 0)
