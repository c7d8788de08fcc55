"""The forms of a text that the model reads.

`canonical` is what arrived, in one spelling and without personal data. `core` is what remains of it without
courtesies, pleas for haste, outbursts and punctuation: these must change neither category, tier nor complexity, so the
model for those labels never sees them.
"""

from __future__ import annotations

import re
import unicodedata

from fenliu.masking import mask_personal

MAX_CHARS = 4_000
"""Characters that are read of a text: the first 3,000 and the last 1,000. A customer's request stands in them."""

_KINDS = {
    "order": "订单 order 单子",
    "number": "数字 number num",
    "link": "链接 link url",
    "name": "姓名 name",
    "address": "地址 address",
    "phone": "手机 电话 phone",
    "email": "邮箱 email",
    "company": "公司 company",
    "parcel": "单号 parcel tracking",
    "picture": "图片 视频 表情 image photo video picture",
    "identity": "证件 身份证",
    "card": "银行卡 card",
    "amount": "金额 amount",
}
_MARK_OF = {word: chr(0xE001 + place) for place, words in enumerate(_KINDS.values()) for word in words.split()}
_SHOWN = {0xE001 + place: f"<{words.split()[0]}>" for place, words in enumerate(_KINDS.values())}

ORDER_MARK = _MARK_OF["order"]
"""What stands for the number of an order in a canonical text."""

_NOISE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ue000-\uf8ff]"
)
_LINK = re.compile(r"(?:https?://|www\.)[!-~]{1,500}")
_WRITTEN_MASK = re.compile(r"[<\[]([^<>\[\]\s]{1,8})[>\]]")
_ORDER_NUMBER = re.compile(r"(?<![0-9a-z])(?:[a-z]{1,4}[0-9]{6,30}|[0-9]{8,30})(?![0-9a-z])")
_LONG_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)
_BLANKS = re.compile(r"\s+")


def canonical(text: str) -> str:
    """One spelling of `text`: NFKC, lower case, personal data, links and long numbers as one character each.

    At most MAX_CHARS characters of the original are used. The result has single blanks and no control characters; it
    may be empty.
    """
    if len(text) > MAX_CHARS:
        text = f"{text[:3000]} {text[-1000:]}"
    text = _NOISE.sub(" ", unicodedata.normalize("NFKC", _NOISE.sub(" ", text)))
    text = _LINK.sub("<link>", mask_personal(text)).lower()
    text = _ORDER_NUMBER.sub("<order>", text)
    text = _WRITTEN_MASK.sub(lambda match: _MARK_OF.get(match.group(1), match.group()), text)
    return _BLANKS.sub(" ", _LONG_RUN.sub(r"\1\1", text)).strip()


def shown(text: str) -> str:
    """A canonical text, or a part of it, for people: marks are written as <订单> and so on."""
    return text.translate(_SHOWN)


_COURTESY_ZH = (
    "你们好|你好|您好|亲亲|哈喽|哈罗|嗨|早上好|上午好|中午好|下午好|晚上好|请问一下|请问|请教|麻烦您|麻烦你|麻烦|谢谢|多谢|感谢|辛苦了?|劳烦了?"
    "|在不在|在没在|还在吗|在[吗嘛么](?![\u4e00-\u9fff])|有人[吗嘛么](?![\u4e00-\u9fff])"
    "|不好意思|打扰一?下?了?|宝子|小姐姐|亲(?=[\\s,,。!~:]|$|在)|(?<=[\\s,])亲|^亲(?!戚|子|自|人|手|测|爱)|^宝(?=\\s)"
)
_HASTE_ZH = "十万火急|急急+|急死人?了?|很急|好急|非常急|特急|着急|在线等|(?<![\\u4e00-\\u9fff])急(?![\\u4e00-\\u9fff])"
_OUTBURST_ZH = (
    "气死我了|烦死了?|无语了?|服了|离谱|我去|我靠|卧槽|妈的|tmd|真是的|有没有搞错|搞什么|什么情况啊?|太过分了?|垃圾"
)
_ENGLISH = (
    r"\b(?:hi|hello|hey|hiya|dear sir|dear|please|pls|plz|thank you so much|thank you|thanks so much|thanks|thx|kindly"
    r"|good (?:morning|afternoon|evening|day)|excuse me|sorry|asap|urgent(?:ly)?|immediately|right now|omg|wtf|damn"
    r"|ridiculous|seriously|are you kidding me|unbelievable|for god'?s sake|fucking|bloody)\b"
)
_ASIDE = re.compile(f"{_COURTESY_ZH}|{_HASTE_ZH}|{_OUTBURST_ZH}|{_ENGLISH}")
_APOSTROPHE = re.compile(r"(?<=[a-z])['’](?=[a-z])")
_PUNCTUATION = re.compile(r"[^\w\ue001-\ue0ff]+|_+")
_DIGIT = re.compile(r"[0-9]+")


_IDENTIFIERS = re.compile("[" + "".join(_MARK_OF[kind] for kind in ("订单", "数字", "姓名", "手机", "单号")) + "]")
"""Marks that only say who or which one; adding one must change nothing."""


def quiet(text: str) -> str:
    """A canonical text without courtesies, haste and outbursts: what signs of work and topics are searched in."""
    return _ASIDE.sub(" ", text).lstrip(" ,.!~?;:")


def core(text: str) -> str:
    """What a canonical text asks for: without courtesies, haste, outbursts, punctuation, names and numbers of orders.

    Other numbers become 0.
    """
    text = _ASIDE.sub(" ", _IDENTIFIERS.sub(" ", text))
    text = _PUNCTUATION.sub(" ", _APOSTROPHE.sub("", text))
    return _DIGIT.sub("0", text).strip()


_NOTHING = re.compile(
    r"(?:[\s\ue001-\ue0ff0]"
    r"|在不在|在没在|还在吗|在[吗嘛么不没呀啊呢]*|有人[吗嘛么没在不莫]*|有没有人|人呢|喂+|哎+|哦+|嗯+|啊+|ok|好的|好|哥|亲+|鸭|吗|么|呀|咨询|客服"
    r"|转?接?通?人工(?:客服|服务)?|真人|找人|急|问题|有问题|怎么办|怎么回事|什么情况|如图|看图|帮帮忙|谢谢"
    r"|\b(?:there|anyone|anybody|someone|here|agent|human|person|real|live|operator|representative|help|me|i|need|a|to"
    r"|speak|talk|question|can|you|have|is|are|with|ok|okay|yes|no)\b)*"
)


_CALLS_A_PERSON = re.compile(r"人工|真人|\b(?:agent|human|person|operator|representative)\b")
_THANKS = re.compile(r"谢|thank|thx")
_LETTERS = re.compile(r"[\u4e00-\u9fffa-z]{2}")


def intent_of_nothing(text: str) -> str:
    """Intent of a canonical text with nothing to act on: human_agent, thanks, greeting, or "" without any word."""
    if _CALLS_A_PERSON.search(text):
        return "human_agent"
    if _THANKS.search(text):
        return "thanks"
    return "greeting" if _LETTERS.search(text) else ""


def is_nothing_to_act_on(core_text: str) -> bool:
    """Whether a core text holds no request at all: only greetings, marks, numbers, or a call for a person."""
    return _NOTHING.fullmatch(core_text) is not None
