"""Texts that are all but the same do not stand on both sides of a split."""

import pytest

from services.classifier.model.duplicate import near_duplicates

LEARNED = [
    "我的快递三天没有更新了帮忙看看",
    "发票抬头填错了可以重开吗",
    "在吗",
    "Where is my parcel? It has not moved.",
    "",
]


@pytest.mark.parametrize(
    ("unseen", "same"),
    [
        ("我的快递三天没有更新了 帮忙看看", {0}),
        ("我的快递三天没有更新了帮忙看下", {0}),
        ("where is my parcel it has not moved", {3}),
        ("在吗", set()),
        ("在吗在吗", set()),
        ("发票在哪里下载电子版的", set()),
        ("", set()),
    ],
)
def test_near_duplicates_are_found(unseen: str, same: set[int]) -> None:
    assert near_duplicates(LEARNED, [unseen, "完全没有关系的另外一句话"]) == same
