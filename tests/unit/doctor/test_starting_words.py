"""What shops call things, and what that means."""

from __future__ import annotations

import pytest

from reconciler.starting.words import CHANNELS, ROLES, STATES, commented, meaning, rank


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("WAIT_BUYER_PAY", "pending"),
        ("unpaid", "pending"),
        ("NOTPAY", "pending"),
        ("not_paid", "pending"),
        ("待付款", "pending"),
        ("created", "pending"),
        ("paid", "paid"),
        ("SHIPPED", "paid"),
        ("待发货", "paid"),
        ("交易完成", "paid"),
        ("cancelled", "closed"),
        ("expired", "closed"),
        ("已关闭", "closed"),
        ("refunded", "refunded"),
        ("已退款", "refunded"),
        ("back", "refunded"),
        ("money_back", "refunded"),
        ("chargeback", "refunded"),
        ("background", None),
        ("lunch", None),
    ],
)
def test_a_states_name_says_what_it_is(text: str, state: str | None) -> None:
    assert meaning(STATES, text) == state


@pytest.mark.parametrize(
    ("text", "gateway"),
    [("zfbf2f", "alipay"), ("支付宝", "alipay"), ("wx_lite", "wechat"), ("微信扫码", "wechat"), ("paypal", None)],
)
def test_a_channels_name_says_whose_it_is(text: str, gateway: str | None) -> None:
    assert meaning(CHANNELS, text) == gateway


@pytest.mark.parametrize(
    ("comment", "values"),
    [
        ("0->待付款；1->待发货", {"0": "待付款", "1": "待发货"}),
        ("订单状态 1:未支付,2:已支付,-1:过期", {"1": "未支付", "2": "已支付", "-1": "过期"}),
        ("0=unpaid, 1=paid", {"0": "unpaid", "1": "paid"}),
        ("状态", {}),
        ("", {}),
    ],
)
def test_a_columns_comment_says_what_its_values_are(comment: str, values: dict[str, str]) -> None:
    assert commented(comment) == values


def test_better_names_come_first() -> None:
    _, patterns = ROLES["amount"]
    names = ["price", "pay_amount", "total_amount", "weight"]
    assert sorted((place, name) for name in names if (place := rank(patterns, name)) is not None) == [
        (0, "pay_amount"),
        (2, "total_amount"),
        (3, "price"),
    ]
