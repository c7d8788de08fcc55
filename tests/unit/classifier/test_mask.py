"""Personal data is masked; numbers that only look like it stay."""

import pytest

from fenliu.masking import is_bank_card, is_identity_card, mask_personal


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("电话13912345678谢谢", "电话<手机>谢谢"),
        ("+86 139 1234 5678", "<手机>"),
        ("139-1234-5678", "<手机>"),
        ("身份证11010519491231002X", "身份证<证件>"),
        ("11010519491231002x", "<证件>"),
        ("卡号6222 0212 3456 7894 请查", "卡号<银行卡> 请查"),
        ("卡号4111 1111 1111 1111 请查", "卡号<银行卡> 请查"),
        ("send to a.b-c@mail.example.com now", "send to <邮箱> now"),
        ("发到zhang@qq.com吧", "发到<邮箱>吧"),
        ("帮我改到浙江省杭州市西湖区文三路12号3幢502室谢谢", "帮我改到<地址>谢谢"),
        ("应该是朝阳区建国路88号院3号楼1201 麻烦改下", "应该是<地址> 麻烦改下"),
        ("快递发到幸福小区3栋2单元501了", "快递发到<地址>了"),
        ("ship to 221 Baker Street, Apt 4 instead", "ship to <地址> instead"),
        ("my address is 12 maple street", "my address is <地址>"),
    ],
)
def test_mask_personal_data_is_replaced(text: str, masked: str) -> None:
    assert mask_personal(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "订单 20261121000123",
        "12345",
        "11010519491231002A",
        "2026-11-21 10:15",
        "价格 1299",
        "小区3号才能收货",
        "街道3号通知",
        "3 weeks to drive",
    ],
)
def test_mask_ordinary_numbers_stay(text: str) -> None:
    assert mask_personal(text) == text


def test_mask_twice_changes_nothing() -> None:
    once = mask_personal("13912345678 11010519491231002X 4111111111111111 a@b.example 人民路12号")
    assert mask_personal(once) == once
    assert not any(digit in once for digit in "0123456789")


def test_identity_card_wrong_checksum_is_none() -> None:
    assert is_identity_card("11010519491231002X")
    assert not is_identity_card("110105194912310021")


def test_bank_card_luhn_decides() -> None:
    assert is_bank_card("4111111111111111")
    assert not is_bank_card("4111111111111112")
    assert not is_bank_card("0000000000000000")
