"""Personal data is replaced before text reaches anything that keeps or shows it.

Pure, and the same for every service: the classifier reads masked text, and feedback is handed out as it was read.
"""

from __future__ import annotations

import re

_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")
_DIGITS = re.compile(r"(?<![0-9A-Za-z])\+?[0-9](?:[ -]?[0-9]){9,22}[0-9Xx]?(?![0-9A-Za-z])")
_MOBILE = re.compile(r"(?:\+?86|0086)?1[3-9][0-9]{9}")
_IDENTITY = re.compile(r"[1-9][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]")

_AT = r"(?:(?:[路街巷弄]|(?<!街)道) ?[0-9]{1,5} ?[号弄]|[村苑园区城厦寓场] ?[0-9]{1,5} ?[栋幢座室单期])"
_HOUSE = re.compile(_AT)
"""What makes a Chinese address: a road or an estate, and the number of a house. Searched first, since it is quick."""
_PLACE = r"(?:(?![在到是寄送发往从至给改成了住我你您们他她的去为])[\u4e00-\u9fff])"
_CHINESE_ADDRESS = re.compile(
    rf"(?:{_PLACE}{{1,8}}?(?:省|市|区|县|镇|乡|街道) ?){{0,4}}{_PLACE}{{1,8}}?{_AT}"
    r"(?:[0-9A-Za-z东南西北楼院 -]{0,8}(?:[号弄栋幢座室楼层]|单元))*(?:[0-9]{1,5}(?![0-9元块天个件]))?"
)
_STREET = r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct)"
_ENGLISH_ADDRESS = re.compile(
    rf"\b[0-9]{{1,5}} (?:(?:[A-Z][a-z]{{1,20}} ){{1,3}}{_STREET}|[a-z]{{3,20}} (?:street|avenue|boulevard|lane))\b\.?"
    r"(?:,? (?:[Aa]pt|[Aa]partment|[Uu]nit|[Ss]uite|#)\.? ?[0-9A-Za-z]{1,5}\b)?"
)

_IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_IDENTITY_CHECKS = "10X98765432"


def mask_personal(text: str) -> str:
    """`text` with personal data replaced by <邮箱> (e-mail), <手机> (Chinese mobile), <证件> (identity card),
    <银行卡> (bank card) and <地址> (road or estate with the number of a house).

    Digits may be grouped by single blanks or hyphens. Identity cards must pass GB 11643's checksum and bank cards
    Luhn's, so order numbers of the same length stay. Masking twice changes nothing.
    """
    if "@" in text:
        text = _EMAIL.sub("<邮箱>", text)
    if _HOUSE.search(text):
        text = _CHINESE_ADDRESS.sub("<地址>", text)
    text = _ENGLISH_ADDRESS.sub("<地址>", text)
    return _DIGITS.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    digits = re.sub(r"[ -]", "", match.group())
    if _MOBILE.fullmatch(digits):
        return "<手机>"
    if is_identity_card(digits):
        return "<证件>"
    if is_bank_card(digits):
        return "<银行卡>"
    return match.group()


def is_identity_card(digits: str) -> bool:
    """Whether this is a mainland identity number of 18 places with a right checksum (GB 11643-1999)."""
    if not _IDENTITY.fullmatch(digits):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_IDENTITY_WEIGHTS, digits, strict=False))
    return _IDENTITY_CHECKS[total % 11] == digits[-1].upper()


def is_bank_card(digits: str) -> bool:
    """Whether this is a card number: 13 to 19 digits from 3 to 6 on that pass Luhn's check (ISO/IEC 7812-1)."""
    if not (13 <= len(digits) <= 19 and digits.isdecimal() and digits.isascii()) or digits[0] not in "3456":
        return False  # order numbers that begin with a date pass Luhn's check once in ten
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
