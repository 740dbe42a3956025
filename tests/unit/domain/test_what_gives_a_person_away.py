"""What is left out of words that are not ours, and what stays."""

from __future__ import annotations

import pytest

from reconciler.domain.personal import without_members, without_persons


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("openid=oUpF8uMuAJO_M2pxb1Q9zNjWeS6o does not match", "openid=[…] does not match"),
        ("用户 oUpF8uMuAJO_M2pxb1Q9zNjWeS6o 不存在", "用户 […] 不存在"),
        ("参数错误：openid：oUpF8，请检查", "参数错误：openid：[…]"),
        ("buyer zhang.san@example.cn is frozen", "buyer […] is frozen"),
        ("buyer zha***@example.cn is frozen", "buyer […] is frozen"),
        ("call 13912345678 or 159****5620", "call […] or […]"),
        ("user 2088101117955611 has no right", "user […] has no right"),
        ("open id 074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5", "open id […]"),
    ],
)
def test_whoever_paid_is_left_out(said: str, kept: str) -> None:
    assert without_persons(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "HTTP 403 NO_AUTH 商户号该产品权限未开通",
        "mchid 1900000001, appid wx0000000000000001, serial 3D0A1C5E7B9F2468ACE013579BDF02468ACE1357",
        "order-20261123-000000000001 is not 20261123220014000000012345678",
        "4200001234202611231234567890 and PUB_KEY_ID_0119000000012026112300000000000001",
        "the openid is missing",
        "2026-11-23T15:57:18+08:00",
        "1390000000012345678 is an order's number",
        "d41d8cd98f00b204e9800998ecf8427e",
    ],
)
def test_the_merchants_own_numbers_stay(said: str) -> None:
    assert without_persons(said) == said


def test_of_our_own_text_only_what_is_named_is_left_out() -> None:
    assert without_members('{"openid":"oUpF8"} oUpF8uMuAJO_M2pxb1Q9zNjWeS6o') == (
        '{"openid":"[…]"} oUpF8uMuAJO_M2pxb1Q9zNjWeS6o'
    )
