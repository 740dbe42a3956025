"""Closing at the gateway, turn by turn: begun in the ledger, told to the gateway, noted, and asked about once more."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from reconciler.domain.answer import Closed, NotCreated, Paid, Throttled, Trade, Unavailable, Unpaid
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed
from reconciler.domain.order import Attempt, OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.events.orders import (
    CaseOpened,
    OrderClosed,
    OrderClosedAtGateway,
    OrderNotClosedAtGateway,
    OrderSettled,
)
from reconciler.events.running import Summary, TurnFailed
from reconciler.flow.rounds import Rounds
from reconciler.ports import LockLost, Overtaken, Watch
from reconciler.settings.model import Settings
from reconciler.testing.clock import ManualClock
from reconciler.testing.gateway import ScriptedGateway
from reconciler.testing.ledger import MemoryLedger
from reconciler.wiring import policy_of
from tests.unit.flow.bench import ALIPAY, NOON, WECHAT, Bench

PAST_LAST_AGE = 60 * 49
CLOSES = Policy(closes_at_gateway=True)


@pytest.fixture
def closing(bench: Bench) -> Bench:
    """Give one order that nobody paid by its last age, to be closed at the gateway."""
    bench.policy = CLOSES
    bench.order("1", minutes=PAST_LAST_AGE)
    bench.gateway().will_answer("N1", Unpaid(Trade("N1")))
    return bench


async def told(rounds: Rounds, number: str = "N1") -> list[str]:
    return [line.entry.kind for line in (await rounds.context.ledger.story(number)).entries]


async def watch_of(rounds: Rounds, number: str = "N1") -> Watch:
    (watch,) = (await rounds.context.ledger.story(number)).watches
    return watch


async def test_what_is_unpaid_at_its_last_age_is_closed_and_asked_about_once_more(closing: Bench) -> None:
    gateway = closing.gateway()
    gateway.on_close = lambda number: gateway.will_answer(number, Closed(Trade(number)))
    rounds = await closing.once()
    assert gateway.closed == ["N1"]
    assert await told(rounds) == ["trade_close_begun", "trade_close_ended"]
    watch = await watch_of(rounds)
    assert watch.ended_at is None
    assert timedelta(0) < watch.next_ask_at - closing.clock.now() <= timedelta(seconds=5.5)
    assert watch.why.endswith("closed at the gateway; asked once more")
    await closing.clock.advance(6)
    rounds = await closing.once()
    assert gateway.asked["N1"] == 2
    assert gateway.closed == ["N1"]
    watch = await watch_of(rounds)
    assert (watch.last_decision, watch.why) == ("stop", "closed at the gateway, unpaid")
    assert watch.ended_at is not None


async def test_a_closed_trade_is_one_line_and_counted(closing: Bench) -> None:
    rounds = await closing.once()
    await rounds.summarise()
    (line,) = closing.events.of(OrderClosedAtGateway)
    assert (line.order_no, line.channel, line.out_trade_no) == ("N1", ALIPAY, "N1")
    assert [summary.closed_at_gateway for summary in closing.events.of(Summary)] == [1]


async def test_the_ledger_knows_before_the_gateway_does(closing: Bench) -> None:
    seen: list[list[str]] = []
    contents = closing.shelf.contents
    closing.gateway().on_close = lambda _: seen.append([line.entry.kind for line in contents.entries])
    await closing.once()
    assert [kinds[-1] for kinds in seen] == ["trade_close_begun"]


@pytest.mark.parametrize("reply", [TradeClosed(), NoSuchTrade()])
async def test_what_is_still_unpaid_after_that_stops_and_is_never_closed_again(
    closing: Bench, reply: CloseReply
) -> None:
    closing.gateway().will_close("N1", reply)
    rounds = await closing.once()
    for _ in range(4):
        await closing.clock.advance(600)
        rounds = await closing.once()
    watch = await watch_of(rounds)
    assert closing.gateway().closed == ["N1"]
    assert closing.gateway().asked["N1"] == 2
    assert "still unpaid, although closing was tried" in watch.why
    assert await told(rounds) == ["trade_close_begun", "trade_close_ended", "watch_ended"]
    assert len(closing.events.of(OrderClosedAtGateway)) == isinstance(reply, TradeClosed)


async def test_what_the_gateway_would_not_close_is_asked_about_for_days_and_never_closed_again(closing: Bench) -> None:
    closing.gateway().will_close("N1", NotClosed("ACQ.TRADE_STATUS_ERROR"))
    rounds = await closing.once()
    for _ in range(6):
        await closing.clock.advance(600)
        rounds = await closing.once()
    asked_at_first = closing.gateway().asked["N1"]
    assert asked_at_first >= 2
    assert (await watch_of(rounds)).ended_at is None
    assert [event.why for event in closing.events.of(OrderNotClosedAtGateway)] == ["ACQ.TRADE_STATUS_ERROR"]
    for _ in range(8):
        await closing.clock.advance(24 * 3600)
        rounds = await closing.once()
    watch = await watch_of(rounds)
    assert watch.ended_at is not None
    assert "still unpaid, although closing was tried" in watch.why
    assert closing.gateway().asked["N1"] < asked_at_first + 8
    assert closing.gateway().closed == ["N1"]


async def test_a_watch_that_is_woken_after_its_trade_was_closed_closes_nothing(closing: Bench) -> None:
    rounds = await closing.once()
    await closing.clock.advance(6)
    await closing.once()
    rounds = closing.process()
    assert await rounds.take_charge(by_hand=True)
    (finding,) = await closing.inquiry(rounds).ask("N1", act=True)
    assert finding.decision == "stop"
    assert closing.gateway().closed == ["N1"]


async def test_an_outage_between_closing_and_asking_once_more_forgets_nothing(closing: Bench) -> None:
    rounds = await closing.once()
    closing.gateway().will_answer("N1", Unavailable("reset"), Unpaid(Trade("N1")))
    for _ in range(3):
        await closing.clock.advance(600)
        rounds = await closing.once()
    assert closing.gateway().closed == ["N1"]
    assert "still unpaid" in (await watch_of(rounds)).why
    assert not closing.events.of(CaseOpened)


@pytest.mark.parametrize("failure", [Unavailable("timed out"), Throttled()])
async def test_a_close_that_could_not_be_told_is_asked_again_with_back_off_and_then_told_again(
    closing: Bench, failure: Unavailable | Throttled
) -> None:
    gateway = closing.gateway()
    gateway.will_close("N1", *[failure] * 9, TradeClosed())
    waits: list[float] = []
    rounds = closing.process()
    for _ in range(10):
        rounds = await closing.once()
        wait = (await watch_of(rounds)).next_ask_at - closing.clock.now()
        waits.append(round(wait.total_seconds() / 1.1, -1))
        await closing.clock.advance(wait.total_seconds() - 1)
        await closing.once()
        assert gateway.asked["N1"] == len(waits), "not asked before its time"
        await closing.clock.advance(2)
    assert waits[:9] == sorted(waits[:9])
    assert max(waits) <= 300
    assert waits[8] > 250
    assert waits[9] < 10, "told: asked once more soon"
    assert len(gateway.closed) == 10
    assert await told(rounds) == ["trade_close_begun", "trade_close_ended"], "a try that came to nothing is no entry"


async def test_a_payment_that_was_under_way_is_settled_after_all(closing: Bench) -> None:
    closing.gateway().will_close("N1", NotClosed("ACQ.REASON_TRADE_STATUS_INVALID"))

    def pay(_number: str) -> None:
        closing.pay("N1")

    closing.gateway().on_close = pay
    await closing.once()
    await closing.clock.advance(6)
    await closing.once()
    assert len(closing.events.of(OrderSettled)) == 1
    assert closing.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_an_order_whose_trade_was_closed_is_closed_in_the_shop_where_that_is_wanted(closing: Bench) -> None:
    closing.policy = Policy(closes_at_gateway=True, closes_orders=True)
    closing.gateway().on_close = lambda number: closing.gateway().will_answer(number, Closed(Trade(number)))
    await closing.once()
    assert closing.table.rows[OrderKey("1")].state is OrderState.PENDING
    await closing.clock.advance(6)
    await closing.once()
    assert closing.table.rows[OrderKey("1")].state is OrderState.CLOSED
    assert len(closing.events.of(OrderClosed)) == 1


async def test_an_unpaid_second_attempt_of_a_paid_order_is_closed(bench: Bench) -> None:
    bench.policy = CLOSES
    bench.order("1", minutes=PAST_LAST_AGE, state=OrderState.PAID, transaction_id="T-N1")
    created_at = bench.clock.now() - timedelta(minutes=PAST_LAST_AGE)
    bench.shop().put_attempt("1", Attempt(OrderKey("1"), "N1", ALIPAY, "N1-2", created_at))
    bench.gateway().will_answer("N1-2", Unpaid(Trade("N1-2")))
    rounds = bench.process()
    assert await rounds.take_charge()
    bench.pay("N1")
    await bench.inquiry(rounds).ask("N1", act=True)
    assert bench.gateway().closed == ["N1-2"]


async def test_what_was_never_created_is_not_closed_and_the_ledger_says_why(closing: Bench) -> None:
    closing.gateway().will_answer("N1", NotCreated())
    rounds = await closing.once()
    assert closing.gateway().closed == []
    assert "a payment page still open could yet be paid" in (await watch_of(rounds)).why


async def test_before_its_last_age_nothing_is_closed(bench: Bench) -> None:
    bench.policy = CLOSES
    bench.order("1", minutes=60 * 47)
    bench.gateway().will_answer("N1", Unpaid(Trade("N1")))
    await bench.once()
    assert bench.gateway().asked["N1"] == 1
    assert bench.gateway().closed == []


async def test_asking_by_hand_closes_nothing_unless_told_to_act(closing: Bench) -> None:
    rounds = closing.process()
    assert await rounds.take_charge(by_hand=True)
    (finding,) = await closing.inquiry(rounds).ask("N1", act=False)
    assert (finding.decision, finding.acted) == ("close_trade", False)
    assert closing.gateway().closed == []
    assert "trade_close_begun" not in await told(rounds)
    assert (await watch_of(rounds)).failures == 0


async def test_a_number_that_another_order_carries_is_left_payable(closing: Bench) -> None:
    closing.order("2", "N1", minutes=1)
    rounds = await closing.once()
    assert closing.gateway().closed == []
    watches = (await rounds.context.ledger.story("N1")).watches
    first, _ = sorted(watches, key=lambda watch: watch.attempt.created_at)
    assert "2 orders carry the number" in first.why


async def test_orders_that_share_a_payment_have_its_trade_closed_once(closing: Bench) -> None:
    closing.shared_payment = True
    closing.policy = Policy(closes_at_gateway=True, shared_payment=True)
    closing.order("2", "N1", minutes=PAST_LAST_AGE)
    rounds = await closing.once()
    assert closing.gateway().closed == ["N1"]
    assert (await told(rounds)).count("trade_close_ended") == 2


async def test_a_row_that_is_gone_when_it_is_read_again_closes_nothing(closing: Bench) -> None:
    closing.gateway().on_ask = lambda _: closing.shop().remove("1")
    await closing.once()
    assert closing.gateway().closed == []


async def test_mode_observe_closes_nothing_whatever_the_policy_says(closing: Bench) -> None:
    closing.enforcing = False
    rounds = await closing.once()
    assert closing.gateway().closed == []
    assert await told(rounds) == []


async def test_a_leader_without_its_lock_closes_nothing(closing: Bench) -> None:
    shop = closing.shop()
    rounds = closing.process(shop)
    assert await rounds.take_charge()
    closing.gateway().on_ask = lambda _: shop.lose_lock()
    with pytest.raises(LockLost):
        await closing.inquiry(rounds).ask("N1", act=True)
    assert closing.gateway().closed == []


async def test_a_leader_that_was_overtaken_closes_nothing(closing: Bench) -> None:
    rounds = closing.process()
    assert await rounds.take_charge()
    holders = rounds.context.shop.holders

    async def overtaken(numbers: list[str]) -> object:
        await MemoryLedger(closing.shelf).lead("another", closing.clock.now())
        return await holders(numbers)

    rounds.context.shop.holders = overtaken  # type: ignore[method-assign, assignment] # planted: while we were paused
    with pytest.raises(Overtaken):
        await closing.inquiry(rounds).ask("N1", act=True)
    assert closing.gateway().closed == []


class HangingGateway(ScriptedGateway):
    """Answers, but hangs when it is to close a trade, until it is let go."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type] # passed on
        self.hangs, self.let_go = asyncio.Event(), asyncio.Event()

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        self.hangs.set()
        await self.let_go.wait()
        return await super().close_trade(out_trade_no)


