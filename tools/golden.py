"""Writes the first golden sample of every event that has none: tests/contract/golden/<topic>/<Event>-001.{json,binpb}.

Samples are kept for ever and never rewritten: they prove that what was published once can still be read. After adding
a field, add a sample with the next number with: python -m tools.golden TicketReceived
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from fenliu.contracts.events import EVENT_TYPES, TOPIC_OF

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "contract" / "golden"

WORDS = {
    "tenant_id": "demo",
    "ticket_id": "0199b6a2-7c1e-7cc3-98c4-dc0c0c07398f",
    "message_id": "0199b6a2-8a40-7d5e-b1e7-3f0f8f3d1c2a",
    "text": "显示签收了但是我没收到",
    "joined_text": "显示签收了但是我没收到\n在吗",
    "customer_id": "c-1001",
    "order_id": "O-20261121-7",
    "parcel_id": "SF1000000007",
    "channel": "web",
    "language_hint": "zh-CN",
    "language": "zh",
    "currency": "CNY",
    "customer_class": "plus",
    "region": "cn",
    "desk_id": "main",
    "origin": "customer",
    "author_role": "customer",
    "author_id": "c-1001",
    "visibility": "public",
    "reason": "accepted",
    "confirmed_by": "customer",
    "category": "logistics",
    "tier": "priority",
    "complexity": "moderate",
    "sentiment": "neutral",
    "intent": "where_is_my_order",
    "label": "category",
    "slug": "logistics",
    "model_version": "2026-11-21.1",
    "state": "assigned",
    "queue_id": "logistics",
    "agent_id": "demo-liu",
    "agent_name": "刘洋",
    "name": "刘洋",
    "presence": "online",
    "skill": "logistics",
    "corrected_by": "supervisor-1",
    "corrected_by_role": "supervisor",
    "carrier": "sf",
    "location": "上海 Shanghai",
    "charge_id": "ch-20261121-7-1",
    "note": "外箱破损 outer box crushed",
}
NUMBERS: dict[str, Any] = {"level": 0.9, "probability": 0.93, "confidence": 0.93, "version": 3, "fence": 2, "score": 5}
NUMBERS |= {"yearly_spend_minor": 612300, "total_minor": 12900, "amount_minor": 12900, "capacity": 4, "load": 2}
EMPTY = {"fact", "fact_labels", "awaited", "first_responded_at"}
"""Left out: they belong to another case than the sample shows."""


def sample(descriptor: Descriptor, at: str = "2026-11-21T08:30:15.250Z") -> dict[str, Any]:
    """A plausible value of every field, as the message's JSON form with names as in the proto file."""
    return {field.name: value(field, at) for field in descriptor.fields if field.name not in EMPTY}


def value(field: FieldDescriptor, at: str) -> Any:
    one: Any
    if field.message_type is not None:
        is_time = field.message_type.full_name == "google.protobuf.Timestamp"
        one = at if is_time else sample(field.message_type, at)
    elif field.enum_type is not None:
        one = field.enum_type.values[-2].name
    elif field.type == FieldDescriptor.TYPE_STRING:
        plural = {"parcel_ids": "SF1000000007", "reasons": "签收 (+2.1)"}
        one = plural.get(field.name) or WORDS[field.name]
    elif field.type == FieldDescriptor.TYPE_BOOL:
        one = True
    else:
        one = NUMBERS.get(field.name, 1)
    return [one] if field.is_repeated else one


def write(event: str, number: int) -> Path:
    """Write sample `number` of an event; refuses to touch one that exists."""
    folder = GOLDEN / TOPIC_OF[event].name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{event}-{number:03d}"
    message: Message = json_format.ParseDict(sample(EVENT_TYPES[event].DESCRIPTOR), EVENT_TYPES[event]())
    shown = json_format.MessageToDict(message, preserving_proto_field_name=True)
    with path.with_suffix(".json").open("x", encoding="utf-8") as file:
        file.write(json.dumps(shown, ensure_ascii=False, indent=2) + "\n")
    with path.with_suffix(".binpb").open("xb") as binary:
        binary.write(message.SerializeToString(deterministic=True))
    return path


def main() -> None:
    chosen = sys.argv[1:] or [name for name in EVENT_TYPES if not _numbers(name)]
    for event in chosen:
        print(write(event, max(_numbers(event), default=0) + 1))  # noqa: T201 - a tool's answer


def _numbers(event: str) -> list[int]:
    return [int(path.stem[-3:]) for path in (GOLDEN / TOPIC_OF[event].name).glob(f"{event}-???.json")]


if __name__ == "__main__":
    main()
