"""The rulings of docs/taxonomy.md on texts that are not in the corpus, and what must not move a label."""

import pytest

from services.classifier.model.corpus import load_corpus
from services.classifier.model.predict import Predictor

RULINGS = [
    ("发票咨询一下", "invoice", "standard", "simple"),
    ("请问怎么开发票呢", "invoice", "standard", "simple"),
    ("你们把发票抬头开错了，要重开", "invoice", "priority", "moderate"),
    ("我想把这个订单取消掉", "order", "standard", "simple"),
    ("请问我的快递到哪里了呀", "logistics", "standard", "simple"),
    ("快递显示签收了，但是我没收到", "logistics", "priority", "moderate"),
    ("快递好几天一直没更新", "logistics", "priority", "moderate"),
    ("我要退货怎么操作", "returns_refunds", "standard", "simple"),
    ("收到货发现少发了一件", "returns_refunds", "priority", "moderate"),
    ("昨天买的今天降价了能退差价吗", "promotion_price", "standard", "simple"),
    ("手机买来就开不了机", "product_quality", "priority", "moderate"),
    ("这个是正品吗", "product_inquiry", "standard", "simple"),
    ("就买了一样东西怎么扣我两次钱", "payment", "urgent", "moderate"),
    ("莫名其妙自动扣费了", "payment", "urgent", "complex"),
    ("我的账号被盗了", "account", "urgent", "moderate"),
    ("忘记密码登录不了", "account", "standard", "simple"),
    ("客服态度太差了，我要投诉", "service_complaint", "priority", "moderate"),
    ("充电器充电的时候冒烟了", "product_quality", "urgent", "moderate"),
    ("where has my package got to", "logistics", "standard", "simple"),
    ("it says delivered but i never got it", "logistics", "priority", "moderate"),
    ("how do i return this", "returns_refunds", "standard", "simple"),
    ("i was charged twice for my order", "payment", "urgent", "moderate"),
    ("can i get an invoice please", "invoice", "standard", "simple"),
]


@pytest.mark.parametrize(("text", "category", "tier", "complexity"), RULINGS)
def test_ruling_is_followed(predictor: Predictor, text: str, category: str, tier: str, complexity: str) -> None:
    (found,) = predictor.predict([text])
    assert (found.category, found.tier, found.complexity) == (category, tier, complexity)


def test_rulings_are_not_learned_by_heart() -> None:
    learned = {example.text for example in load_corpus()}
    assert [row for row in RULINGS if (row.values[0] if hasattr(row, "values") else row[0]) in learned] == []


PLAIN = [
    "我要退货",
    "发票怎么开",
    "快递到哪了",
    "怎么还没发货",
    "能退差价吗",
    "扣了两次钱",
    "快递显示签收了我没收到",
    "少发了一件",
    "手机开不了机",
    "where is my parcel",
    "how do i return an item",
    "i was charged twice",
    "it says delivered but i never got it",
]
DRESSES = ["您好，请问{}，谢谢", "{}！！！！！", "气死我了！{}！", "急急急 {}", "你好 {}", "{} <订单>"]
ENGLISH_DRESSES = ["hello, {} please, thank you so much", "{}!!!!!", "omg seriously {}", "URGENT {} ASAP", "{} <order>"]


@pytest.mark.parametrize("plain", PLAIN)
def test_tone_changes_neither_category_nor_work(predictor: Predictor, plain: str) -> None:
    dresses = DRESSES if not plain.isascii() else ENGLISH_DRESSES
    (bare,) = predictor.predict([plain])
    for dressed in predictor.predict([dress.format(plain) for dress in dresses]):
        assert (dressed.category, dressed.tier, dressed.complexity) == (bare.category, bare.tier, bare.complexity)


@pytest.mark.parametrize(
    ("before", "after", "label", "value"),
    [
        ("我要退货", "我要退货，运费赔给我，另外一件取消，还要改地址", "complexity", "complex"),
        ("怎么退款", "退款你们答应过又反悔，第三次来问了，再不退我打12315", "complexity", "complex"),
        ("付款失败", "付款失败但是扣了我两次钱", "tier", "urgent"),
        ("什么时候到", "说昨天到的，好几天了还没到", "tier", "priority"),
    ],
)
def test_facts_move_the_label(predictor: Predictor, before: str, after: str, label: str, value: str) -> None:
    plain, moved = predictor.predict([before, after])
    assert getattr(plain, label) != value
    assert getattr(moved, label) == value


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("什么破快递 垃圾", "negative"),
        ("快递到哪了", "neutral"),
        ("谢谢", "neutral"),
        ("useless junk, terrible", "negative"),
    ],
)
def test_sentiment_follows_wording(predictor: Predictor, text: str, sentiment: str) -> None:
    (found,) = predictor.predict([text])
    assert found.sentiment == sentiment