async def test_a_gateway_that_hangs_while_closing_holds_up_no_other_channel(closing: Bench) -> None:
    closing.clock = ManualClock(NOON)
    closing.channels = (ALIPAY, WECHAT)
    closing.gateways[ALIPAY] = hanging = HangingGateway(ALIPAY, closing.clock)
    closing.gateways[WECHAT] = ScriptedGateway(WECHAT, closing.clock)
    hanging.will_answer("N1", Unpaid(Trade("N1")))
    rounds = closing.process()
    running = asyncio.create_task(rounds.run())
    await hanging.hangs.wait()
    closing.order("2", channel=WECHAT)
    closing.pay("N2", WECHAT)
    await closing.pass_time(60)
    assert len(closing.events.of(OrderSettled)) == 1
    assert hanging.closed == []
    assert not rounds.context.applying.locked()
    hanging.let_go.set()
    await closing.pass_time(1)
    assert hanging.closed == ["N1"]
    rounds.stop()
    await closing.pass_time(5)
    await running


@pytest.mark.parametrize(("mode", "closes"), [("enforce", True), ("observe", False)])
def test_the_configuration_closes_trades_in_mode_enforce_alone(mode: str, closes: bool) -> None:
    column = dict.fromkeys(("key", "order_no", "out_trade_no", "amount", "status", "created_at"), "id")
    states = {"pending": [0], "paid": [1], "closed": [9], "settled_as": 1}
    settings = Settings.model_validate(
        {
            "mode": mode,
            "shop": {"url": "sqlite:////srv/shop.db", "orders": {"table": "orders", **column, "states": states}},
            "channels": {"one": {"gateway": "scripted", "endpoint": "https://gateway.example"}},
            "settle": {"close_at_gateway": True},
        }
    )
    assert policy_of(settings, ()).closes_at_gateway is closes
    assert policy_of(settings.model_copy(update={"settle": type(settings.settle)()}), ()).closes_at_gateway is False


async def test_a_paid_answer_is_never_closed(closing: Bench) -> None:
    closing.policy = Policy(closes_at_gateway=True, review_after=timedelta(days=9))
    closing.gateway().will_answer("N1", Paid(closing.pay("N1")))
    await closing.once()
    assert closing.gateway().closed == []
    assert len(closing.events.of(OrderSettled)) == 1


async def test_a_fault_of_ours_while_closing_is_met_again_with_back_off(closing: Bench) -> None:
    def breaks(_number: str) -> None:
        raise ZeroDivisionError("planted")

    closing.gateway().on_close = breaks
    waits = []
    for _ in range(4):
        rounds = await closing.once()
        waits.append(((await watch_of(rounds)).next_ask_at - closing.clock.now()).total_seconds())
        await closing.clock.advance(waits[-1])
    assert [round(wait / waits[0]) for wait in waits] == [1, 2, 4, 8]
    assert len(closing.events.of(TurnFailed)) == 4
