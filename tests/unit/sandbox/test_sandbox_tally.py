from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from reconciler.ops.clock import SystemClock
from reconciler.sandbox.book import Book
from reconciler.sandbox.buyers import Buyers, trade_of_visit
from reconciler.sandbox.directory import Place
from reconciler.sandbox.shop import Shop, ShopRow, Status
from reconciler.sandbox.summary import print_summary
from reconciler.sandbox.tally import Fate, SeenCase, Span, Tally, tally
from reconciler.sandbox.trade import Trouble, Twist
from reconciler.sandbox.visit import STRANGE_CHANNEL, Visit

PAID = Visit(kind="callback lost", order_no="A10001", pay_channel="alipay", amount_fen=9900, pays_s=0.0)
UNPAID = replace(PAID, pays_s=None)


@pytest.fixture
def buyers(book: Book, tmp_path: Path) -> Buyers:
    return Buyers(Shop(tmp_path / "never-opened.db"), book, SystemClock())


def told(
    buyers: Buyers, book: Book, now: datetime, visit: Visit, status: Status | None, *, case: str = "", money: str = ""
) -> Tally:
    trade = trade_of_visit(visit, now)
    if trade:
        book.put(trade)
    buyers.visits.append(visit)
    number = money or (trade.transaction_id if trade and status is Status.PAID else None)
    rows = [] if status is None else [ShopRow(visit.order_no, status, number)]
    cases = [SeenCase(7, case, visit.order_no, "theirs ≠ ours")] if case else []
    return tally(buyers, book, rows, cases, now + timedelta(seconds=5))


def test_a_paid_order_that_the_daemon_moved_is_recovered_and_timed(buyers: Buyers, book: Book, now: datetime) -> None:
    buyers.seen_paid_at["A10001"] = now + timedelta(seconds=2.5)
    result = told(buyers, book, now, PAID, Status.PAID)
    assert result.count(Fate.RECOVERED) == result.stuck == result.paid == 1
    assert result.recovered_after == Span(2.5, 2.5, 2.5)
    assert not result.failures


def test_a_paid_order_that_the_callback_moved_was_not_stuck(buyers: Buyers, book: Book, now: datetime) -> None:
    buyers.called_back.add("A10001")
    result = told(buyers, book, now, PAID, Status.PAID)
    assert (result.count(Fate.CALLBACK), result.paid, result.stuck) == (1, 1, 0)


@pytest.mark.parametrize("status", [Status.WAITING, Status.CLOSED, None])
def test_a_paid_order_without_move_or_case_is_lost(
    buyers: Buyers, book: Book, now: datetime, status: Status | None
) -> None:
    result = told(buyers, book, now, PAID, status)
    assert [each.fate for each in result.failures] == [Fate.LOST]


@pytest.mark.parametrize("status", [Status.WAITING, Status.CLOSED, None])
def test_a_paid_order_with_a_case_is_not_lost(buyers: Buyers, book: Book, now: datetime, status: Status | None) -> None:
    result = told(buyers, book, now, PAID, status, case="late_payment")
    assert result.paid_in_case == 1
    assert not result.failures


@pytest.mark.parametrize(
    ("visit", "money"),
    [
        (UNPAID, ""),
        (replace(PAID, charged_fen=1), ""),
        (replace(PAID, refunds_s=0.0), ""),
        (replace(PAID, twist=Twist.UNKNOWN_STATE), ""),
        (replace(PAID, trouble=Trouble.UNSIGNED), ""),
        (PAID, "4200000000000000000000000000"),
    ],
)
def test_an_order_moved_without_proof_breaks_a_promise_even_with_a_case(
    buyers: Buyers, book: Book, now: datetime, visit: Visit, money: str
) -> None:
    result = told(buyers, book, now, visit, Status.PAID, case="amount_mismatch", money=money)
    assert [each.fate for each in result.failures] == [Fate.WRONGLY_MOVED]


def test_an_order_that_was_signed_wrongly_for_a_while_may_be_moved(buyers: Buyers, book: Book, now: datetime) -> None:
    visit = replace(PAID, trouble=Trouble.BAD_SIGNATURE, trouble_asks=2)
    assert told(buyers, book, now, visit, Status.PAID).count(Fate.RECOVERED) == 1


def test_an_order_of_nobodys_channel_that_was_moved_breaks_a_promise(buyers: Buyers, book: Book, now: datetime) -> None:
    result = told(buyers, book, now, replace(PAID, pay_channel=STRANGE_CHANNEL), Status.PAID)
    assert result.failures


def test_an_unpaid_order_waits_or_was_closed_by_shop_or_daemon(buyers: Buyers, book: Book, now: datetime) -> None:
    assert told(buyers, book, now, UNPAID, Status.WAITING).told[-1].fate is Fate.WAITING
    assert told(buyers, book, now, UNPAID, Status.CLOSED).told[-1].fate is Fate.CLOSED
    buyers.expired.add("A10001")
    assert told(buyers, book, now, UNPAID, Status.CLOSED).told[-1].fate is Fate.EXPIRED


def summary(result: Tally, place: Place) -> tuple[bool, str]:
    screen = io.StringIO()
    kept = print_summary(Console(file=screen, width=120), result, place)
    return kept, screen.getvalue()


def test_the_summary_says_in_one_sentence_that_the_promises_were_kept(
    buyers: Buyers, book: Book, now: datetime, tmp_path: Path
) -> None:
    result = told(buyers, book, now, PAID, Status.WAITING, case="needs_review")
    kept, text = summary(result, Place(tmp_path))
    assert kept
    assert "Each of the 1 paid orders was moved or is in a case" in text
    assert "needs_review" in text
    assert "theirs ≠ ours" in text
    assert f"cases show 7 --config {tmp_path / 'reconciler.toml'}" in text


def test_the_summary_names_the_order_that_was_lost(buyers: Buyers, book: Book, now: datetime, tmp_path: Path) -> None:
    kept, text = summary(told(buyers, book, now, PAID, Status.WAITING), Place(tmp_path))
    assert not kept
    assert "A10001 (callback lost): lost" in text
