"""A row that another session keeps locked is one order's trouble, and what is locked as a whole is nobody's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import pytest

from reconciler.domain.answer import Closed, Paid, Trade, Unavailable
from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.domain.order import OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.events.orders import (
    CaseEnded,
    CaseOpened,
    OrderCallbackWon,
    OrderClosed,
    OrderRowBusy,
    OrderSettled,
    SettleRecovered,
)
from reconciler.events.running import LeadLost
from reconciler.events.settling import SettleBlocked, SettleUnblocked
from reconciler.events.trouble import ShopIsUnavailable
from reconciler.flow.brake import Limits
from reconciler.flow.judged import ROW_BUSY
from reconciler.flow.rounds import Rounds
from reconciler.flow.row_busy import BUSY, TRIES_MAX
from reconciler.ports import Approve, Outcome, Watch
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import CNY_99, NOON, Bench


@pytest.fixture
def bench() -> Bench:
    """Give a bench whose time stands still until it is told to pass, and that settles as fast as it can."""
    return Bench(clock=ManualClock(NOON), limits=Limits(per_minute=1000))


@asynccontextmanager
async def turning(bench: Bench, rounds: Rounds | None = None) -> AsyncIterator[Rounds]:
    rounds = rounds or bench.process()
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(1)
    yield rounds
    rounds.stop()
    await bench.pass_time(5)
    await running
    await rounds.context.shop.release()


def state(bench: Bench, key: str) -> OrderState:
    return bench.table.rows[OrderKey(key)].state


def watch_of(bench: Bench, number: str) -> Watch:
    (watch,) = (
        item.watch for item in bench.shelf.contents.watches.values() if item.watch.attempt.out_trade_no == number
    )
    return watch


def tries(bench: Bench, number: str) -> int:
    return sum(BUSY in ask.decision for ask in watch_of(bench, number).asks)


async def test_a_locked_row_is_tried_again_soon_and_the_others_are_settled_meanwhile(bench: Bench) -> None:
    for key in "123":
        bench.order(key)
        bench.pay(f"N{key}")
    bench.table.locked.add("1")
    async with turning(bench) as rounds:
        await bench.pass_time(60)
        assert [state(bench, key) for key in "123"] == [OrderState.PENDING, OrderState.PAID, OrderState.PAID]
        assert 3 <= tries(bench, "N1") <= 5
        assert watch_of(bench, "N1").last_decision == ROW_BUSY
        assert not await rounds.context.ledger.open_intentions()
        bench.table.locked.clear()
        await bench.pass_time(60)
        assert state(bench, "1") is OrderState.PAID
    assert [event.order_no for event in bench.events.of(OrderRowBusy)] == ["N1"]
    assert len(bench.events.of(OrderSettled)) == 3
    assert rounds.troubles() == ()
    for never in (ShopIsUnavailable, SettleBlocked, CaseOpened, SettleRecovered, LeadLost):
        assert not bench.events.of(never)


async def test_it_uses_up_no_age_and_waits_longer_each_time(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    bench.table.locked.add("1")
    async with turning(bench):
        await bench.pass_time(200)
        watch = watch_of(bench, "N1")
    assert watch.last_answered_at is None
    times = [ask.asked_at for ask in watch.asks]
    waits = [(later - sooner).total_seconds() for sooner, later in pairwise(times)]
    assert len(waits) >= 4
    assert all(later > 1.5 * sooner for sooner, later in pairwise(waits))


async def test_a_row_that_stays_locked_is_one_case_and_is_settled_when_it_comes_free(bench: Bench) -> None:
    bench.order("1")
    trade = bench.pay("N1")
    bench.table.locked.add("1")
    async with turning(bench) as rounds:
        await bench.pass_time(500)
        assert not bench.events.of(CaseOpened)
        await bench.pass_time(4 * 3600)
        (case,) = await rounds.context.ledger.cases()
        assert (case.kind, case.order_no) == (CaseKind.SETTLE_REFUSED, "N1")
        assert BUSY in case.why
        assert TRIES_MAX < tries(bench, "N1") < TRIES_MAX + 10
        bench.gateway().will_answer("N1", Paid(trade))
        bench.table.locked.clear()
        await bench.pass_time(1900)
        assert state(bench, "1") is OrderState.PAID
        assert await rounds.context.ledger.cases() == []
    assert len(bench.events.of(CaseOpened)) == 1
    assert len(bench.events.of(CaseEnded)) == 1
    assert len(bench.events.of(OrderRowBusy)) == 1


async def test_a_restart_in_a_run_neither_says_it_again_nor_counts_anew(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    bench.table.locked.add("1")
    async with turning(bench):
        await bench.pass_time(100)
    before = tries(bench, "N1")
    async with turning(bench):
        await bench.pass_time(400)
    async with turning(bench):
        await bench.pass_time(700)
        assert tries(bench, "N1") >= TRIES_MAX > before
    assert len(bench.events.of(OrderRowBusy)) == 1
    assert len(bench.events.of(CaseOpened)) == 1
    assert not bench.events.of(SettleRecovered)


async def test_a_gateway_that_is_away_in_between_does_not_begin_a_run_anew(bench: Bench) -> None:
    bench.order("1")
    trade = bench.pay("N1")
    bench.table.locked.add("1")
    async with turning(bench):
        await bench.pass_time(30)
        bench.gateway().will_answer("N1", Unavailable("no route"))
        await bench.pass_time(60)
        assert watch_of(bench, "N1").asks[-1].answer == "Unavailable"
        bench.gateway().will_answer("N1", Paid(trade))
        await bench.pass_time(1300)
    assert len(bench.events.of(OrderRowBusy)) == 1
    assert len(bench.events.of(CaseOpened)) == 1


async def test_a_callback_that_held_the_row_has_moved_it_and_not_we(bench: Bench) -> None:
    bench.order("1")
    trade = bench.pay("N1")
    bench.table.locked.add("1")
    async with turning(bench) as rounds:
        await bench.pass_time(10)
        bench.shop().change("1", state=OrderState.PAID, transaction_id=trade.transaction_id)
        bench.table.locked.clear()
        await bench.pass_time(60)
        assert (await rounds.context.ledger.settled(NOON - timedelta(days=1))).orders == 0
    assert watch_of(bench, "N1").ended_at
    assert not bench.events.of(OrderSettled)
    (won,) = bench.events.of(OrderCallbackWon)
    assert won.why == "the row turned paid while another session had it locked: the shop has this very payment"
    assert rounds.context.tally.callback_won == 1
    outcomes = {item.outcome for item in bench.shelf.contents.intentions.values()}
    assert outcomes == {Outcome.REFUSED}


async def test_another_payment_that_held_the_row_is_a_second_payment(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    bench.table.locked.add("1")
    async with turning(bench) as rounds:
        await bench.pass_time(3)
        bench.shop().change("1", state=OrderState.PAID, transaction_id="T-other")
        bench.table.locked.clear()
        await bench.pass_time(60)
        (case,) = await rounds.context.ledger.cases()
    assert case.kind is CaseKind.DUPLICATE_PAYMENT
    assert not bench.events.of(OrderSettled)
    assert not bench.events.of(OrderCallbackWon)


@pytest.mark.parametrize("crash_after_tries", [1, 2])
async def test_a_crash_in_a_run_moves_the_order_once(bench: Bench, crash_after_tries: int) -> None:
    bench.order("1")
    bench.pay("N1")
    bench.table.locked.add("1")
    rounds = bench.process()
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(1)
    await bench.pass_time(0 if crash_after_tries == 1 else 8)
    assert tries(bench, "N1") == crash_after_tries
    running.cancel()
    await asyncio.wait({running})
    bench.table.holder = None
    bench.table.locked.clear()
    shop = bench.shop()
    async with turning(bench, bench.process(shop)):
        await bench.pass_time(60)
    assert len(shop.moves) == 1
    assert len(bench.events.of(OrderSettled)) == 1


async def test_a_group_with_one_locked_row_is_not_moved_at_all(bench: Bench) -> None:
    bench.shared_payment = True
    bench.policy = Policy(shared_payment=True)
    bench.order("1", "G")
    bench.order("2", "G")
    bench.pay("G", amount=Money(2 * CNY_99.fen))
    bench.table.locked.add("2")
    async with turning(bench):
        await bench.pass_time(30)
        assert [state(bench, key) for key in "12"] == [OrderState.PENDING] * 2
        bench.table.locked.clear()
        await bench.pass_time(60)
        assert [state(bench, key) for key in "12"] == [OrderState.PAID] * 2


async def test_an_approval_outlives_a_locked_row(bench: Bench) -> None:
    bench.policy = Policy(review_after=timedelta(minutes=1))
    bench.order("1", minutes=300)
    bench.pay("N1")
    async with turning(bench) as rounds:
        await bench.pass_time(5)
        (case,) = await rounds.context.ledger.cases()
        assert case.kind is CaseKind.NEEDS_REVIEW
        bench.table.locked.add("1")
        await rounds.context.ledger.handle([Approve(case.id, "li")], bench.clock.now())
        approved = await rounds.context.ledger.case(case.id)
        assert approved
        await bench.inquiry(rounds).ask_approved(approved)
        assert tries(bench, "N1") == 1
        bench.table.locked.clear()
        await bench.pass_time(60)
    assert state(bench, "1") is OrderState.PAID


async def test_an_order_to_be_closed_whose_row_is_locked_is_closed_later_without_a_case(bench: Bench) -> None:
    bench.policy = Policy(closes_orders=True)
    bench.order("1")
    bench.gateway().will_answer("N1", Closed(Trade("N1")))
    bench.table.locked.add("1")
    async with turning(bench):
        await bench.pass_time(3600)
        assert state(bench, "1") is OrderState.PENDING
        assert TRIES_MAX <= tries(bench, "N1") <= TRIES_MAX + 3
        bench.table.locked.clear()
        await bench.pass_time(1900)
        assert state(bench, "1") is OrderState.CLOSED
    assert len(bench.events.of(OrderRowBusy)) == 1
    assert len(bench.events.of(OrderClosed)) == 1
    assert not bench.events.of(CaseOpened)


async def test_a_locked_table_is_said_once_at_each_end_and_no_order_counts_it(bench: Bench) -> None:
    for key in range(20):
        bench.order(str(key))
        bench.pay(f"N{key}")
    bench.table.locked.update(str(key) for key in range(20))
    async with turning(bench) as rounds:
        await bench.pass_time(3600)
        (trouble,) = rounds.troubles()
        assert trouble.startswith("settling waits since ")
        assert all(tries(bench, f"N{key}") <= 1 for key in range(20))
        begun = len(bench.shelf.contents.intentions)
        assert begun <= 3 * 16
        bench.table.locked.clear()
        await bench.pass_time(400)
        assert rounds.troubles() == ()
    assert all(state(bench, str(key)) is OrderState.PAID for key in range(20))
    assert len(bench.events.of(SettleBlocked)) == 1
    (end,) = bench.events.of(SettleUnblocked)
    assert end.after >= timedelta(hours=1)
    assert not bench.events.of(CaseOpened)
    assert len(bench.events.of(OrderRowBusy)) == 2


async def test_three_rows_that_stay_locked_do_not_hold_up_the_rest(bench: Bench) -> None:
    for key in "123":
        bench.order(key)
        bench.pay(f"N{key}")
    bench.table.locked.update("123")
    async with turning(bench):
        await bench.pass_time(10)
        assert len(bench.events.of(SettleBlocked)) == 1
        bench.order("4", minutes=1)
        bench.pay("N4", paid_at=bench.clock.now() - timedelta(seconds=20))
        await bench.pass_time(1800)
        assert state(bench, "4") is OrderState.PAID
    assert bench.events.of(SettleUnblocked)


async def test_the_last_order_of_a_locked_table_becomes_a_case_all_the_same(bench: Bench) -> None:
    for key in "123":
        bench.order(key)
        bench.pay(f"N{key}")
    bench.table.locked.update("123")
    async with turning(bench):
        await bench.pass_time(10)
        for key in "12":
            bench.shop().change(key, state=OrderState.PAID, transaction_id=f"T-N{key}")
        await bench.pass_time(2 * 3600)
    assert [event.order_no for event in bench.events.of(CaseOpened)] == ["N3"]


async def test_one_pass_says_that_not_all_was_done(bench: Bench) -> None:
    bench.clock = Bench().clock
    bench.order("1")
    bench.pay("N1")
    bench.table.locked.add("1")
    rounds = await bench.once()
    assert rounds.context.tally.not_applied == 1
    assert len(bench.events.of(OrderRowBusy)) == 1
