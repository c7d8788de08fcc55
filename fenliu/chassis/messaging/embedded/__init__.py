"""A small in-memory broker that speaks the Kafka wire protocol on loopback. For development and tests only."""

from fenliu.chassis.messaging.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
