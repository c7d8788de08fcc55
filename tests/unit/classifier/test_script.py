"""Patterns cut by script find exactly what the whole patterns find."""

import re

import pytest

from services.classifier.domain.script import script_of, split_by_script
from services.classifier.domain.sign import SIGNS
from services.classifier.domain.text import canonical
from services.classifier.domain.topic import TOPICS
from services.classifier.model.corpus import load_corpus


def test_patterns_by_script_find_what_the_whole_ones_find() -> None:
    texts = [canonical(example.text) for example in load_corpus()[::12]]
    assert {script_of(text) for text in texts} == {0, 1, 2}
    for pattern in [*(sign.pattern for sign in SIGNS), *(pattern for _, pattern in TOPICS)]:
        searches = split_by_script(pattern)
        for text in texts:
            assert bool(searches[script_of(text)](text)) == bool(pattern.search(text)), (pattern.pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("退|return", "return it", True),
        ("退(?:a|b)|[|]x", "|x", True),
        (r"\||退", "|", True),
        ("天(?:气|weather)", "weather", False),
        (r"[0-9]+天|^\d+$", "12", True),
    ],
)
def test_pattern_by_script(pattern: str, text: str, found: bool) -> None:
    assert bool(split_by_script(re.compile(pattern))[script_of(text)](text)) is found
