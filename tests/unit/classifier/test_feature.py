"""The vectorised hashing equals a plain reading of the same rules."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classifier.model.feature import (
    BITS,
    MAX_GRAM,
    MAX_WORD,
    PRIME,
    SEEDS,
    WORD,
    WORD_PAIR,
    WORD_PRIME,
    features_of,
)

WRAP = (1 << 64) - 1


def column_of(hashed: int, kind: int) -> int:
    return (((hashed + SEEDS[kind]) & WRAP) * PRIME & WRAP) >> (64 - BITS)


def plain_columns(text: str) -> list[int]:
    """The same columns, one character at a time."""
    padded = f" {text} "
    found = []
    for n in range(1, MAX_GRAM + 1):
        for start in range(len(padded) - n + 1):
            hashed = 0
            for letter in padded[start : start + n]:
                hashed = (hashed * WORD_PRIME + ord(letter)) & WRAP
            found.append(column_of(hashed, n))
    words = [
        sum(ord(letter) * pow(WORD_PRIME, min(place, MAX_WORD - 1), 1 << 64) for place, letter in enumerate(word))
        & WRAP
        for word in re.findall("[a-z0-9]+", padded)
    ]
    found += [column_of(word, WORD) for word in words]
    found += [column_of((one * PRIME + other) & WRAP, WORD_PAIR) for one, other in pairwise(words)]
    return found


@pytest.mark.parametrize(
    "texts", [["怎么退货"], ["", "a", "where is my parcel 0"], ["你好 hi", "", "签收 没收到"], ["x" * 200]]
)
def test_features_equal_the_plain_reading(texts: list[str]) -> None:
    features = features_of(texts)
    for row, text in enumerate(texts):
        mine = features.column[features.offsets[row] : features.offsets[row + 1]]
        assert sorted(mine.tolist()) == sorted(plain_columns(text))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=5))
def test_features_of_any_texts_equal_the_plain_reading(texts: list[str]) -> None:
    features = features_of(texts)
    for row, text in enumerate(texts):
        mine = features.column[features.offsets[row] : features.offsets[row + 1]]
        assert sorted(mine.tolist()) == sorted(plain_columns(text))


def test_features_of_a_text_do_not_depend_on_its_neighbours() -> None:
    alone = features_of(["退货 refund"])
    among = features_of(["aaa", "退货 refund", "zzz"])
    part = slice(*among.offsets[1:3].tolist())
    assert np.array_equal(np.sort(alone.column), np.sort(among.column[part]))


def test_features_know_where_they_stand() -> None:
    text = "我要退货"
    features = features_of(["aa", text])
    part = slice(*features.offsets[1:3].tolist())
    pieces = {f" {text} "[s : s + n] for s, n in zip(features.start[part], features.length[part], strict=True)}
    assert {"退货", "我要退货", " 我要", "货 "} <= pieces


def test_features_of_texts_in_another_part_use_its_columns() -> None:
    found = features_of(["where is it", "where is it"], np.array([0, 1]))
    first, second = np.split(found.column, 2)
    assert np.array_equal(first + (1 << BITS), second)
