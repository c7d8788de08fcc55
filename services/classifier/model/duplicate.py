"""Texts that are all but the same: they may not stand on both sides of a split. Standard library only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from heapq import nsmallest

SAME = 0.6
"""Share of common trigrams, of those that either text has, above which two texts count as one."""

SHORTEST = 9
"""Characters. Shorter texts are passed over: shoppers do write the same few words."""

RAREST = 12
"""Trigrams of a text that are looked up."""


def near_duplicates(texts: Sequence[str], others: Sequence[str]) -> set[int]:
    """Places in `texts` of those that are all but the same as one of `others`. Case and blanks do not count.

    Two texts that share more than SAME share, almost surely, one of the rarest trigrams of each: only those are
    looked up.
    """
    grams = [_trigrams(text) for text in texts]
    count = Counter(gram for found in grams for gram in found)
    having: dict[str, list[int]] = defaultdict(list)
    for place, found in enumerate(grams):
        for gram in _rarest(found, count):
            having[gram].append(place)
    same: set[int] = set()
    for ours in {_trigrams(text) for text in others}:
        near = {place for gram in _rarest(ours, count) for place in having.get(gram, ())}
        same |= {place for place in near if len(grams[place] & ours) > SAME * len(grams[place] | ours)}
    return same


def _rarest(grams: frozenset[str], count: Mapping[str, int]) -> list[str]:
    """The rarest first. A pair that shares six in ten of all its trigrams misses all of a dozen once in many
    thousands."""
    return nsmallest(RAREST, grams, key=lambda gram: (count.get(gram, 0), gram))


def _plain(text: str) -> str:
    return "".join(text.lower().split())


def _trigrams(text: str) -> frozenset[str]:
    """Of three characters each; none where the text is shorter than SHORTEST."""
    plain = _plain(text)
    return frozenset(plain[at : at + 3] for at in range(len(plain) - 2)) if len(plain) >= SHORTEST else frozenset()
