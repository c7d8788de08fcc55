"""A process with a relay and a consumer, to be killed at a crash point: `python -m … DATABASE_URL BOOTSTRAP SERVICE COUNT`.

Ends by itself once it sees COUNT effects and everything is published and committed.
"""

from __future__ import annotations

import asyncio
import sys

from fenliu.chassis.db import Database
from fenliu.chassis.messaging.consumer import Consumer, Subscription
from fenliu.chassis.messaging.outbox import Outbox, pending
from fenliu.chassis.messaging.relay import OutboxRelay
from fenliu.contracts.events import TicketReceived
from fenliu.contracts.topics import TICKET_INBOUND
from tests.integration.messaging_lab import QUICK, Lab, eventually, note, quick, running


async def main(url: str, bootstrap: str, service: str, count: int) -> None:
    db = Database(url, outbox=Outbox(service))
    lab = Lab(db, quick(bootstrap), service, TICKET_INBOUND)
    subscription = Subscription(TICKET_INBOUND, {TicketReceived: note}, max_records=7)
    consumer = Consumer(service, subscription, kafka=lab.kafka, db=db, options=QUICK)

    async def done() -> bool:
        async with db.read() as tx:
            waiting, _ = await pending(tx)
        return waiting == 0 and len(await lab.effects()) >= count

    async with running(OutboxRelay(db, lab.kafka, batch=5, lease_s=1.0), consumer):
        await eventually(done, f"{count} effects", within_s=60)
        await lab.caught_up()
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
