"""Settling by the shop's own code, on doubles and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from reconciler.domain.answer import Refunded, Trade, Unavailable, Unpaid
from reconciler.domain.case import CaseKind
from reconciler.domain.order import Attempt, OrderKey, OrderState, Row
from reconciler.domain.policy import Policy
from reconciler.domain.trust import FRESH_WITHIN
from reconciler.events.orders import CaseEnded, OrderCallbackWon, OrderSettled, OrderWouldSettle, SettleRecovered
from reconciler.events.running import LeadLost, TurnFailed
from reconciler.events.settling import WebhookAvailable, WebhookUnavailable
from reconciler.events.trouble import ShopIsUnavailable
from reconciler.flow.deliveries import AT_ONCE_MAX, IN_HAND_MAX, Deliveries
from reconciler.flow.rounds import Rounds
from reconciler.ports import Accepted, Declined, Move, ShopUnavailable, Undelivered
from reconciler.testing.clock import ManualClock
from reconciler.testing.receiver import MemoryReceiver
from reconciler.testing.shop import MemoryShop
from tests.unit.flow.bench import ALIPAY, CNY_99, NOON, WECHAT, Bench

DOWN = Undelivered("it answers 503")


@pytest.fixture
def receiver(bench: Bench) -> MemoryReceiver:
    """Let the shop's own code settle."""
    bench.receiver = MemoryReceiver(bench.table)
    return bench.receiver


@contextlib.asynccontextmanager
async def running(bench: Bench, shop: MemoryShop | None = None) -> AsyncIterator[Rounds]:
    rounds = bench.process(shop)
    task = asyncio.create_task(rounds.run())
    try:
        yield rounds
    finally:
        rounds.stop()
        await bench.pass_time(5)
        await task
        await rounds.context.shop.release()


async def kinds(rounds: Rounds) -> list[tuple[str, CaseKind]]:
    return [(case.order_no, case.kind) for case in await rounds.context.ledger.cases()]


