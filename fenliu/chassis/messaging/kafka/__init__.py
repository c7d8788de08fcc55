"""The only code, besides the embedded broker, that touches aiokafka.

What aiokafka 0.14 does, and what follows here:
* With idempotence on, batches never expire and `flush` and `stop` can hang for ever: idempotence is off, `acks=all`
  stays, duplicates die in the inbox. Every await on the client has a time-out of ours, and a client that failed is
  thrown away and replaced, so that nothing it still holds is sent after newer records.
* `getmany` returns an empty result while every broker is down. Health is therefore progress, see ../consumer.py.
* JoinGroup uses the plain request time-out, so that has to be longer than the rebalance time-out.
* `commit` retries for ever on retriable errors, and fails for good when the group rebalanced; the latter is normal.
"""

from fenliu.chassis.messaging.kafka.consumer import KafkaConsumer
from fenliu.chassis.messaging.kafka.inspector import Inspector, ensure_topics, read_range
from fenliu.chassis.messaging.kafka.options import KafkaOptions, KafkaUnavailable, RecordTooLarge
from fenliu.chassis.messaging.kafka.producer import Ack, Outbound, Producer, Sent, partition_of

__all__ = [
    "Ack",
    "Inspector",
    "KafkaConsumer",
    "KafkaOptions",
    "KafkaUnavailable",
    "Outbound",
    "Producer",
    "RecordTooLarge",
    "Sent",
    "ensure_topics",
    "partition_of",
    "read_range",
]
