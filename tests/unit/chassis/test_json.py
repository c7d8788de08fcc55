"""Strict JSON and cursors, against the standard library."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenliu.chassis.http import BadCursor, Cursor, parse_json
from fenliu.chassis.http_body import MAX_DEPTH, MalformedJson

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_parse_accepts_what_is_correct(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.text(max_size=10), st.integers(0, 9))
def test_parse_refuses_a_name_given_twice_wherever_it_is(noise: str, depth: int) -> None:
    inner = '{"a":1,"b":' + json.dumps(noise + ":") + ',"a":2}'
    with pytest.raises(MalformedJson):
        parse_json(("[" * depth + inner + "]" * depth).encode("utf-8", "replace"))


def test_parse_depth_ends_exactly_at_the_limit() -> None:
    parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(MalformedJson):
        parse_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_parse_accepts_many_shallow_objects() -> None:
    assert len(parse_json(b"[" + b",".join([b'{"a":1}'] * 500) + b"]")) == 500


def test_parse_backslash_before_u0000_is_not_nul() -> None:
    assert parse_json(rb'"\\u0000"') == "\\u0000"
    with pytest.raises(MalformedJson):
        parse_json(rb'{"a":["\u0000"]}')


def test_cursor_round_trip_and_refusal() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert Cursor.decode(Cursor.encode(moment, "t1", 7), datetime, str, int) == (moment, "t1", 7)
    assert Cursor.decode(None, str) is None
    for wrong in (
        Cursor.encode("a"),
        Cursor.encode(1, "a"),
        Cursor.encode("x", "y", "z"),
        "?",
        "",
        Cursor.encode(True, 1),
    ):
        with pytest.raises(BadCursor):
            Cursor.decode(wrong, str, int)
    with pytest.raises(BadCursor):
        Cursor.decode(Cursor.encode("2026-01-01T00:00:00"), datetime)
