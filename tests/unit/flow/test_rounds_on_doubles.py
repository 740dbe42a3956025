"""The flow, turn by turn, on doubles and in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from reconciler.domain.answer import Closed, Misconfigured, Paid, Trade, Unavailable, Unpaid, Untrusted
from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, Order, OrderKey, OrderState
from reconciler.domain.policy import LatePayment, Policy
from reconciler.events.orders import (
    CaseEnded,
    CaseOpened,
    OrderCallbackWon,
    OrderClosed,
    OrderSettled,
    OrderWouldSettle,
)
from reconciler.events.running import LeadLost, LeadTaken, TurnFailed
from reconciler.events.trouble import (
    ChannelPaused,
    ChannelResumed,
    ChannelUnconfigured,
    LedgerIsAvailable,
    LedgerIsUnavailable,
    ShopIsAvailable,
    ShopIsUnavailable,
)
from reconciler.flow.find import Finder, FindPolicy
from reconciler.flow.rounds import Rounds
from reconciler.ports import Found, Glimpse, LockLost, Overtaken, Page, Position, ShopUnavailable
from reconciler.testing.clock import ManualClock
from reconciler.testing.ledger import MemoryLedger
from tests.unit.flow.bench import ALIPAY, NOON, WECHAT, Bench


async def kinds(rounds: Rounds) -> list[tuple[str, CaseKind]]:
    return [(case.order_no, case.kind) for case in await rounds.context.ledger.cases()]


async def test_a_paid_order_is_settled_and_its_watch_ends(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    rounds = await bench.once()
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID
    (settled,) = bench.events.of(OrderSettled)
    assert settled.stuck_for == timedelta(minutes=4)
    assert (await rounds.context.ledger.counts(bench.clock.now())).open == 0


async def test_a_second_pass_asks_nothing_and_moves_nothing(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    bench.order("2")
    bench.gateway().will_answer("N2", Unpaid(Trade("N2")))
    await bench.once()
    asked = bench.gateway().asked.total()
    await bench.once()
    assert bench.gateway().asked.total() == asked
    assert len(bench.events.of(OrderSettled)) == 1


async def test_observing_writes_nothing_ends_no_watch_and_speaks_once(bench: Bench) -> None:
    bench.enforcing = False
    bench.order("1")
    bench.pay("N1")
    bench.order("2", state=OrderState.CLOSED)
    bench.gateway().will_answer("N2", Closed(Trade("N2")))
    rounds = await bench.once()
    await bench.clock.advance(600)
    rounds = await bench.once()
    assert bench.table.rows[OrderKey("1")].state is OrderState.PENDING
    assert bench.gateway().asked["N1"] == 2
    assert len(bench.events.of(OrderWouldSettle)) == 1
    assert (await rounds.context.ledger.counts(bench.clock.now())).open == 2

    bench.enforcing = True
    await bench.once()
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_the_callback_that_wins_between_reading_and_writing_is_named(bench: Bench) -> None:
    bench.order("1")
    trade = bench.pay("N1")
    shop = bench.shop()
    shop.before_settle = lambda _move: shop.change("1", state=OrderState.PAID, transaction_id=trade.transaction_id)
    rounds = await bench.once(bench.process(shop))
    assert not shop.moves
    assert not bench.events.of(OrderSettled)
    (won,) = bench.events.of(OrderCallbackWon)
    assert "between our reading and our update" in won.why
    assert (await rounds.context.ledger.counts(bench.clock.now())).open == 0
    assert not await rounds.context.ledger.open_intentions()


async def test_another_payment_that_wins_the_race_is_a_second_payment(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    shop = bench.shop()
    shop.before_settle = lambda _move: shop.change("1", state=OrderState.PAID, transaction_id="T-other")
    rounds = await bench.once(bench.process(shop))
    assert await kinds(rounds) == [("N1", CaseKind.DUPLICATE_PAYMENT)]


async def test_a_row_that_changed_under_us_is_a_refused_settlement(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    shop = bench.shop()
    shop.before_settle = lambda _move: shop.change("1", state=OrderState.CLOSED)
    bench.policy = Policy(late_payment=LatePayment.REVIVE)
    rounds = await bench.once(bench.process(shop))
    assert await kinds(rounds) == [("N1", CaseKind.SETTLE_REFUSED)]
    assert not shop.moves


async def test_an_unreadable_row_is_a_case_and_the_rest_go_on(bench: Bench) -> None:
    bench.order("1")
    bench.shop().change("1", amount=None)
    bench.order("2")
    bench.pay("N2")
    rounds = await bench.once()
    assert await kinds(rounds) == [("N1", CaseKind.UNREADABLE_ORDER)]
    assert bench.table.rows[OrderKey("2")].state is OrderState.PAID


async def test_an_order_that_breaks_us_cannot_block_the_rest(bench: Bench) -> None:
    for number in range(5):
        bench.order(str(number))
        bench.pay(f"N{number}")
    rounds = bench.process()
    judge = rounds.context.ledger.histories

    async def breaks(questions: object) -> object:
        if any(question.watch.attempt.out_trade_no == "N3" for question in questions):  # type: ignore[attr-defined] # questions
            raise ZeroDivisionError("planted")
        return await judge(questions)  # type: ignore[arg-type] # passed on

    rounds.context.ledger.histories = breaks  # type: ignore[method-assign, assignment] # planted
    await bench.once(rounds)
    paid = [key for key, row in bench.table.rows.items() if row.state is OrderState.PAID]
    assert sorted(paid) == ["0", "1", "2", "4"]
    (failed,) = bench.events.of(TurnFailed)
    assert failed.order_nos == "N3"
    assert "planted" in failed.traceback


async def test_an_order_that_breaks_us_fills_no_log_and_is_tried_at_once_by_who_leads_next(bench: Bench) -> None:
    def breaks(_number: str) -> None:
        raise ZeroDivisionError("planted")

    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    bench.gateway().on_ask = breaks
    running = asyncio.create_task((rounds := bench.process()).run())
    for _ in range(6 * 60):
        await bench.clock.advance(60)
    assert 12 <= len(bench.events.of(TurnFailed)) <= 22, "seldom, and often enough for its alert to stay on"
    rounds.stop()
    await bench.pass_time(5)
    await running
    await rounds.context.shop.release()
    bench.gateway().on_ask = None
    await bench.once()
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_one_payment_never_moves_two_orders(bench: Bench) -> None:
    bench.order("1", "SAME")
    bench.order("2", "SAME")
    bench.pay("SAME")
    rounds = await bench.once()
    assert {row.state for row in bench.table.rows.values()} == {OrderState.PENDING}
    assert {kind for _, kind in await kinds(rounds)} == {CaseKind.AMBIGUOUS_NUMBER}
    assert bench.gateway().asked["SAME"] == 1, "one ask serves both"


async def test_a_declared_group_settles_together(bench: Bench) -> None:
    bench.shared_payment = True
    bench.policy = Policy(shared_payment=True)
    bench.order("1", "SAME")
    bench.order("2", "SAME")
    bench.pay("SAME", amount=Money(2 * 9900))
    rounds = await bench.once()
    assert {row.state for row in bench.table.rows.values()} == {OrderState.PAID}
    assert await kinds(rounds) == []
    assert (await rounds.context.ledger.counts(bench.clock.now())).open == 0


async def test_two_attempts_paid_at_once_move_the_order_once_and_the_second_is_a_case(bench: Bench) -> None:
    bench.channels = (ALIPAY, WECHAT)
    bench.order("1", "N1", channel=ALIPAY)
    bench.shop().put_attempt(
        "1", Attempt(OrderKey("1"), "N1", WECHAT, "N1-wx", bench.clock.now() - timedelta(minutes=5))
    )
    bench.pay("N1")
    bench.pay("N1-wx", WECHAT)
    rounds = await bench.once()
    assert len(bench.events.of(OrderSettled)) == 1
    assert await kinds(rounds) == [("N1", CaseKind.DUPLICATE_PAYMENT)]


async def test_an_order_that_the_gateway_closed_is_closed_in_the_shop_where_that_is_wanted(bench: Bench) -> None:
    bench.policy = Policy(closes_orders=True)
    bench.order("1")
    bench.order("2")
    for number in ("N1", "N2"):
        bench.gateway().will_answer(number, Closed(Trade(number)))
    shop = bench.shop()
    close = shop.close_order

    async def paid_meanwhile(order: Order) -> object:
        if order.key == "2":
            shop.change("2", state=OrderState.PAID)
        return await close(order)

    shop.close_order = paid_meanwhile  # type: ignore[method-assign, assignment] # planted
    rounds = await bench.once(bench.process(shop))
    assert {key: row.state for key, row in bench.table.rows.items()} == {"1": OrderState.CLOSED, "2": OrderState.PAID}
    assert [event.order_no for event in bench.events.of(OrderClosed)] == ["N1"]
    told = [entry.entry for entry in (await rounds.context.ledger.story("N2")).entries]
    assert "closed" not in {entry.kind for entry in told}


async def test_a_case_ends_by_itself_when_the_order_is_settled(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1", amount=Money(1))
    rounds = await bench.once()
    assert await kinds(rounds) == [("N1", CaseKind.AMOUNT_MISMATCH)]
    bench.pay("N1")
    await bench.clock.advance(600)
    rounds = await bench.once()
    assert await kinds(rounds) == []
    assert bench.events.of(CaseEnded)


async def test_a_misconfigured_channel_is_paused_with_one_line_probed_and_resumed(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    for number in range(8):
        bench.order(str(number))
        bench.gateway().will_answer(f"N{number}", Misconfigured("401 SIGN_ERROR"))
    rounds = bench.process()
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(120)
    assert len(bench.events.of(ChannelPaused)) == 1
    asked = bench.gateway().asked.total()
    assert asked <= 8 + 3, "one batch, then probes"

    for number in range(8):
        bench.pay(f"N{number}")
    await bench.pass_time(600)
    assert len(bench.events.of(ChannelResumed)) == 1
    assert len(bench.events.of(OrderSettled)) == 8
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_answers_that_prove_nothing_about_many_orders_are_one_pause(bench: Bench) -> None:
    for number in range(8):
        bench.order(str(number))
        bench.gateway().will_answer(f"N{number}", Untrusted("the signature does not verify"))
    await bench.once()
    assert len(bench.events.of(ChannelPaused)) == 1
    assert not bench.events.of(CaseOpened)


async def test_an_unconfigured_channel_is_counted_and_named_once(bench: Bench) -> None:
    for number in range(3):
        bench.order(str(number), channel="paypal")
    await bench.once()
    (named,) = bench.events.of(ChannelUnconfigured)
    assert (named.shop_value, named.orders) == ("paypal", 3)


async def test_a_shop_that_is_away_is_waited_for_with_one_line_at_each_end(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    shop = bench.shop()
    bench.order("1")
    bench.pay("N1")
    shop.fail("newest", ShopUnavailable("gone away"), times=4)
    rounds = bench.process(shop)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(60)
    assert len(bench.events.of(ShopIsUnavailable)) == 1
    assert len(bench.events.of(ShopIsAvailable)) == 1
    assert len(bench.events.of(OrderSettled)) == 1
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_a_ledger_without_room_settles_nothing_until_there_is_some(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    shop = bench.shop()
    rounds = bench.process(shop)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(5)
    bench.order("1")
    bench.pay("N1")
    bench.shelf.unavailable = "disk full"
    await bench.pass_time(120)
    assert not shop.moves
    assert len(bench.events.of(LedgerIsUnavailable)) == 1
    bench.shelf.unavailable = None
    await bench.pass_time(120)
    assert len(shop.moves) == 1
    assert len(bench.events.of(LedgerIsAvailable)) == 1
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_a_leader_that_loses_the_lock_settles_nothing_until_it_has_it_again(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    shop = bench.shop()
    rounds = bench.process(shop)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(5)
    bench.table.holder = "somebody else"
    bench.order("1")
    bench.pay("N1")
    await bench.pass_time(60)
    assert len(bench.events.of(LeadLost)) == 1
    assert not shop.moves
    bench.table.holder = None
    await bench.pass_time(60)
    assert len(bench.events.of(LeadTaken)) == 2
    assert len(shop.moves) == 1
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_a_commit_whose_outcome_is_unknown_is_decided_anew_not_replayed(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    shop = bench.shop()
    bench.order("1")
    bench.pay("N1")
    torn = iter([LockLost("the connection broke in COMMIT")])

    def tear(_move: object) -> None:
        for error in torn:
            shop.lose_lock()
            raise error

    shop.after_commit = tear
    rounds = bench.process(shop)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(60)
    assert len(shop.moves) == 1
    assert not await rounds.context.ledger.open_intentions()
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_an_overtaken_leader_ends(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    rounds = bench.process()
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(5)
    await MemoryLedger(bench.shelf).lead("another", bench.clock.now())
    await bench.pass_time(60)
    assert isinstance(running.exception(), Overtaken)


async def test_who_loses_the_lock_and_had_been_overtaken_does_not_stand_by(bench: Bench) -> None:
    """What found that out was cancelled at that moment: a standby that cannot lead would only be found when needed."""

    class CutShort(MemoryLedger):
        async def free_leases(self, *, lives: bool = False) -> int:
            await MemoryLedger(bench.shelf).lead("another", bench.clock.now())
            with suppress(Overtaken):
                await super().free_leases(lives=lives)
            raise LockLost("gone")

    bench.clock = ManualClock(NOON)
    running = asyncio.create_task(bench.process(ledger=CutShort(bench.shelf)).run())
    await bench.pass_time(5)
    assert isinstance(running.exception(), Overtaken)


async def test_an_outage_uses_up_no_age(bench: Bench) -> None:
    bench.order("1", minutes=1)
    bench.gateway().will_answer("N1", Unavailable("connection refused"))
    rounds = await bench.once()
    for _ in range(5):
        await bench.clock.advance(600)
        rounds = await bench.once()
    (watch,) = (await rounds.context.ledger.story("N1")).watches
    assert watch.last_answered_at is None
    trade = bench.pay("N1")
    await bench.clock.advance(600)
    await bench.once()
    assert bench.table.rows[OrderKey("1")].transaction_id == trade.transaction_id


async def test_an_order_first_seen_past_its_last_age_is_asked_once(bench: Bench) -> None:
    bench.order("1", minutes=60 * 24 * 4)
    bench.gateway().will_answer("N1", Unpaid(Trade("N1")))
    await bench.once()
    await bench.clock.advance(3600)
    await bench.once()
    assert bench.gateway().asked["N1"] == 1


async def test_asking_by_hand_acts_only_when_told_to(bench: Bench) -> None:
    bench.order("1", minutes=0.1)
    bench.gateway().will_answer("N1", Paid(replace(bench.pay("N1"), paid_at=bench.clock.now())))
    bench.policy = Policy(grace=timedelta(0))
    rounds = bench.process()
    assert await rounds.take_charge()
    (finding,) = await bench.inquiry(rounds).ask("N1", act=False)
    assert (finding.answer, finding.decision, finding.acted) == ("Paid", "settle", False)
    assert all(fact.agrees for fact in finding.facts)
    assert bench.table.rows[OrderKey("1")].state is OrderState.PENDING
    (finding,) = await bench.inquiry(rounds).ask("N1", act=True)
    assert finding.acted
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID
    assert await bench.inquiry(rounds).ask("nobody", act=True) == ()


async def test_two_payments_of_a_paid_order_that_keeps_no_transaction_are_told_apart_in_one_batch(bench: Bench) -> None:
    bench.policy = Policy(keeps_transaction_id=False)
    bench.order("1", "N1", state=OrderState.PENDING)
    bench.shop().put_attempt(
        "1", Attempt(OrderKey("1"), "N1", ALIPAY, "N1-2", bench.clock.now() - timedelta(minutes=5))
    )
    bench.pay("N1")
    bench.pay("N1-2")
    shop = bench.shop()
    bench.gateway().on_ask = lambda _number: shop.change("1", state=OrderState.PAID)
    rounds = await bench.once(bench.process(shop))
    assert await kinds(rounds) == [("N1", CaseKind.DUPLICATE_PAYMENT)]


async def test_a_settlement_leaves_questions_about_other_money_open(bench: Bench) -> None:
    bench.order("1", "N1")
    bench.shop().put_attempt(
        "1", Attempt(OrderKey("1"), "N1", ALIPAY, "N1-2", bench.clock.now() - timedelta(minutes=5))
    )
    bench.pay("N1", amount=Money(1))
    await bench.once()
    await bench.clock.advance(600)
    bench.pay("N1-2")
    rounds = await bench.once()
    assert bench.table.rows[OrderKey("1")].transaction_id == "T-N1-2"
    assert ("N1", CaseKind.AMOUNT_MISMATCH) in await kinds(rounds)


async def test_an_answer_that_grew_old_before_it_was_decided_moves_nothing(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1")
    bench.pay("N1")
    shop = bench.shop()
    rounds = bench.process(shop)
    assert await rounds.take_charge()
    holders = shop.holders

    async def held_up(numbers: list[str]) -> object:
        await bench.clock.advance(3600)
        return await holders(numbers)

    shop.holders = held_up  # type: ignore[method-assign, assignment] # planted: the process was paused here
    (finding,) = await bench.inquiry(rounds).ask("N1", act=True)
    assert finding.decision == "ask_again"
    assert "grown old" in finding.why
    assert not shop.moves


async def test_an_order_that_we_settled_and_that_waits_again_goes_to_a_person(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    await bench.once()
    bench.shop().change("1", state=OrderState.PENDING, transaction_id=None)
    await bench.clock.advance(60)
    rounds = await bench.once()
    assert await kinds(rounds) == [("N1", CaseKind.NEEDS_REVIEW)]
    assert len(bench.events.of(OrderSettled)) == 1
    assert bench.table.rows[OrderKey("1")].state is OrderState.PENDING


async def test_a_declared_group_that_we_settled_was_not_won_by_a_callback(bench: Bench) -> None:
    bench.shared_payment = True
    bench.policy = Policy(shared_payment=True)
    bench.order("1", "SAME")
    bench.order("2", "SAME")
    bench.pay("SAME", amount=Money(2 * 9900))
    rounds = await bench.once()
    assert len(bench.events.of(OrderSettled)) == 2
    assert not bench.events.of(OrderCallbackWon)
    assert rounds.context.tally.callback_won == 0


async def test_an_order_with_an_attempt_that_nobody_watches_is_not_closed(bench: Bench) -> None:
    bench.policy = Policy(closes_orders=True)
    bench.order("1")
    bench.gateway().will_answer("N1", Closed(Trade("N1")))
    shop = bench.shop()
    look_up = shop.look_up

    async def with_a_stranger(number: str) -> tuple[Found, ...]:
        return tuple(replace(found, strangers=("paypal",)) for found in await look_up(number))

    shop.look_up = with_a_stranger  # type: ignore[method-assign] # planted
    rounds = await bench.once(bench.process(shop))
    assert bench.table.rows[OrderKey("1")].state is OrderState.PENDING
    (watch,) = (await rounds.context.ledger.story("N1")).watches
    assert "paypal" in watch.why


async def test_an_attempt_that_cannot_be_read_is_a_case_beside_those_that_can(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1", amount=Money(1))
    shop = bench.shop()
    candidates = shop.candidates

    async def one_unreadable(after: Position, limit: int, known: Collection[Glimpse] = ()) -> Page:
        page = await candidates(after, limit, known)
        return replace(page, found=tuple(replace(found, unreadable=("no: NULL",)) for found in page.found))

    shop.candidates = one_unreadable  # type: ignore[method-assign] # planted
    rounds = await bench.once(bench.process(shop))
    assert sorted(kind.value for _, kind in await kinds(rounds)) == ["amount_mismatch", "unreadable_order"]


async def test_a_case_ends_when_the_shop_has_the_payment_by_whoevers_hand(bench: Bench) -> None:
    bench.order("1")
    trade = bench.pay("N1", amount=Money(1))
    rounds = await bench.once()
    assert await kinds(rounds) == [("N1", CaseKind.AMOUNT_MISMATCH)]
    bench.shop().change("1", state=OrderState.PAID, transaction_id=trade.transaction_id)
    await bench.clock.advance(600)
    rounds = await bench.once()
    assert await kinds(rounds) == []


async def test_asking_by_hand_what_nobody_can_answer_changes_nothing(bench: Bench) -> None:
    bench.order("1", minutes=60 * 24 * 3)
    bench.pay("N1")
    bench.policy = Policy(review_after=timedelta(days=9))
    await bench.once()
    (before,) = (await MemoryLedger(bench.shelf).story("N1")).watches
    bench.gateway().will_answer("N1", Unavailable("connection refused"))
    await bench.clock.advance(60)
    rounds = bench.process()
    assert await rounds.take_charge(by_hand=True)
    (finding,) = await bench.inquiry(rounds).ask("N1", act=True)
    assert (finding.answer, finding.acted, finding.outcome) == ("Unavailable", False, "")
    (after,) = (await rounds.context.ledger.story("N1")).watches
    assert before.ended_at is not None
    assert (after.ended_at, after.why) == (before.ended_at, before.why)
    assert len(after.asks) == len(before.asks) + 1
    assert await kinds(rounds) == []


async def test_a_case_that_knows_of_the_payment_is_not_talked_down_by_the_next_walk(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    shop = bench.shop()
    bench.gateway().on_ask = lambda _number: shop.change("1", amount=None)
    await bench.once()
    bench.gateway().on_ask = None
    await bench.clock.advance(60)
    rounds = await bench.once()
    (case,) = await rounds.context.ledger.cases()
    assert case.kind is CaseKind.UNREADABLE_ORDER
    assert case.why.startswith("paid, and the order cannot be read")


async def test_who_takes_the_lead_again_counts_what_another_was_broken_by(bench: Bench) -> None:
    rounds = bench.process()
    assert await rounds.take_charge()
    other = MemoryLedger(bench.shelf)
    await other.lead("another", bench.clock.now())
    bench.order("1")
    await Finder(replace(rounds.context, ledger=other), FindPolicy()).walk()
    assert await other.lease(ALIPAY, bench.clock.now(), bench.clock.now() + timedelta(minutes=1), 9)
    assert await rounds.take_charge()
    (watch,) = bench.shelf.contents.watches.values()
    assert watch.interruptions == 1
