"""What a refusal means by its codes alone, and which of the gateway's words an operator gets to read."""

from __future__ import annotations

import json

import pytest

from reconciler.domain.answer import (
    Answer,
    Misconfigured,
    NotCreated,
    Rejected,
    Throttled,
    Unavailable,
    Untrusted,
)
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed
from reconciler.gateways.alipay import codes as alipay
from reconciler.gateways.wechat import codes as wechat
from reconciler.transport import HttpResponse


@pytest.mark.parametrize(
    ("code", "sub_code", "expected"),
    [
        ("40004", "ACQ.ACCESS_FORBIDDEN", Misconfigured),
        ("40004", "ACCESS_FORBIDDEN", Misconfigured),
        ("40004", "ACCESS_FORBIDDEN.", Rejected),
        ("40002", "invalid-signature", Misconfigured),
        ("40002", "isv.aop.invalid-signature", Misconfigured),
        ("40002", " ISV.Invalid-Signature\n", Misconfigured),
        ("40002", "missing-app-id", Misconfigured),
        ("40001", "isv.missing-anything-new", Misconfigured),
        ("40001", "isv.not-missing-anything", Rejected),
        ("40001", "TRADE_NOT_EXIST", Rejected),
        ("40004", "a.b.TRADE_NOT_EXIST", NotCreated),
        ("40004", "isv.invalid-signature", Rejected),
        ("40004", None, Rejected),
        ("40004", 7, Rejected),
        ("40002", "", Rejected),
    ],
)
def test_alipays_sub_code_counts_by_what_follows_its_last_dot(
    code: str, sub_code: object, expected: type[Answer]
) -> None:
    assert type(alipay.refusal_of(code, {"sub_code": sub_code})) is expected


@pytest.mark.parametrize("code", ["", "10000", "10003", "2000", "20002", "40000", "40007", "4000", "isv.missing-"])
def test_a_code_that_alipay_does_not_document_is_no_refusal_that_we_know(code: str) -> None:
    assert alipay.refusal_of(code, {"sub_code": "ACQ.TRADE_NOT_EXIST"}) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"sub_code": "isv.x", "sub_msg": "exactly", "msg": "roughly"}, "40002 isv.x exactly"),
        ({"sub_code": "isv.x", "msg": "roughly"}, "40002 isv.x roughly"),
        ({"sub_msg": "exactly", "msg": "roughly"}, "40002 exactly"),
        ({"sub_msg": "", "msg": "roughly"}, "40002 roughly"),
        ({"sub_code": 7, "sub_msg": ["x"], "msg": {}}, "40002"),
        ({"sub_code": "isv.x\n", "sub_msg": "\u202e"}, "40002 isv.x? ?"),
    ],
)
def test_of_alipays_words_the_closer_one_is_passed_on(said: dict[str, object], reason: str) -> None:
    assert alipay.reason_of("40002", said) == reason
    assert alipay.refusal_of("40002", said) == Rejected(reason)


@pytest.mark.parametrize("kind", ["20000", "20001", "40003", "40006"])
def test_every_refusal_of_alipay_says_why(kind: str) -> None:
    refusal = alipay.refusal_of(kind, {"sub_code": "isv.x", "sub_msg": "exactly"})
    assert refusal in (Unavailable(f"{kind} isv.x exactly"), Misconfigured(f"{kind} isv.x exactly"))


@pytest.mark.parametrize(
    ("sub_code", "expected"),
    [("SYSTEM_ERROR", Unavailable), ("ACCESS_FORBIDDEN", Misconfigured), ("INVALID_PARAMETER", Rejected)],
)
def test_a_business_refusal_says_why(sub_code: str, expected: type[Unavailable | Misconfigured | Rejected]) -> None:
    said = {"sub_code": f"ACQ.{sub_code}", "sub_msg": "why"}
    assert alipay.refusal_of("40004", said) == expected(f"40004 ACQ.{sub_code} why")


def refused(status: int, error: object = None) -> HttpResponse:
    return HttpResponse(status, (), b"" if error is None else json.dumps(error).encode())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (199, Unavailable),
        (200, Untrusted),
        (201, Untrusted),
        (202, Unavailable),
        (204, Untrusted),
        (299, Untrusted),
        (300, Unavailable),
        (400, Unavailable),
        (402, Unavailable),
        (403, Misconfigured),
        (406, Unavailable),
        (499, Unavailable),
    ],
)
def test_each_status_of_wechat_pay_without_a_code_has_its_answer(status: int, expected: type[Answer]) -> None:
    assert type(wechat.refusal_of(refused(status))) is expected


@pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "ORDERNOTEXIST"])
def test_that_there_is_no_order_is_said_with_a_404_only(code: str) -> None:
    assert wechat.refusal_of(refused(404, {"code": code})) == NotCreated()
    assert isinstance(wechat.refusal_of(refused(400, {"code": code})), Rejected)
    assert isinstance(wechat.refusal_of(refused(401, {"code": code})), Misconfigured)
    assert isinstance(wechat.refusal_of(refused(500, {"code": code})), Unavailable)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": "PARAM_ERROR", "detail": {"field": "/body/payer/sub_mchid"}}, Misconfigured),
        ({"code": "PARAM_ERROR", "detail": {"field": "WECHATPAY-SERIAL"}}, Misconfigured),
        ({"code": "PARAM_ERROR", "detail": {"field": "/mchid/out_trade_no"}}, Rejected),
        ({"code": "PARAM_ERROR", "detail": {"field": "out_trade_no"}}, Rejected),
        ({"code": "PARAM_ERROR", "detail": {"FIELD": "mchid"}}, Rejected),
        ({"code": "PARAM_ERROR", "detail": "mchid"}, Rejected),
        ({"code": "PARAM_ERROR", "field": "mchid"}, Rejected),
        ({"code": "NO_AUTH"}, Misconfigured),
        ({"code": "no_auth"}, Rejected),
    ],
    ids=str,
)
def test_a_400_is_the_channels_where_its_code_or_its_field_is_about_the_merchant(
    error: dict[str, object], expected: type[Answer]
) -> None:
    assert type(wechat.refusal_of(refused(400, error))) is expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": "NO_AUTH", "message": "not allowed"}, "HTTP 403 NO_AUTH not allowed"),
        ({"message": "not allowed"}, "HTTP 403 not allowed"),
        ({"code": "NO_AUTH"}, "HTTP 403 NO_AUTH"),
        ({"code": 7, "message": "\x1b[2J"}, "HTTP 403 ?[2J"),
        (["NO_AUTH"], "HTTP 403"),
        (None, "HTTP 403"),
    ],
    ids=str,
)
def test_wechat_pays_own_words_are_passed_on(error: object, reason: str) -> None:
    assert wechat.refusal_of(refused(403, error)) == Misconfigured(reason)


@pytest.mark.parametrize(
    ("status", "error", "reply"),
    [
        (400, {"code": "ORDERPAID", "message": "paid"}, NotClosed("HTTP 400 ORDERPAID paid")),
        (401, {"code": "SIGN_ERROR"}, NotClosed("HTTP 401 SIGN_ERROR")),
        (499, None, NotClosed("HTTP 499")),
        (500, {"code": "SYSTEM_ERROR"}, Unavailable("HTTP 500 SYSTEM_ERROR")),
        (404, {"code": "ORDER_NOT_EXIST"}, NoSuchTrade()),
        (429, None, Throttled()),
    ],
    ids=str,
)
def test_a_refused_close_says_the_same(status: int, error: object, reply: CloseReply) -> None:
    assert wechat.close_refusal_of(refused(status, error)) == reply


def test_an_unexpected_success_names_its_status() -> None:
    for status in (201, 204):
        refusal = wechat.refusal_of(refused(status))
        assert isinstance(refusal, Untrusted)
        assert f"HTTP {status}" in refusal.reason
    accepted = wechat.refusal_of(refused(202))
    assert isinstance(accepted, Unavailable)
    assert "202" in accepted.reason


@pytest.mark.parametrize(("status", "again"), [(500, False), (501, False), (502, True), (503, True), (504, False)])
def test_the_other_host_is_tried_at_once_after_a_bad_gateway_only(status: int, *, again: bool) -> None:
    assert wechat.asks_for_another_try(refused(status)) is again


def test_the_code_of_an_error_is_read_from_a_sound_body_only() -> None:
    assert wechat.code_of(refused(400, {"code": "NO_AUTH"})) == "NO_AUTH"
    for body in (b"", b"<html>", b'{"code":7}', b'{"code":"A","code":"A"}', b'{"code":""}'):
        assert wechat.code_of(HttpResponse(400, (), body)) is None


SAID = "openid=oUpF8uMuAJO_M2pxb1Q9zNjWeS6o, buyer zhang.san@example.cn, 13912345678: not matched"
KEPT = "openid=[…], buyer […], […]: not matched"


def test_nobody_stands_in_a_gateways_words() -> None:
    refused = alipay.refusal_of("40004", {"sub_code": "ACQ.INVALID_PARAMETER", "sub_msg": SAID})
    assert refused == Rejected(f"40004 ACQ.INVALID_PARAMETER {KEPT}")
    body = json.dumps({"code": "PARAM_ERROR", "message": SAID}).encode()
    assert wechat.refusal_of(HttpResponse(400, (), body)) == Rejected(f"HTTP 400 PARAM_ERROR {KEPT}")