async def test_the_shops_own_code_is_told_once_and_the_row_proves_it(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.order("1")
    trade = bench.pay("N1")
    shop = bench.shop()
    rounds = await bench.once(bench.process(shop))
    (move,) = receiver.told
    assert (move.out_trade_no, move.transaction_id, move.amount) == ("N1", trade.transaction_id, CNY_99)
    assert not shop.moves, "we write nothing ourselves"
    (settled,) = bench.events.of(OrderSettled)
    assert (settled.order_no, settled.by) == ("N1", "webhook")
    assert rounds.context.tally.settled == 1
    story = await rounds.context.ledger.story("N1")
    assert [entry.entry.kind for entry in story.entries] == ["settle_begun", "settled"]
    assert story.watches[0].ended_at is not None
    await bench.once()
    assert len(receiver.told) == 1


async def test_observing_tells_nobody(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.enforcing = False
    bench.order("1")
    bench.pay("N1")
    await bench.once()
    assert not receiver.told
    assert len(bench.events.of(OrderWouldSettle)) == 1


async def test_a_yes_that_the_row_does_not_show_is_a_case_and_not_before_time_is_up(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1", minutes=6)
    bench.pay("N1")
    receiver.will("N1", Accepted(), moves=False)
    async with running(bench) as rounds:
        await bench.pass_time(29)
        assert await kinds(rounds) == []
        await bench.pass_time(6)
        assert await kinds(rounds) == [("N1", CaseKind.SETTLE_REFUSED)]
        (case,) = await rounds.context.ledger.cases()
        assert "said yes, and the row does not show it after 30 s" in case.why
        assert not await rounds.context.ledger.open_intentions()
        assert len(receiver.told) == 1


async def test_a_row_that_shows_it_late_but_in_time_is_settled(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", Accepted(), moves=False)
    async with running(bench) as rounds:
        await bench.pass_time(20)
        receiver.move(OrderKey("1"), receiver.told[0])
        await bench.pass_time(6)
        assert [event.by for event in bench.events.of(OrderSettled)] == ["webhook"]
        assert await kinds(rounds) == []


async def test_what_was_paid_and_shut_while_the_message_was_on_its_way_is_not_completed_again(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    """As the documented receivers do it: closed after a payment is not waiting."""
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    shop = bench.shop()
    receiver.on_tell = lambda move: shop.change(
        "1", state=OrderState.CLOSED, transaction_id=move.transaction_id, paid_at=move.paid_at
    )
    async with running(bench) as rounds:
        await bench.pass_time(60)
        assert not receiver.moved
        assert not bench.events.of(OrderSettled)
        assert not await rounds.context.ledger.open_intentions()
        assert await kinds(rounds) == [("N1", CaseKind.LATE_PAYMENT)], "a person looks at it"


async def test_a_refusal_is_a_case_with_its_words_tried_again_at_the_next_age_only(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1", minutes=6)
    bench.pay("N1")
    receiver.will("N1", Declined(409, "due CNY 98.00"), moves=False)
    async with running(bench) as rounds:
        await bench.pass_time(200)
        (case,) = await rounds.context.ledger.cases()
        assert case.kind is CaseKind.SETTLE_REFUSED
        assert "answers 409: due CNY 98.00" in case.why
        assert ("webhook", "paid", "answers 409") in [(fact.name, fact.theirs, fact.ours) for fact in case.facts]
        assert len(receiver.told) == 1, "not before the next age, ten minutes"

        receiver.will("N1", Accepted())
        await bench.pass_time(400)
        assert len(receiver.told) == 2
        assert await kinds(rounds) == []
        assert len(bench.events.of(CaseEnded)) == 1
        assert len(receiver.ids[OrderKey("1")]) == 1


async def test_what_cannot_be_delivered_is_told_again_with_back_off_after_asking_and_across_restarts(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", DOWN, moves=False)
    told_at: list[datetime] = []
    receiver.on_tell = lambda _move: told_at.append(bench.clock.now())
    async with running(bench):
        await bench.pass_time(100)
        before = len(told_at)
        assert 3 <= before <= 6
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(told_at)]
        assert gaps == sorted(gaps)
        assert gaps[-1] >= 4 * gaps[0] >= 20
        assert bench.gateway().asked["N1"] == before, "asked before each message"
    (line,) = bench.events.of(WebhookUnavailable)
    assert "503" in line.why
    assert not bench.events.of(SettleRecovered), "a try of this very process is not a recovery"

    (begun,) = bench.shelf.contents.intentions
    async with running(bench) as rounds:
        await bench.pass_time(5)
        assert len(told_at) == before + 1, "found open at start, asked and decided anew"
        await bench.pass_time(30)
        assert len(told_at) == before + 1, "and the back-off goes on where it was"
        receiver.will("N1", Accepted())
        await bench.pass_time(400)
        assert receiver.moved == {"1": 1}
        assert len(receiver.ids[OrderKey("1")]) == 1
        assert list(bench.shelf.contents.intentions) == [begun], "one intention, under one id"
        assert not await rounds.context.ledger.open_intentions()


async def test_the_shops_code_is_said_to_be_away_once_and_back_once(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.clock = ManualClock(NOON)
    for number in range(5):
        bench.order(str(number))
        bench.pay(f"N{number}")
        receiver.will(f"N{number}", DOWN, moves=False)
    async with running(bench):
        await bench.pass_time(60)
        for number in range(5):
            receiver.will(f"N{number}", Accepted())
        await bench.pass_time(300)
    assert len(bench.events.of(WebhookUnavailable)) == 1
    assert len(bench.events.of(WebhookAvailable)) == 1
    assert receiver.moved.total() == 5


async def test_a_lost_answer_about_a_row_that_moved_is_a_settlement(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", Undelivered("no whole answer within 10s"))
    rounds = await bench.once()
    assert len(bench.events.of(OrderSettled)) == 1
    assert not await rounds.context.ledger.open_intentions()


async def test_a_refusal_about_a_row_that_moved_is_a_settlement(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", Declined(409, "done before"))
    rounds = await bench.once()
    assert len(bench.events.of(OrderSettled)) == 1
    assert await kinds(rounds) == []


@pytest.mark.parametrize("other_attempt", [False, True])
async def test_a_row_that_moved_long_after_a_lost_answer_is_a_settlement_without_another_message(
    bench: Bench, receiver: MemoryReceiver, other_attempt: bool
) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    if other_attempt:
        second = Attempt(OrderKey("1"), "N1", ALIPAY, "N1-b", bench.clock.now() - timedelta(minutes=5))
        bench.shop().put_attempt("1", second)
        bench.gateway().will_answer("N1-b", Unpaid(Trade("N1-b")))
    receiver.will("N1", DOWN, moves=False)
    async with running(bench) as rounds:
        await bench.pass_time(3)
        (move,) = receiver.told
        receiver.move(OrderKey("1"), move)
        await bench.pass_time(60)
        assert len(receiver.told) == 1
        assert [event.by for event in bench.events.of(OrderSettled)] == ["webhook"]
        assert not bench.events.of(OrderCallbackWon)
        assert not await rounds.context.ledger.open_intentions()
        assert (await rounds.context.ledger.settled(NOON)).orders == 1


async def test_another_payment_found_after_a_lost_answer_is_not_passed_over(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", DOWN, moves=False)
    async with running(bench) as rounds:
        await bench.pass_time(3)
        bench.shop().change("1", state=OrderState.PAID, transaction_id="T-other")
        await bench.pass_time(60)
        assert await kinds(rounds) == [("N1", CaseKind.DUPLICATE_PAYMENT)]
        assert len(receiver.told) == 1
        assert not await rounds.context.ledger.open_intentions()


async def test_another_payment_that_wins_while_we_tell_is_a_second_payment(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.order("1")
    bench.pay("N1")
    receiver.on_tell = lambda _move: bench.shop().change("1", state=OrderState.PAID, transaction_id="T-other")
    rounds = await bench.once()
    assert await kinds(rounds) == [("N1", CaseKind.DUPLICATE_PAYMENT)]
    assert not bench.events.of(OrderSettled)


async def test_a_shop_without_a_transaction_column_is_settled_by_any_paid_row(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.policy = Policy(keeps_transaction_id=False)
    bench.order("1")
    bench.pay("N1")
    receiver.on_tell = lambda _move: bench.shop().change("1", state=OrderState.PAID)
    await bench.once()
    assert len(bench.events.of(OrderSettled)) == 1


def reading_twice(shop: MemoryShop, change: Mapping[str, object]) -> MemoryShop:
    """Let the row change after the decision: what carries the number is read again before the message."""
    holders, reads = shop.holders, [0]

    async def read(numbers: Sequence[str]) -> Mapping[str, tuple[Row, ...]]:
        reads[0] += 1
        if reads[0] == 2:
            shop.change("1", **change)  # type: ignore[arg-type] # whatever a test says
        return await holders(numbers)

    shop.holders = read  # type: ignore[method-assign, assignment] # planted
    return shop


async def test_the_callback_that_wins_before_the_message_spares_it(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.order("1")
    trade = bench.pay("N1")
    paid = {"state": OrderState.PAID, "transaction_id": trade.transaction_id}
    rounds = await bench.once(bench.process(reading_twice(bench.shop(), paid)))
    assert not receiver.told
    (won,) = bench.events.of(OrderCallbackWon)
    assert "our message" in won.why
    assert not await rounds.context.ledger.open_intentions()


async def test_an_amount_that_changed_before_the_message_is_a_case_and_nothing_is_told(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.order("1")
    bench.pay("N1")
    dearer = {"amount": replace(CNY_99, fen=9901)}
    rounds = await bench.once(bench.process(reading_twice(bench.shop(), dearer)))
    assert not receiver.told
    assert await kinds(rounds) == [("N1", CaseKind.AMOUNT_MISMATCH)]


async def test_a_number_that_got_a_second_row_before_the_message_is_ambiguous(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.order("1")
    bench.order("2", "other", minutes=1, state=OrderState.PAID)
    bench.pay("N1")
    shop = bench.shop()
    holders, reads = shop.holders, [0]

    async def read(numbers: Sequence[str]) -> Mapping[str, tuple[Row, ...]]:
        reads[0] += 1
        if reads[0] == 2:
            shop.change("2", out_trade_no="N1")
        return await holders(numbers)

    shop.holders = read  # type: ignore[method-assign, assignment] # planted
    rounds = await bench.once(bench.process(shop))
    assert not receiver.told
    assert await kinds(rounds) == [("N1", CaseKind.AMBIGUOUS_NUMBER)]


async def test_a_lock_that_is_lost_before_the_message_spares_it(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    shop = bench.shop()
    holds, stolen = shop.holds_lock, [False]

    async def lost() -> bool:
        if bench.gateway().asked and not stolen[0]:
            stolen[0] = True
            shop.table.holder = "somebody else"
        return await holds()

    shop.holds_lock = lost  # type: ignore[method-assign] # planted
    async with running(bench, shop) as rounds:
        await bench.pass_time(10)
        assert bench.events.of(LeadLost)
        assert not receiver.told
        bench.table.holder = None
        await bench.pass_time(30)
        assert receiver.moved == {"1": 1}
        assert not await rounds.context.ledger.open_intentions()


async def test_a_shop_that_goes_away_after_the_message_is_waited_for_and_nothing_is_told_twice(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    shop = bench.shop()
    receiver.on_tell = lambda _move: shop.fail("read", ShopUnavailable("gone away"), times=2)
    async with running(bench, shop) as rounds:
        await bench.pass_time(60)
        assert len(bench.events.of(ShopIsUnavailable)) == 1
        assert len(receiver.told) == 1
        assert not await rounds.context.ledger.open_intentions()
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_a_shop_that_was_away_does_not_cut_short_the_back_off_of_what_could_not_be_delivered(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", DOWN, moves=False)
    shop = bench.shop()
    async with running(bench, shop):
        await bench.pass_time(100)
        told = len(receiver.told)
        shop.fail("newest", ShopUnavailable("gone away"))
        await bench.pass_time(25)
        assert bench.events.of(ShopIsUnavailable)
        assert len(receiver.told) == told
        assert not bench.events.of(SettleRecovered), "it was known, and has not been recovered"
        await bench.pass_time(300)
        assert len(receiver.told) > told


async def test_a_slow_receiver_holds_up_neither_asking_nor_other_orders(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    bench.receiver = receiver = MemoryReceiver(bench.table, bench.clock, latency=timedelta(seconds=9))
    for number in range(20):
        bench.order(str(number))
        bench.pay(f"N{number}")
    async with running(bench) as rounds:
        await bench.pass_time(3)
        assert receiver.in_flight_max == AT_ONCE_MAX
        assert not rounds.context.applying.locked()
        bench.order("late", "LATE", minutes=1)
        bench.gateway().will_answer("LATE", Unpaid(Trade("LATE")))
        await bench.pass_time(16)
        assert bench.gateway().asked["LATE"] == 1, "asked while others are being told of"
        await bench.pass_time(30)
    assert receiver.moved.total() == 20
    assert receiver.in_flight_max == AT_ONCE_MAX
    assert receiver.in_flight_per_order_max == 1


async def test_no_message_rests_on_an_answer_that_has_grown_old(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    bench.receiver = receiver = MemoryReceiver(bench.table, bench.clock, latency=timedelta(seconds=25))
    asked_at: dict[str, datetime] = {}
    bench.gateway().on_ask = lambda number: asked_at.__setitem__(number, bench.clock.now())
    ages: list[timedelta] = []
    receiver.on_tell = lambda move: ages.append(bench.clock.now() - asked_at[move.out_trade_no])
    for number in range(IN_HAND_MAX + 30):
        bench.order(str(number))
        bench.pay(f"N{number}")
    async with running(bench) as rounds:
        await bench.pass_time(900)
        assert not await rounds.context.ledger.open_intentions()
    assert receiver.moved.total() == IN_HAND_MAX + 30
    assert set(receiver.moved.values()) == {1}
    assert timedelta(seconds=50) < max(ages) <= FRESH_WITHIN
    assert max(bench.gateway().asked.values()) < 12, "what must wait is not asked about all the time"


async def test_two_paid_attempts_are_one_message_and_one_case(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    bench.channels = (ALIPAY, WECHAT)
    bench.receiver = receiver = MemoryReceiver(bench.table, bench.clock, latency=timedelta(seconds=5))
    bench.order("1", "N1", channel=ALIPAY)
    second = Attempt(OrderKey("1"), "N1", WECHAT, "N1-wx", bench.clock.now() - timedelta(minutes=5))
    bench.shop().put_attempt("1", second)
    bench.pay("N1")
    bench.pay("N1-wx", WECHAT)
    async with running(bench) as rounds:
        await bench.pass_time(150)
        assert len(receiver.told) == 1
        assert receiver.moved == {"1": 1}
        assert await kinds(rounds) == [("N1", CaseKind.DUPLICATE_PAYMENT)]


async def test_confirmation_that_may_take_long_outlives_the_lease(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.clock = ManualClock(NOON)
    bench.confirm_within = timedelta(minutes=20)
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", Accepted(), moves=False)
    async with running(bench) as rounds:
        await bench.pass_time(600)
        assert len(receiver.told) == 1
        assert bench.gateway().asked["N1"] < 8
        receiver.move(OrderKey("1"), receiver.told[0])
        await bench.pass_time(10)
        assert len(bench.events.of(OrderSettled)) == 1
        (watch,) = (await rounds.context.ledger.story("N1")).watches
        assert watch.ended_at is not None


async def test_a_stop_waits_for_no_row_and_the_next_start_finds_what_became_of_it(
    bench: Bench, receiver: MemoryReceiver
) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", Accepted(), moves=False)
    async with running(bench):
        await bench.pass_time(5)
    assert len(bench.shelf.contents.intentions) == 1
    receiver.move(OrderKey("1"), receiver.told[0])
    async with running(bench) as rounds:
        await bench.pass_time(5)
        assert not await rounds.context.ledger.open_intentions()
    assert len(receiver.told) == 1
    (found,) = bench.events.of(SettleRecovered)
    assert found.outcome == "settled: found moved at start"


async def test_a_stop_lets_what_is_on_the_wire_come_to_its_end_and_waits_no_longer(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    bench.receiver = receiver = MemoryReceiver(bench.table, bench.clock, latency=timedelta(seconds=3))
    bench.order("1")
    bench.order("2")
    bench.pay("N1")
    bench.pay("N2")
    receiver.will("N2", Accepted(), moves=False)
    rounds = bench.process()
    task = asyncio.create_task(rounds.run())
    await bench.pass_time(1)
    assert len(receiver.told) == 2
    rounds.stop()
    await bench.pass_time(8)
    assert task.done()
    assert [event.order_no for event in bench.events.of(OrderSettled)] == ["N1"]
    (opened,) = await rounds.context.ledger.open_intentions()
    assert opened.order_no == "N2"


async def test_a_refund_that_comes_while_we_cannot_deliver_is_not_told(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    trade = bench.pay("N1")
    receiver.will("N1", DOWN, moves=False)
    async with running(bench) as rounds:
        await bench.pass_time(3)
        bench.gateway().will_answer("N1", Refunded(trade, in_full=True))
        receiver.will("N1", Accepted())
        await bench.pass_time(60)
        assert len(receiver.told) == 1
        assert await kinds(rounds) == [("N1", CaseKind.REFUNDED_WHILE_PENDING)]
        assert not await rounds.context.ledger.open_intentions()


async def test_a_gateway_that_is_away_lets_nothing_be_told_again(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    receiver.will("N1", DOWN, moves=False)
    async with running(bench) as rounds:
        await bench.pass_time(3)
        bench.gateway().will_answer("N1", Unavailable("connection refused"))
        await bench.pass_time(120)
        assert len(receiver.told) == 1
        assert len(await rounds.context.ledger.open_intentions()) == 1


async def test_asking_by_hand_waits_for_the_shops_own_code(bench: Bench, receiver: MemoryReceiver) -> None:
    bench.order("1")
    bench.pay("N1")
    rounds = bench.process()
    assert await rounds.take_charge(by_hand=True)
    (finding,) = await bench.inquiry(rounds).ask("N1", act=True)
    assert finding.outcome == "settled: moved forward by the shop's own code, told by us"
    assert len(receiver.told) == 1


async def test_a_fault_of_ours_in_a_delivery_holds_up_nobody_else(bench: Bench, receiver: MemoryReceiver) -> None:
    for number in range(3):
        bench.order(str(number))
        bench.pay(f"N{number}")

    def break_one(move: Move) -> None:
        if move.out_trade_no == "N1":
            raise ZeroDivisionError("planted")

    receiver.on_tell = break_one
    await bench.once()
    assert receiver.moved == {"0": 1, "2": 1}
    (failed,) = bench.events.of(TurnFailed)
    assert failed.order_nos == "N1"
    assert "planted" in failed.traceback


async def test_one_order_is_never_in_two_hands() -> None:
    hand = Deliveries()
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        await asyncio.Event().wait()

    hand.take(OrderKey("1"), CNY_99, work())
    with pytest.raises(RuntimeError, match="in hand"):
        hand.take(OrderKey("1"), CNY_99, work())
    await began.wait()
    await hand.drop()
    assert not hand.has(OrderKey("1"))
    assert not hand.amounts
