"""Ticket bodies for load: real-looking customer messages, one customer each, so that nothing joins."""

from __future__ import annotations

import json

TEXTS = (
    "我想取消订单",
    "物流三天没更新了，能帮忙查一下吗",
    "发票开错了要重开",
    "这款电源防雷击吗",
    "买了就降价能退差价吗",
    "收到的杯子是碎的，怎么处理",
    "我要退货，七天无理由",
    "退款什么时候到账",
    "被重复扣款了，扣了两次",
    "登录不了，验证码收不到",
    "什么时候来安装空调",
    "怎么还没出库",
    "Where is my parcel? It has not moved for four days.",
    "Can I pay in instalments?",
    "快递说签收了但是我没收到",
    "在吗",
)


def body(number: int, run: str) -> bytes:
    """The JSON of ticket `number` of a run."""
    ticket = {
        "text": TEXTS[number % len(TEXTS)],
        "customer_id": f"customer-{run}-{number}",
        "order_id": f"order-{run}-{number}",
        "channel": "web",
    }
    return json.dumps(ticket, ensure_ascii=False).encode()
