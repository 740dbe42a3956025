from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.sandbox import book as book_module
from reconciler.sandbox.book import Book
from reconciler.sandbox.errors import BookFull, NotAScript
from reconciler.sandbox.scripts import Script, part_from_json, trade_as_json, trade_of
from reconciler.sandbox.trade import GatewayKind, State, Trade, Trouble, Twist

SENT = {"gateway": "alipay", "out_trade_no": "A10001", "amount": "99.00"}


def played(now: datetime, **sent: object) -> Trade:
    return trade_of(part_from_json(SENT | sent), None, now)


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("paid", State.PAID),
        ("unpaid", State.UNPAID),
        ("paid_later", State.UNPAID),
        ("closed", State.CLOSED),
        ("refunded", State.REFUNDED),
        ("absent", State.ABSENT),
        ("wrong_amount", State.PAID),
        ("throttled", State.PAID),
    ],
)
def test_a_script_says_what_state_the_trade_is_in(now: datetime, script: str, state: State) -> None:
    assert played(now, script=script).state_at(now) is state


def test_every_script_makes_a_trade(now: datetime) -> None:
    made = {script: played(now, script=script.value, times=2, slow_s=0.5) for script in Script}
    assert made[Script.WRONG_AMOUNT].amount_fen == 1
    assert made[Script.OTHER_MERCHANT].twist is Twist.OTHER_MERCHANT
    assert made[Script.SLOW].trouble is Trouble.SLOW
    assert made[Script.SLOW].slow_seconds == 0.5
    assert [made[Script.UNSIGNED].trouble_on(ask) for ask in (2, 3)] == [Trouble.UNSIGNED, None]


def test_a_trade_paid_later_is_paid_at_its_time(now: datetime) -> None:
    trade = played(now, script="paid_later", after_s=2.5)
    assert trade.state_at(now + timedelta(seconds=2.4)) is State.UNPAID
    assert trade.state_at(now + timedelta(seconds=2.5)) is State.PAID


def test_a_trade_that_is_played_anew_without_an_amount_keeps_the_one_it_had(now: datetime) -> None:
    part = part_from_json({"gateway": "alipay", "out_trade_no": "A10001", "script": "refunded"})
    assert trade_of(part, played(now, amount="12.34"), now).amount_fen == 1234
    assert trade_of(part, None, now).amount_fen == 9900


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ([], "send an object"),
        ({}, "out_trade_no is due"),
        (SENT | {"out_trade_no": "a b"}, "out_trade_no is due"),
        (SENT | {"gateway": "paypal"}, "gateway is one of: alipay, wechat"),
        (SENT | {"gateway": None}, "gateway is one of"),
        (SENT | {"script": "free"}, "script is one of: paid, unpaid"),
        (SENT | {"amount": 99}, "two decimals"),
        (SENT | {"amount": "99"}, "two decimals"),
        (SENT | {"amount": "-1.00"}, "two decimals"),
        (SENT | {"after_s": True}, "after_s is a number"),
        (SENT | {"times": float("nan")}, "times is a number"),
        (SENT | {"slow_s": 61}, "slow_s is a number"),
        (SENT | {"state": "paid"}, "'state' is no field"),
    ],
)
def test_what_cannot_be_played_is_refused_with_what_can(sent: object, says: str) -> None:
    with pytest.raises(NotAScript, match=says):
        part_from_json(sent)


def test_a_trade_is_listed_with_yuan_and_beijing_time(now: datetime) -> None:
    listed = trade_as_json(played(now), now, asks=3)
    assert listed["amount"] == "99.00"
    assert listed["paid_at"] == "2026-11-23T12:05:06+08:00"
    assert listed["closed_at"] is None
    assert (listed["state"], listed["asks"]) == ("paid", 3)


def test_transaction_ids_are_28_digits_and_each_its_own(now: datetime) -> None:
    trades = [Trade(kind, f"A{place}", 1, opened_at=now) for kind in GatewayKind for place in range(200)]
    ids = {trade.transaction_id for trade in trades}
    assert len(ids) == len(trades)
    assert all(len(number) == 28 and number.isdigit() for number in ids)


def test_the_book_counts_asks_anew_when_a_trade_is_replaced(book: Book, now: datetime) -> None:
    trade = played(now)
    book.put(trade)
    assert [book.ask(GatewayKind.ALIPAY, "A10001")[1] for _ in range(2)] == [1, 2]
    book.put(replace(trade, amount_fen=1))
    found, ask = book.ask(GatewayKind.ALIPAY, "A10001")
    assert (found and found.amount_fen, ask, book.asks(trade)) == (1, 1, 1)


def test_the_same_number_at_the_other_gateway_is_another_trade(book: Book, now: datetime) -> None:
    book.put(played(now))
    assert book.get(GatewayKind.WECHAT, "A10001") is None


def test_asks_about_unknown_numbers_take_no_room(book: Book) -> None:
    assert book.ask(GatewayKind.WECHAT, "nobody") == (None, 0)
    assert book.asks_total == 1
    assert book.trades() == []


def test_a_full_book_takes_replacements_only(book: Book, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "TRADES_MAX", 1)
    book.put(played(now))
    book.put(played(now, script="closed"))
    with pytest.raises(BookFull):
        book.put(played(now, out_trade_no="A10002"))


def test_the_newest_trades_are_listed(book: Book, now: datetime) -> None:
    for place in range(5):
        book.put(played(now, out_trade_no=f"A{place}"))
    assert [trade.out_trade_no for trade in book.trades(2)] == ["A3", "A4"]
