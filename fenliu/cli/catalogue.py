"""`fenliu topics`: what the catalogue names, what the broker has, and how far the consumers are."""

from __future__ import annotations

from dataclasses import dataclass

from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions, ensure_topics
from fenliu.contracts.topics import CATALOGUE, Topic


@dataclass(frozen=True, slots=True)
class Lag:
    """Records that a consumer group has not handled yet; None where it never committed an offset."""

    group: str
    records: int | None


def group_of(service: str, topic: Topic) -> str:
    """The consumer group of a service on a topic."""
    return f"{service}.{topic.name}"


async def lags(inspector: Inspector, topic: Topic) -> list[Lag]:
    """How far each consumer of `topic` is behind. Raises KafkaUnavailable."""
    ends = {partition: end for (_, partition), end in (await inspector.end_offsets([topic.name])).items()}
    begins = {partition: at for (_, partition), at in (await inspector.begin_offsets([topic.name])).items()}
    found = []
    for service in topic.consumers:
        committed = await inspector.committed(group_of(service, topic), topic.name)
        # The end was asked for first: a group that went past it in between is not behind.
        behind = sum(
            max(0, end - committed.get(partition, begins.get(partition, 0))) for partition, end in ends.items()
        )
        found.append(Lag(group_of(service, topic), behind if committed or not behind else None))
    return found


async def apply(bootstrap: str) -> None:
    """Create what is missing and print it. Raises KafkaUnavailable."""
    created = await ensure_topics(KafkaOptions(bootstrap))
    for name in created:
        print(f"created {name}")
    print(f"{len(CATALOGUE)} topics and their dead-letter topics exist")


async def show(bootstrap: str) -> None:
    """Print every topic with its partitions and lags. Raises KafkaUnavailable."""
    inspector = Inspector(KafkaOptions(bootstrap))
    try:
        for topic in CATALOGUE.values():
            partitions = await inspector.partitions([topic.name, topic.dead_letter])
            if topic.name not in partitions:
                print(f"{topic.name:<20} missing: fenliu topics apply")
                continue
            dead = sum((await inspector.end_offsets([topic.dead_letter])).values())
            lag = ", ".join(
                f"{one.group} {'not started' if one.records is None else one.records}"
                for one in await lags(inspector, topic)
            )
            print(f"{topic.name:<20} {partitions[topic.name]} partitions · dead letters ever {dead} · lag: {lag}")
    finally:
        await inspector.close()
