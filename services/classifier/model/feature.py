"""Hashed features of a batch of texts, computed for the whole batch at once.

Characters of all texts lie in one array, so that every n-gram of every text is hashed by a handful of numpy
operations. A loop over n-grams in Python costs about ten times as much. tests/unit/classifier compares this with a
plain reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS = 17
"""Features are hashed into 2 ** BITS columns of a part."""

PARTS = 2
"""Texts of different scripts have columns of their own: they share no words, and a shared column misleads both."""

COLUMNS = PARTS << BITS

MAX_GRAM = 4
"""Longest character n-gram."""

WORD, WORD_PAIR = 5, 6
"""Kinds beside n-grams of 1 to 4 characters: a word of Latin letters or digits, and two of them in a row."""

PRIME = 0x9E3779B97F4A7C15
WORD_PRIME = 0xC2B2AE3D27D4EB4F
SEEDS = (0, 0x51ED270B, 0x2545F491, 0x6C8E9CF5, 0x1B873593, 0x7FEB352D, 0x3C6EF372)
"""One per kind, so that the same characters hash differently as n-gram and as word."""

MAX_WORD = 64
"""Letters of a word beyond this reuse the last factor; nobody's word is that long."""

_U = np.uint64
_POWERS = np.array([pow(WORD_PRIME, place, 1 << 64) for place in range(MAX_WORD)], dtype=np.uint64)
_BLANK = 32


@dataclass(frozen=True)
class Features:
    """Every occurrence of a feature in a batch, ordered by text.

    column   place of its weights, 0 to COLUMNS - 1.
    offsets  texts + 1 numbers: the features of text i are [offsets[i], offsets[i + 1]).
    start    first character of the occurrence in its own text padded with one blank on each side.
    length   characters that it covers.
    """

    column: NDArray[np.int64]
    offsets: NDArray[np.int64]
    start: NDArray[np.int32]
    length: NDArray[np.int32]

    def counts(self) -> NDArray[np.int64]:
        """How many features each text has; at least 1, since even an empty text has its padding."""
        return np.diff(self.offsets)


def features_of(texts: Sequence[str], part_of: NDArray[np.int64] | None = None) -> Features:
    """Character n-grams of 1 to MAX_GRAM and words with their pairs.

    texts: 1 or more; any text, also an empty one. part_of: which part of the columns each text uses, 0 to PARTS - 1;
    None: the first.
    """
    padded = [f" {text} " for text in texts]
    lengths = np.array([len(text) for text in padded], dtype=np.int64)
    points = np.frombuffer("".join(padded).encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64)
    owner = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
    begin = np.concatenate(([0], np.cumsum(lengths)[:-1]))

    parts = [*_grams(points, owner), *_words(points, owner)]
    hashed = np.concatenate([part[0] for part in parts])
    start = np.concatenate([part[1] for part in parts])
    length = np.concatenate([part[2] for part in parts])

    order = np.argsort(owner[start], kind="stable")
    hashed, start, length = hashed[order], start[order], length[order]
    owners = owner[start]
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=len(texts)))))
    column = ((hashed * _U(PRIME)) >> _U(64 - BITS)).astype(np.int64)
    if part_of is not None:
        column += part_of[owners] << BITS
    return Features(column, offsets, (start - begin[owners]).astype(np.int32), length.astype(np.int32))


_Part = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]
"""Hash, first character in the batch and length of each feature of one kind."""


def _grams(points: NDArray[np.uint64], owner: NDArray[np.int32]) -> list[_Part]:
    """n-grams that stay inside one text. A single blank, the padding included, counts as a unigram."""
    parts: list[_Part] = []
    rolling = np.zeros(len(points), dtype=np.uint64)
    for n in range(1, MAX_GRAM + 1):
        size = len(points) - n + 1
        if size <= 0:
            break
        rolling = (rolling[:size] * _U(WORD_PRIME)) + points[n - 1 :]
        start = np.flatnonzero(owner[:size] == owner[n - 1 :])
        parts.append((rolling[start] + _U(SEEDS[n]), start, np.full(len(start), n, dtype=np.int64)))
    return parts


def _words(points: NDArray[np.uint64], owner: NDArray[np.int32]) -> list[_Part]:
    """Words of a-z and 0-9, and pairs of neighbours in one text. The padding keeps texts apart."""
    letter = ((points >= 97) & (points <= 122)) | ((points >= 48) & (points <= 57))
    edge = np.diff(letter.astype(np.int8), prepend=0, append=0)
    first, end = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    if not len(first):
        return []
    length = end - first
    inside = np.flatnonzero(letter)
    place = inside - np.repeat(first, length)
    terms = points[inside] * _POWERS[np.minimum(place, MAX_WORD - 1)]
    word = np.add.reduceat(terms, np.concatenate(([0], np.cumsum(length)[:-1])))

    together = np.flatnonzero(owner[first[:-1]] == owner[first[1:]])
    pair = word[together] * _U(PRIME) + word[together + 1]
    return [
        (word + _U(SEEDS[WORD]), first, length),
        (pair + _U(SEEDS[WORD_PAIR]), first[together], end[together + 1] - first[together]),
    ]
