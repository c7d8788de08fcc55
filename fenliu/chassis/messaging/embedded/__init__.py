"""A small in-memory broker that speaks the Kafka wire protocol on loopback. For development and tests only.

Production runs on Apache Kafka. A restart starts this one empty; the services' outboxes fill it again.
"""

from fenliu.chassis.messaging.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
