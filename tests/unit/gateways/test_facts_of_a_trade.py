"""Each fact of a trade where it is read: exactly so much is taken for one, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.domain.answer import Answer, Closed, Merchant, Paid, Refunded, Trade, Unpaid, Unrecognised
from reconciler.domain.money import Money
from reconciler.gateways.alipay import trade as alipay
from reconciler.gateways.wechat import trade as wechat

ALIPAYS: Mapping[str, object] = {
    "trade_no": "2026112322001400001",
    "total_amount": "99.00",
    "trade_status": "TRADE_CLOSED",
    "send_pay_date": "2026-11-23 01:29:00",
}
PAID_AT = datetime(2026, 11, 22, 17, 29, tzinfo=UTC)
WECHATS: Mapping[str, object] = {
    "appid": "wx1",
    "mchid": "1900000001",
    "transaction_id": "4200000001",
    "trade_state": "SUCCESS",
    "success_time": "2026-11-23T01:29:00+08:00",
    "amount": {"total": 9900, "payer_total": 1, "currency": "CNY"},
}
DUE: Merchant = (("appid", "wx1"), ("mchid", "1900000001"))
PARTNERS: Merchant = (("sp_appid", "wx1"), ("sp_mchid", "1900000001"), ("sub_mchid", "1900000109"))


def paid_at(answer: Answer) -> datetime | None:
    assert isinstance(answer, Paid | Refunded), answer
    return answer.trade.paid_at


def test_closed_at_alipay_with_a_payment_date_is_refunded_in_full() -> None:
    whole = Trade("A1", "2026112322001400001", Money(9900), PAID_AT)
    assert alipay.answer_of("A1", ALIPAYS) == Refunded(whole, in_full=True)


def test_closed_at_alipay_without_one_keeps_every_other_fact() -> None:
    for date in (None, ""):
        closed = alipay.answer_of("A1", {**ALIPAYS, "send_pay_date": date})
        assert closed == Closed(Trade("A1", "2026112322001400001", Money(9900), None))


def test_each_answer_of_alipay_carries_the_trade() -> None:
    trade = Trade("A1", "2026112322001400001", Money(9900), PAID_AT)
    assert alipay.answer_of("A1", {**ALIPAYS, "trade_status": "TRADE_SUCCESS"}) == Paid(trade)
    assert alipay.answer_of("A1", {**ALIPAYS, "trade_status": "TRADE_FINISHED"}) == Paid(trade)
    assert alipay.answer_of("A1", {**ALIPAYS, "trade_status": "WAIT_BUYER_PAY"}) == Unpaid(trade)
    assert alipay.answer_of("A1", {**ALIPAYS, "trade_status": "HELD\n"}) == Unrecognised("HELD?")
    assert alipay.answer_of("A1", {**ALIPAYS, "trade_status": None}) == Unrecognised("no trade_status")


@pytest.mark.parametrize("year", [1999, 2000, 2100, 2101])
def test_a_year_that_no_payment_can_be_of_is_a_missing_fact(year: int) -> None:
    of_alipay = alipay.answer_of("A1", {**ALIPAYS, "send_pay_date": f"{year}-06-01 00:00:00"})
    of_wechat = wechat.answer_of("A1", {**WECHATS, "success_time": f"{year}-06-01T00:00:00Z"}, DUE)
    for time in (paid_at(of_alipay), paid_at(of_wechat)):
        assert (time is not None) == (2000 <= year <= 2100)


def test_an_alipay_time_is_beijings() -> None:
    time = paid_at(alipay.answer_of("A1", ALIPAYS))
    assert time is not None
    assert time.utcoffset() == timedelta(hours=8)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-22T17:29:00Z", PAID_AT),
        ("2026-11-22T12:29:00-05:00", PAID_AT),
        ("2026-11-23T01:29:00.5+08:00", PAID_AT + timedelta(seconds=0.5)),
        ("2026-11-23T01:29:00.123456789+08:00", PAID_AT + timedelta(microseconds=123456)),
        ("2026-11-23T01:29:00.1234567890+08:00", None),
        ("2026-11-23T01:29:00", None),
        ("2026-11-23T01:29:00+08:00 ", None),
        ("2026-11-23T25:29:00+08:00", None),
    ],
)
def test_a_wechat_time_is_read_with_the_zone_that_it_names(text: str, time: datetime | None) -> None:
    assert paid_at(wechat.answer_of("A1", {**WECHATS, "success_time": text}, DUE)) == time


def test_each_answer_of_wechat_pay_carries_the_trade() -> None:
    trade = Trade("A1", "4200000001", Money(9900), PAID_AT, DUE)
    for state, expected in (
        ("SUCCESS", Paid(trade)),
        ("REFUND", Refunded(trade, in_full=None)),
        ("NOTPAY", Unpaid(trade)),
        ("USERPAYING", Unpaid(trade)),
        ("CLOSED", Closed(trade)),
        ("REVOKED", Closed(trade)),
        ("PAYERROR", Closed(trade)),
        ("HELD\n", Unrecognised("HELD?")),
        (None, Unrecognised("no trade_state")),
    ):
        assert wechat.answer_of("A1", {**WECHATS, "trade_state": state}, DUE) == expected


@pytest.mark.parametrize(
    ("members", "due", "merchant"),
    [
        ({}, DUE, DUE),
        ({"sp_mchid": "", "sub_mchid": None}, DUE, DUE),
        ({"mchid": None}, DUE, (("appid", "wx1"),)),
        ({"sub_appid": "wx9"}, DUE, (*DUE, ("sub_appid", "wx9"))),
        ({"sp_appid": 7}, DUE, (*DUE, ("sp_appid", "unreadable"))),
        (dict(PARTNERS), PARTNERS, PARTNERS),
        ({**dict(PARTNERS), "sub_appid": "wx9"}, PARTNERS, PARTNERS),
        ({**dict(PARTNERS), "sub_mchid": "a b"}, PARTNERS, PARTNERS[:2]),
        (dict(PARTNERS), PARTNERS[::-1], PARTNERS),
    ],
    ids=range(9),
)
def test_who_was_paid_is_what_is_due_and_whoever_else_is_named(
    members: dict[str, object], due: Merchant, merchant: Merchant
) -> None:
    answer = wechat.answer_of("A1", {**WECHATS, **members}, due)
    assert isinstance(answer, Paid)
    assert answer.trade.merchant == merchant


@pytest.mark.parametrize(
    ("members", "refunded"),
    [
        ({}, Refunded(Trade("A1"), in_full=True)),
        ({"refund_amount": "98.99"}, Refunded(Trade("A1"), in_full=None)),
        ({"refund_amount": "x", "total_amount": "x"}, Refunded(Trade("A1"), in_full=None)),
        ({"out_request_no": "A2"}, None),
        ({"refund_status": "REFUND_FAIL"}, None),
    ],
    ids=range(5),
)
def test_a_refund_is_of_this_trade_and_in_full_where_the_amounts_agree(
    members: dict[str, object], refunded: Refunded | None
) -> None:
    said = {
        "refund_status": "REFUND_SUCCESS",
        "out_request_no": "A1",
        "refund_amount": "99.00",
        "total_amount": "99",
        **members,
    }
    assert alipay.refund_of(Trade("A1"), said) == refunded
