"""Patterns for texts of one script: the same matches as the whole pattern, without trying what cannot match.

Signs and topics join Chinese and English wordings. In a text without Han characters the Chinese ones are tried in vain,
and the reverse; leaving them out halves the time. tests/unit/classifier compares both on the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Callable

HAN = re.compile(r"[\u4e00-\u9fff]")
LATIN = re.compile(r"[a-z]")
_ESCAPED = re.compile(r"\\.|\(\?[:!=<]+")
_NOTHING = re.compile(r"(?!)")

Search = Callable[[str], object]


def split_by_script(pattern: re.Pattern[str]) -> tuple[Search, Search, Search]:
    """Searches for texts with both scripts, with Han alone, and without Han.

    An alternative is left out where all its letters are of the absent script, so nothing of it could match; one that
    mixes scripts, or has no letters, is always tried.
    """
    alternatives = _alternatives(pattern.pattern)
    han_alone = [one for one in alternatives if HAN.search(one) or not _latin(one)]
    without_han = [one for one in alternatives if _latin(one) or not HAN.search(one)]
    return pattern.search, _joined(han_alone), _joined(without_han)


def script_of(text: str) -> int:
    """Place in what split_by_script returns that fits a canonical text."""
    if not HAN.search(text):
        return 2
    return 0 if LATIN.search(text) else 1


def _latin(alternative: str) -> bool:
    return LATIN.search(_ESCAPED.sub("", alternative)) is not None


def _joined(alternatives: list[str]) -> Search:
    return re.compile("|".join(alternatives)).search if alternatives else _NOTHING.search


def _alternatives(pattern: str) -> list[str]:
    """The pattern cut at every | outside of brackets."""
    found, depth, in_class, begin, place = [], 0, False, 0, 0
    while place < len(pattern):
        letter = pattern[place]
        if letter == "\\":
            place += 1
        elif in_class:
            in_class = letter != "]"
        elif letter == "[":
            in_class = True
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "|" and not depth:
            found.append(pattern[begin:place])
            begin = place + 1
        place += 1
    return [*found, pattern[begin:]]
