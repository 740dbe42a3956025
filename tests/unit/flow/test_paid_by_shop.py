"""Orders that the shop itself moves while they are watched: what callback loss is measured against."""

from __future__ import annotations

from datetime import timedelta

from reconciler.domain.answer import Trade, Unpaid
from reconciler.domain.order import ChannelName, Order, OrderKey, OrderState
from reconciler.flow.rounds import Rounds
from reconciler.ports import Intention
from reconciler.testing.ledger_examples import evidence
from tests.unit.flow.bench import ALIPAY, CNY_99, Bench

DAY_S = timedelta(days=1).total_seconds()


def noted(rounds: Rounds) -> dict[ChannelName, int]:
    return dict(rounds.context.paid_by_shop)


async def found_waiting(bench: Bench, *keys: str) -> Rounds:
    """Find orders that wait for their payment."""
    for key in keys:
        bench.order(key)
        bench.gateway().will_answer(f"N{key}", Unpaid(Trade(f"N{key}")))
    rounds = await bench.once()
    assert noted(rounds) == {}, "what waits is not paid"
    return rounds


async def test_an_order_that_the_callback_moved_is_counted_once(bench: Bench) -> None:
    await found_waiting(bench, "1", "2")
    bench.shop().change("1", state=OrderState.PAID)
    await bench.clock.advance(600)
    rounds = await bench.once()
    assert noted(rounds) == {ALIPAY: 1}
    await bench.clock.advance(DAY_S)
    assert noted(await bench.once()) == {}


async def test_in_mode_observe_where_no_watch_ends_it_is_counted_once_too(bench: Bench) -> None:
    bench.enforcing = False
    await found_waiting(bench, "1")
    bench.shop().change("1", state=OrderState.PAID)
    rounds = bench.process()
    for _ in range(3):
        await bench.clock.advance(DAY_S * 1.1)
        await bench.once(rounds)
    assert noted(rounds) == {ALIPAY: 1}


async def test_an_order_that_we_moved_is_not_the_shops(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    rounds = await bench.once()
    assert rounds.context.tally.settled == 1
    await bench.clock.advance(DAY_S)
    assert noted(await bench.once()) == {}
    assert noted(rounds) == {}


async def test_a_race_that_the_callback_won_is_the_shops(bench: Bench) -> None:
    bench.order("1")
    trade = bench.pay("N1")
    shop = bench.shop()
    bench.gateway().on_ask = lambda _number: shop.change(
        "1", state=OrderState.PAID, transaction_id=trade.transaction_id
    )
    rounds = await bench.once()
    assert rounds.context.tally.callback_won == 1
    assert noted(rounds) == {ALIPAY: 1}


async def test_an_order_that_was_refunded_or_closed_says_nothing_about_its_callback(bench: Bench) -> None:
    await found_waiting(bench, "1", "2")
    bench.shop().change("1", state=OrderState.REFUNDED)
    bench.shop().change("2", state=OrderState.CLOSED)
    await bench.clock.advance(600)
    assert noted(await bench.once()) == {}


async def test_an_order_whose_row_the_callback_moved_before_our_update_could_is_the_shops(bench: Bench) -> None:
    bench.order("1")
    trade = bench.pay("N1")
    shop = bench.shop()
    shop.before_settle = lambda _move: shop.change("1", state=OrderState.PAID, transaction_id=trade.transaction_id)
    rounds = await bench.once(bench.process(shop))
    assert rounds.context.tally.callback_won == 1
    assert noted(rounds) == {ALIPAY: 1}


async def test_an_order_that_we_moved_right_before_a_crash_is_not_the_shops(bench: Bench) -> None:
    await found_waiting(bench, "1")
    crashed = bench.process()
    assert await crashed.take_charge()
    (row,) = (await crashed.context.shop.read([OrderKey("1")])).values()
    assert isinstance(row, Order)
    why, paid_at = "paid", bench.clock.now()
    begun = Intention((row,), ALIPAY, "N1", "T-N1", CNY_99, paid_at, why, evidence(), None)
    await crashed.context.ledger.begin(begun, bench.clock.now())
    bench.shop().change("1", state=OrderState.PAID, transaction_id="T-N1")
    await crashed.context.shop.release()

    await bench.clock.advance(DAY_S)
    rounds = await bench.once()
    assert [watched.watch.ended_at is not None for watched in bench.shelf.contents.watches.values()] == [True]
    assert noted(rounds) == {}
