"""Golden samples: what was published once can be read for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import json_format

from fenliu.contracts.events import EVENT_TYPES, TOPIC_OF
from fenliu.contracts.topics import CATALOGUE

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = sorted(path.with_suffix("") for path in GOLDEN.rglob("*.binpb"))


def event_of(sample: Path) -> str:
    return sample.name.rpartition("-")[0]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_golden_bytes_decode_to_their_json(sample: Path) -> None:
    message = EVENT_TYPES[event_of(sample)].FromString(sample.with_suffix(".binpb").read_bytes())
    written = json.loads(sample.with_suffix(".json").read_text(encoding="utf-8"))
    assert json_format.MessageToDict(message, preserving_proto_field_name=True) == written


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_golden_bytes_with_a_field_of_the_future_decode(sample: Path) -> None:
    old = sample.with_suffix(".binpb").read_bytes()
    field_1999 = bytes([0xFA, 0x7C, 0x03]) + b"new"  # number 1999, length-delimited
    message = EVENT_TYPES[event_of(sample)].FromString(old + field_1999)
    assert json_format.MessageToDict(message) == json_format.MessageToDict(type(message).FromString(old))


def test_golden_every_event_has_a_sample() -> None:
    assert {event_of(sample) for sample in SAMPLES} == set(EVENT_TYPES)


def test_golden_every_file_is_referenced_and_lies_under_its_topic() -> None:
    expected = {GOLDEN / TOPIC_OF[event_of(s)].name / f"{s.name}.{kind}" for s in SAMPLES for kind in ("json", "binpb")}
    assert {path for path in GOLDEN.rglob("*") if path.is_file()} == expected


def test_golden_samples_show_every_field_but_those_of_other_cases() -> None:
    elsewhere = {"fact", "fact_labels", "awaited", "first_responded_at"}
    for event, message_type in EVENT_TYPES.items():
        shown: set[str] = set()
        for sample in SAMPLES:
            if event_of(sample) == event:
                shown |= set(json.loads(sample.with_suffix(".json").read_text(encoding="utf-8")))
        assert set(message_type.DESCRIPTOR.fields_by_name) - shown <= elsewhere, f"{event}: add a sample"


def test_golden_json_names_are_those_of_the_outside_formats() -> None:
    for topic in CATALOGUE.values():
        if "json" in topic.formats:
            for event in topic.events:
                text = (GOLDEN / topic.name / f"{event}-001.json").read_text(encoding="utf-8")
                parsed = json_format.Parse(text, EVENT_TYPES[event]())
                assert parsed.SerializeToString(deterministic=True) == EVENT_TYPES[event].FromString(
                    (GOLDEN / topic.name / f"{event}-001.binpb").read_bytes()
                ).SerializeToString(deterministic=True)
