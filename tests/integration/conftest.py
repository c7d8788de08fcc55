"""Fixtures of the suites that run on both brokers."""

from tests.integration.broker_bench import bench

__all__ = ["bench"]
