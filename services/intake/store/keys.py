"""Composite keys in WHERE clauses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, tuple_

from fenliu.chassis.db import padded


def in_keys(columns: Sequence[Column[Any]], keys: Iterable[tuple[Any, ...]]) -> ColumnElement[bool]:
    """`(a, b) IN (…)` for keys of which there is at least one."""
    return tuple_(*columns).in_(padded(keys))
