"""`fenliu dlq`: dead letters, what killed them, and a second chance once the cause is gone."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fenliu.chassis.messaging.deadletter import DeadLetter, list_dead_letters, replay_dead_letters
from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions
from fenliu.cli import wire
from fenliu.contracts.topics import CATALOGUE

MOST = 10_000
"""Dead letters of one topic that are looked at, the newest."""


async def letters(bootstrap: str, topic: str) -> dict[int, DeadLetter]:
    """The dead letters of `topic` by their offset in the dead-letter topic, which has one partition; oldest first.

    Raises UnknownTopic, KafkaUnavailable.
    """
    dead_letter = wire.catalogued(topic).dead_letter
    found = await list_dead_letters(KafkaOptions(bootstrap), dead_letter, limit=MOST)
    return {letter.stored[2]: letter for letter in found}


async def show_all(bootstrap: str, topic: str) -> None:
    """Print one line per dead letter of `topic`, or of all topics where it is empty."""
    count = 0
    for name in [topic] if topic else await with_letters(bootstrap):
        for offset, letter in (await letters(bootstrap, name)).items():
            count += 1
            print(sentence(name, offset, letter))
    print(f"{count} dead letters" + (": fenliu dlq show TOPIC OFFSET, fenliu dlq replay TOPIC" if count else ""))


async def with_letters(bootstrap: str) -> list[str]:
    """Topics that have dead letters. Raises KafkaUnavailable."""
    inspector = Inspector(KafkaOptions(bootstrap))
    try:
        dead_letters = [topic.dead_letter for topic in CATALOGUE.values()]
        ends = await inspector.end_offsets(dead_letters)
        begins = await inspector.begin_offsets(dead_letters)
    finally:
        await inspector.close()
    filled = {name for (name, partition), end in ends.items() if end > begins.get((name, partition), 0)}
    return [topic.name for topic in CATALOGUE.values() if topic.dead_letter in filled]


def sentence(topic: str, offset: int, letter: DeadLetter) -> str:
    """Where it came from and why it died, on one line."""
    record = letter.record
    key = record.key.decode("utf-8", "replace") if record.key is not None else "-"
    kind = wire.header(record, "ce_type") or "?"
    place = f"{record.topic}[{record.partition}]@{record.offset}"
    why = f"{letter.error}: {letter.reason}" if letter.error else "(written by somebody else)"
    return f"{topic} {offset} {letter.first_failed_at} {kind} key={key} from {place} group={letter.group} {why}"


async def show_one(bootstrap: str, topic: str, offset: int) -> None:
    """Print the dead letter at `offset` as indented JSON. Raises UnknownTopic, KafkaUnavailable, Unreadable."""
    letter = _at(await letters(bootstrap, topic), topic, [offset])[0]
    shown = {
        "dead_letter": {"topic": letter.stored[0], "partition": letter.stored[1], "offset": letter.stored[2]},
        "group": letter.group,
        "error": letter.error,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "first_failed_at": letter.first_failed_at,
        "record": wire.as_dict(letter.record),
    }
    print(json.dumps(shown, ensure_ascii=False, indent=2))


async def replay(bootstrap: str, topic: str, offsets: Sequence[int]) -> None:
    """Publish dead letters to their topic again: those at `offsets`, or all where it is empty.

    They stay in the dead-letter topic until its retention ends. Replaying twice is harmless: the event id is the same.
    Raises UnknownTopic, KafkaUnavailable, Unreadable where an offset does not exist.
    """
    found = await letters(bootstrap, topic)
    chosen = _at(found, topic, offsets) if offsets else list(found.values())
    count = await replay_dead_letters(KafkaOptions(bootstrap), chosen)
    print(f"{count} records published to {topic} again")


def _at(found: dict[int, DeadLetter], topic: str, offsets: Sequence[int]) -> list[DeadLetter]:
    missing = [str(offset) for offset in offsets if offset not in found]
    if missing:
        raise wire.Unreadable(f"There is no dead letter {', '.join(missing)} of {topic}. See: fenliu dlq list {topic}")
    return [found[offset] for offset in offsets]
