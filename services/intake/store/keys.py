"""Composite keys in WHERE clauses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, tuple_


def in_keys(columns: Sequence[Column[Any]], keys: Iterable[tuple[Any, ...]]) -> ColumnElement[bool]:
    """`(a, b) IN (…)` for keys of which there is at least one."""
    return tuple_(*columns).in_(padded(sorted(set(keys))))


def padded(keys: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The keys, the last one repeated up to a power of two.

    Every length is a statement of its own to the database's cache of plans; this way there are ten instead of 500.
    """
    size = 1 << (len(keys) - 1).bit_length()
    return keys + keys[-1:] * (size - len(keys))
