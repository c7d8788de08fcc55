"""Order and logistics records as outside systems write them, read by intake's own subscriptions."""

from pathlib import Path

import pytest

from fenliu.chassis.messaging.decode import Undecodable
from fenliu.chassis.messaging.envelope import Record
from services.intake.main import build
from tests.component.intake.conftest import settings_for

JSON = (("content-type", b"application/json"),)
RECORDS = [
    Record("order-events", 0, 0, b"O1", b'{"order_id": "O1"}', JSON, 1_767_225_600_000),
    Record("logistics-events", 0, 0, b"P1", b'{"parcel_id": "P1"}', JSON, 1_767_225_600_000),
]


async def tenants(folder: Path, **settings: str) -> list[str]:
    service = build(settings_for(f"sqlite+aiosqlite:///{folder / 'intake.db'}", **settings))
    assert service.db is not None
    await service.db.close()
    decoders = {subscription.topic.name: subscription.decoder() for subscription in service.subscriptions}
    found = [decoders[record.topic].decode(record) for record in RECORDS]
    return [received.event.tenant_id for received in found if received]  # type: ignore[attr-defined]


async def test_records_without_a_tenant_belong_to_the_default_one(tmp_path: Path) -> None:
    assert await tenants(tmp_path, default_tenant="shop") == ["shop", "shop"]


async def test_records_without_a_tenant_and_without_a_default_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="tenant"):
        await tenants(tmp_path)
