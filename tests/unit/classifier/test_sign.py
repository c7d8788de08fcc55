"""Signs are found where the text says so, in both languages, and tone is kept apart."""

import pytest

from services.classifier.domain.sign import FIRST_TONE_SIGN, SIGNS, operations_asked_for, signs_in
from services.classifier.domain.text import canonical
from services.classifier.domain.topic import TOPICS, topics_in


def names(text: str) -> set[str]:
    return {SIGNS[place].name for place in signs_in(canonical(text))}


@pytest.mark.parametrize(
    ("sign", "text"),
    [
        ("charged_twice", "扣了两次钱"),
        ("charged_twice", "I was charged twice"),
        ("unknown_charge", "自动扣费了"),
        ("unknown_charge", "I don't recognize this charge"),
        ("taken_over", "我的账号被盗了"),
        ("taken_over", "my account was hacked"),
        ("fraud", "有人冒充你们客服"),
        ("danger", "充电的时候冒烟了"),
        ("danger", "it caught fire"),
        ("danger", "充电宝鼓起来一个包"),
        ("body_harmed", "嘴里割破了，里面有玻璃渣"),
        ("body_harmed", "rash all over my neck"),
        ("leak", "I can see other people's invoices"),
        ("taken_over", "一觉醒来密码被改"),
        ("settled_or_denied", "不是盗刷，虚惊一场"),
        ("asks_beforehand", "这个会不会漏电"),
        ("contested", "你们说本人签收，可我没签"),
        ("promise_broken", "之前客服说可以退，现在又说不行"),
        ("repeat_contact", "这是第三次来问了"),
        ("repeat_contact", "this is the third time I ask"),
        ("regulator", "再不处理我打12315"),
        ("several_parties", "商家说找快递，快递说找平台"),
        ("delivered_not_received", "显示签收了但是没收到"),
        ("delivered_not_received", "it says delivered but I never got it"),
        ("overdue", "快递三天没动了"),
        ("overdue", "tracking hasn't updated"),
        ("reproach", "什么破快递"),
        ("two_operations", "我要退货，另一件取消"),
        ("many_operations", "退掉一件、换大一码、运费赔给我、还要改地址"),
        ("many_operations", "return the shoes, exchange the shirt and cancel the hat"),
    ],
)
def test_sign_is_found(sign: str, text: str) -> None:
    assert sign in names(text)


@pytest.mark.parametrize("text", ["怎么退货", "发票什么时候能开", "七天无理由怎么操作", "几天能到", "is it waterproof"])
def test_sign_plain_questions_show_no_strong_one(text: str) -> None:
    assert not {SIGNS[place].name for place in signs_in(canonical(text)) if SIGNS[place].strength}


def test_signs_of_tone_come_last_and_say_nothing_about_work() -> None:
    assert {sign.name for sign in SIGNS[FIRST_TONE_SIGN:]} == {"reproach", "praise", "shouting"}
    assert all(not sign.strength for sign in SIGNS[FIRST_TONE_SIGN:])


def test_operations_two_questions_are_none() -> None:
    assert operations_asked_for(canonical("有现货吗？多大尺寸？")) == frozenset()


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("invoice", "要数电票"),
        ("courier", "驿站说没有我的件"),
        ("promotion", "能退差价吗"),
        ("account", "收不到验证码"),
        ("merchant", "我是商家"),
    ],
)
def test_topic_is_named(topic: str, text: str) -> None:
    assert topic in {TOPICS[place][0] for place in topics_in(canonical(text))}
