"""What the model reads of a text."""

import pytest

from services.classifier.domain.language import language_of
from services.classifier.domain.text import MAX_CHARS, canonical, core, is_nothing_to_act_on, shown


def test_canonical_full_width_and_masks_become_one_spelling() -> None:
    assert canonical("ＡＢＣ　１２") == "abc 12"
    assert canonical("<订单>") == canonical("[order]") == canonical("<单子>")
    assert shown(canonical("看下<订单>")) == "看下<订单>"


def test_canonical_numbers_and_links_are_marks() -> None:
    assert shown(canonical("单 JD0123456789012 在 https://a.example/x?y=1")) == "单 <订单> 在 <链接>"


@pytest.mark.parametrize("text", ["", "\x00\x07", "\ud800", "\ue001", "\u200b\u202e", " \n\t "])
def test_canonical_nothing_visible_is_empty(text: str) -> None:
    assert canonical(text) == ""


def test_canonical_a_megabyte_is_cut() -> None:
    assert len(canonical("退货" * 500_000)) <= MAX_CHARS + 1


@pytest.mark.parametrize(
    ("plain", "dressed"),
    [
        ("怎么退货", "您好，请问怎么退货？谢谢！！！"),
        ("怎么退货", "气死我了！怎么退货！！！"),
        ("发票怎么开", "急急急！发票怎么开"),
        ("where is my parcel", "Hello! WHERE is my parcel?!! thanks so much"),
        ("where is my parcel", "omg seriously, where is my parcel ASAP please"),
    ],
)
def test_core_courtesy_haste_and_outbursts_are_left_out(plain: str, dressed: str) -> None:
    assert " ".join(core(canonical(dressed)).split()) == core(canonical(plain))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "在吗",
        "你好",
        "亲，在吗",
        "转人工",
        "<链接> <姓名>",
        "<订单>",
        "急！",
        "急急急",
        "hello?",
        "I need help",
        "123",
        "😀",
        "好的",
        "speak to a human please",
    ],
)
def test_nothing_to_act_on_is_recognised(text: str) -> None:
    assert is_nothing_to_act_on(core(canonical(text)))


@pytest.mark.parametrize("text", ["你好 怎么退货", "发票", "急 退款", "hello where is my order", "人工客服态度太差"])
def test_nothing_to_act_on_a_request_is_seen(text: str) -> None:
    assert not is_nothing_to_act_on(core(canonical(text)))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("我的快递到哪了", "zh"),
        ("我的package到哪了", "zh"),
        ("where is my parcel", "en"),
        ("I bought the 小米 phone last week and it does not charge", "en"),
        ("注文した商品が届きません", "ja"),
        ("주문 취소해 주세요", "ko"),
        ("onde está meu pedido? não chegou", "pt"),
        ("¿dónde está mi pedido?", "es"),
        ("où est mon colis, je n'ai pas reçu", "fr"),
        ("wo ist mein paket", "de"),
        ("где мой заказ", "ru"),
        ("😀 123 !!!", ""),
        ("", ""),
    ],
)
def test_language_follows_the_script(text: str, code: str) -> None:
    assert language_of(canonical(text)) == code
