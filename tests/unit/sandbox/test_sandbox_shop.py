from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.sandbox.book import Book
from reconciler.sandbox.buyers import Buyers
from reconciler.sandbox.shop import Shop, Status
from reconciler.sandbox.trade import GatewayKind, State
from reconciler.sandbox.visit import STRANGE_CHANNEL, Visit


class StepClock:
    """A clock whose sleeps take no time but the clock's own."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.elapsed = 0.0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.elapsed += seconds


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "shop.db")
    shop.open()
    return shop


@pytest.fixture
def clock(now: datetime) -> StepClock:
    return StepClock(now)


@pytest.fixture
def buyers(shop: Shop, book: Book, clock: StepClock) -> Buyers:
    return Buyers(shop, book, clock)


def visit(order_no: str = "A10001", **changes: object) -> Visit:
    facts = {"kind": "test", "pay_channel": "alipay", "amount_fen": 9990} | changes
    return Visit(order_no=order_no, **facts)  # type: ignore[arg-type] # each test gives what fits


def only(shop: Shop) -> tuple[object, ...]:
    with closing(sqlite3.connect(shop.path)) as connection:
        (row,) = connection.execute(
            "SELECT amount, status, pay_channel, transaction_id, created_at, paid_at, updated_at FROM orders"
        )
    assert isinstance(row, tuple)
    return row


def test_the_table_is_in_wal_mode(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_order_waits_for_payment_with_beijing_times(shop: Shop, now: datetime) -> None:
    shop.order("A10001", 9990, "alipay", now)
    assert only(shop) == (99.9, 0, "alipay", None, "2026-11-23 12:05:06", None, "2026-11-23 12:05:06")


def test_the_same_order_twice_is_one(shop: Shop, now: datetime) -> None:
    shop.order("A10001", 9990, "alipay", now)
    shop.order("A10001", 1, "wechat", now)
    assert only(shop)[:3] == (99.9, 0, "alipay")


def test_an_order_may_have_no_amount(shop: Shop, now: datetime) -> None:
    shop.order("A10001", None, "alipay", now)
    assert only(shop)[0] is None


@pytest.mark.parametrize("fen", [1, 10, 9900, 9990, 12_345_67])
def test_a_callback_moves_a_waiting_order_of_its_amount_once(shop: Shop, now: datetime, fen: int) -> None:
    shop.order("A10001", fen, "alipay", now)
    assert shop.callback("A10001", fen, "T1", now, now + timedelta(seconds=1))
    assert not shop.callback("A10001", fen, "T2", now, now)
    assert only(shop)[1:] == (1, "alipay", "T1", "2026-11-23 12:05:06", "2026-11-23 12:05:06", "2026-11-23 12:05:07")


def test_a_callback_of_another_amount_moves_nothing(shop: Shop, now: datetime) -> None:
    shop.order("A10001", 9990, "alipay", now)
    assert not shop.callback("A10001", 9989, "T1", now, now)
    assert only(shop)[1] == Status.WAITING


def test_an_order_that_is_paid_does_not_expire(shop: Shop, now: datetime) -> None:
    shop.order("A10001", 9990, "alipay", now)
    shop.callback("A10001", 9990, "T1", now, now)
    assert not shop.expire("A10001", now)
    assert only(shop)[1] == Status.PAID


def test_an_order_that_expired_is_not_moved_by_its_callback(shop: Shop, now: datetime) -> None:
    shop.order("A10001", 9990, "alipay", now)
    assert shop.expire("A10001", now)
    assert not shop.callback("A10001", 9990, "T1", now, now)
    assert only(shop)[1] == Status.CLOSED


async def test_a_buyer_orders_pays_and_is_called_back(buyers: Buyers, shop: Shop, book: Book, clock: StepClock) -> None:
    await buyers.play([visit(at_s=2.0, pays_s=1.5, callback_s=0.5)])
    assert clock.elapsed == pytest.approx(4.0)
    assert only(shop)[1] == Status.PAID
    assert buyers.called_back == {"A10001"}
    trade = book.get(GatewayKind.ALIPAY, "A10001")
    assert trade is not None
    assert trade.paid_at == clock.start + timedelta(seconds=3.5)
    assert only(shop)[3] == trade.transaction_id


async def test_a_lost_callback_leaves_a_paid_order_waiting(
    buyers: Buyers, shop: Shop, book: Book, clock: StepClock
) -> None:
    await buyers.play([visit(pays_s=0.0)])
    trade = book.get(GatewayKind.ALIPAY, "A10001")
    assert trade is not None
    assert trade.state_at(clock.now()) is State.PAID
    assert only(shop)[1] == Status.WAITING
    assert not buyers.called_back


async def test_a_callback_after_expiry_comes_too_late(buyers: Buyers, shop: Shop) -> None:
    await buyers.play([visit(pays_s=3.0, callback_s=1.0, expires_s=2.0)])
    assert only(shop)[1] == Status.CLOSED
    assert buyers.expired == {"A10001"}
    assert not buyers.called_back


async def test_a_deleted_order_is_gone_though_its_trade_is_paid(
    buyers: Buyers, shop: Shop, book: Book, clock: StepClock
) -> None:
    await buyers.play([visit(pays_s=1.0, deletes_s=1.0)])
    assert not shop.rows()
    trade = book.get(GatewayKind.ALIPAY, "A10001")
    assert trade is not None
    assert trade.state_at(clock.now()) is State.PAID


async def test_an_order_of_a_strange_channel_reaches_no_gateway(buyers: Buyers, shop: Shop, book: Book) -> None:
    await buyers.play([visit(pay_channel=STRANGE_CHANNEL, pays_s=0.0)])
    assert only(shop)[2] == STRANGE_CHANNEL
    assert not book.trades()


async def test_steps_come_in_their_order_whatever_order_the_visits_are_in(buyers: Buyers, shop: Shop) -> None:
    await buyers.play([visit("A10003", at_s=3.0), visit("A10001", at_s=1.0), visit("A10002", at_s=2.0)])
    assert [row.order_no for row in shop.rows()] == ["A10001", "A10002", "A10003"]


async def test_a_buyer_remembers_when_the_order_was_first_seen_paid(
    buyers: Buyers, shop: Shop, clock: StepClock, now: datetime
) -> None:
    shop.order("A10001", 9990, "alipay", now)
    await buyers.look_once()
    assert not buyers.seen_paid_at
    shop.callback("A10001", 9990, "T1", now, now)
    for _ in range(2):
        clock.elapsed += 1
        await buyers.look_once()
    assert buyers.seen_paid_at == {"A10001": now + timedelta(seconds=1)}
