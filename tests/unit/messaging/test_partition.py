"""Keys go to the partitions to which every other Kafka client sends them."""

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from fenliu.chassis.messaging.kafka.producer import murmur2, partition_of


@given(st.binary(max_size=80))
def test_murmur2_any_key_is_hashed_as_by_the_client_library(key: bytes) -> None:
    assert murmur2(key) == reference(key)


def test_partition_of_a_record_without_key_is_the_first() -> None:
    assert partition_of(None, 6) == 0
