"""The brake: turns, the hour, pause and resume, on doubles and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from reconciler.domain.money import Money
from reconciler.domain.order import OrderState
from reconciler.domain.policy import Policy
from reconciler.events.orders import OrderSettled
from reconciler.events.settling import (
    ChannelPausedByHand,
    ChannelResumedByHand,
    SettleBraked,
    SettlePaused,
    SettleQueued,
    SettleQueueOver,
    SettleResumed,
)
from reconciler.flow.brake import RESUMED_MARK, SETTLING_MARK, Limits
from reconciler.flow.rounds import Rounds
from reconciler.flow.switch import Switch
from reconciler.ports import Batch
from reconciler.testing.clock import ManualClock
from reconciler.testing.ledger import MemoryLedger
from reconciler.testing.receiver import MemoryReceiver
from tests.unit.flow.bench import ALIPAY, NOON, WECHAT, Bench


@contextlib.asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Rounds]:
    rounds = bench.process()
    task = asyncio.create_task(rounds.run())
    try:
        yield rounds
    finally:
        rounds.stop()
        await bench.pass_time(5)
        await task
        await rounds.context.shop.release()


def paid(bench: Bench) -> set[str]:
    return {key for key, row in bench.table.rows.items() if row.state is OrderState.PAID}


def fill(bench: Bench, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        bench.order(str(number))
        bench.pay(f"N{number}")


def switch(rounds: Rounds) -> Switch:
    return Switch(rounds.context, rounds.channels)


@pytest.fixture(params=["update", "webhook"])
def bench(request: pytest.FixtureRequest) -> Bench:
    made = Bench(clock=ManualClock(NOON))
    if request.param == "webhook":
        made.receiver = MemoryReceiver(made.table)
    return made


# ------------------------------------------------------------------------------------------------------------ the queue


async def test_two_thousand_payments_after_an_outage_are_settled_at_the_rate_and_none_is_lost(bench: Bench) -> None:
    orders = 2000 if bench.receiver is None else 500
    bench.limits = Limits(per_minute=120, per_hour=100_000, fen_per_hour=10**12)
    bench.policy = Policy(review_after=timedelta(days=1))
    fill(bench, orders)
    async with running(bench) as rounds:
        await bench.pass_time(30)
        assert 100 < len(paid(bench)) <= 120
        before = len(paid(bench))
        for _ in range(orders // 120 + 3):
            await bench.pass_time(60)
            assert len(paid(bench)) - before <= 120
            before = len(paid(bench))
        assert before == orders
        assert len(bench.events.of(OrderSettled)) == orders
        await bench.pass_time(70)
        assert (await rounds.context.ledger.counts(bench.clock.now())).open == 0
    (began,) = bench.events.of(SettleQueued)
    assert began.max_per_minute == 120
    (over,) = bench.events.of(SettleQueueOver)
    assert over.orders == orders - 120
    assert max(bench.gateway().asked.values()) <= 3, "who waits is not asked about meanwhile"


async def test_those_who_wait_are_settled_in_the_order_they_came(bench: Bench) -> None:
    bench.limits = Limits(per_minute=3)
    async with running(bench):
        for number in range(12):
            bench.order(str(number))
            bench.pay(f"N{number}")
            await bench.pass_time(16)
        await bench.pass_time(240)
    assert [event.order_no for event in bench.events.of(OrderSettled)] == [f"N{number}" for number in range(12)]


async def test_a_restart_does_not_forget_the_last_minute(bench: Bench) -> None:
    bench.limits = Limits(per_minute=5)
    fill(bench, 20)
    async with running(bench):
        await bench.pass_time(3)
        assert len(paid(bench)) == 5
    async with running(bench):
        await bench.pass_time(20)
        assert len(paid(bench)) == 5
        await bench.pass_time(300)
        assert len(paid(bench)) == 20


async def test_an_order_that_the_callback_moves_while_it_waits_is_done_with(bench: Bench) -> None:
    bench.limits = Limits(per_minute=1)
    fill(bench, 3)
    async with running(bench) as rounds:
        await bench.pass_time(3)
        for key in {"0", "1", "2"} - paid(bench):
            bench.shop().change(key, state=OrderState.PAID)
        await bench.pass_time(300)
        assert (await rounds.context.ledger.counts(bench.clock.now())).open == 0
    assert len(bench.events.of(OrderSettled)) == 1
    assert len(bench.events.of(SettleQueueOver)) == 1


# ------------------------------------------------------------------------------------------------------------- the hour


async def test_above_so_many_orders_an_hour_settling_stops_with_one_line_and_asking_goes_on(bench: Bench) -> None:
    bench.limits = Limits(per_hour=10)
    fill(bench, 25)
    async with running(bench):
        await bench.pass_time(30)
        assert len(paid(bench)) == 10
        (line,) = bench.events.of(SettleBraked)
        assert (line.settled, line.amount.fen, line.brake_per_hour) == (10, 10 * 9900, 10)
        asked = bench.gateway().asked.total()
        fill(bench, 1, first=100)
        await bench.pass_time(60)
        assert bench.gateway().asked.total() > asked
        assert len(paid(bench)) == 10
        await bench.pass_time(2 * 3600)
        assert len(paid(bench)) == 10, "an hour that has passed is no word of a person"
    assert len(bench.events.of(SettleBraked)) == 1


async def test_above_so_many_yuan_an_hour_settling_stops(bench: Bench) -> None:
    bench.limits = Limits(fen_per_hour=3 * 9900 + 9899)
    fill(bench, 5)
    async with running(bench):
        await bench.pass_time(30)
    assert len(paid(bench)) == 3
    (line,) = bench.events.of(SettleBraked)
    assert line.brake_yuan_per_hour.fen == 3 * 9900 + 9899


async def test_the_hour_slides(bench: Bench) -> None:
    bench.limits = Limits(per_hour=4)
    async with running(bench):
        fill(bench, 3)
        await bench.pass_time(1800)
        fill(bench, 1, first=10)
        await bench.pass_time(1830)
        assert len(paid(bench)) == 4
        fill(bench, 3, first=20)
        await bench.pass_time(60)
        assert len(paid(bench)) == 7, "the first three are older than an hour"
        assert not bench.events.of(SettleBraked)
        fill(bench, 1, first=30)
        await bench.pass_time(60)
        assert len(paid(bench)) == 7
        assert len(bench.events.of(SettleBraked)) == 1


async def test_the_brake_survives_a_restart_which_says_so_and_waits_for_a_person(bench: Bench) -> None:
    bench.limits = Limits(per_hour=5)
    fill(bench, 8)
    async with running(bench):
        await bench.pass_time(30)
    bench.events.clear()
    async with running(bench) as rounds:
        await bench.pass_time(3600)
        assert len(paid(bench)) == 5
        (line,) = bench.events.of(SettlePaused)
        assert line.by == "the brake"
        assert "5 orders of CNY 495.00 settled within the hour" in line.why
        asked = bench.gateway().asked.copy()

        (switched,) = await switch(rounds).resume("li (uid 1000)", settling=True, channels=[])
        assert (switched.what, switched.paused, switched.changed, switched.by) == ("settling", False, True, "the brake")
        await bench.pass_time(10)
        assert len(paid(bench)) == 8, "three more: the person's word begins the count anew"
        assert len(bench.events.of(SettleResumed)) == 1
        fresh = [number for number in bench.gateway().asked if bench.gateway().asked[number] > asked[number]]
        assert len(fresh) == 3, "what was kept is asked about again"
        written = [line.entry for line in bench.shelf.contents.entries if line.entry.kind.startswith("settling_")]
        assert [(entry.kind, entry.body["by"]) for entry in written] == [
            ("settling_paused", "the brake"),
            ("settling_resumed", "li (uid 1000)"),
        ]


async def test_after_a_resume_the_brake_stops_again_above_the_same_limit(bench: Bench) -> None:
    bench.limits = Limits(per_hour=5)
    fill(bench, 14)
    async with running(bench) as rounds:
        await bench.pass_time(30)
        await switch(rounds).resume("li", settling=True, channels=[])
        await bench.pass_time(30)
        assert 10 <= len(paid(bench)) <= 11, "and the order that it was said about"
        assert len(bench.events.of(SettleBraked)) == 2


async def test_a_single_payment_above_the_brake_passes_on_a_persons_word(bench: Bench) -> None:
    bench.limits = Limits(fen_per_hour=100)
    fill(bench, 1)
    async with running(bench) as rounds:
        await bench.pass_time(10)
        assert not paid(bench)
        assert len(bench.events.of(SettleBraked)) == 1
        await switch(rounds).resume("li", settling=True, channels=[])
        await bench.pass_time(10)
        assert paid(bench) == {"0"}


async def test_each_order_of_a_group_counts() -> None:
    bench = Bench(clock=ManualClock(NOON), shared_payment=True, policy=Policy(shared_payment=True))
    bench.limits = Limits(per_hour=3)
    for payment in ("SAME", "ALIKE"):
        for member in range(2):
            bench.order(f"{payment}{member}", payment)
        bench.pay(payment, amount=Money(2 * 9900))
    async with running(bench):
        await bench.pass_time(10)
    assert len(paid(bench)) == 2
    (line,) = bench.events.of(SettleBraked)
    assert (line.settled, line.amount.fen) == (2, 2 * 9900)


async def test_what_is_on_the_wire_counts() -> None:
    bench = Bench(clock=ManualClock(NOON))
    bench.receiver = receiver = MemoryReceiver(bench.table, bench.clock, latency=timedelta(seconds=9))
    bench.limits = Limits(per_hour=5)
    fill(bench, 20)
    async with running(bench):
        await bench.pass_time(60)
    assert len(receiver.told) == 5
    assert len(bench.events.of(SettleBraked)) == 1


# -------------------------------------------------------------------------------------------------------------- by hand


async def test_paused_settling_is_kept_asked_on_and_settled_after_resume(bench: Bench) -> None:
    async with running(bench) as rounds:
        await bench.pass_time(1)
        (switched,) = await switch(rounds).pause("li", settling=True, channels=[])
        assert (switched.paused, switched.changed, switched.why) == (True, True, "paused by hand")
        (again,) = await switch(rounds).pause("wang", settling=True, channels=[])
        assert (again.changed, again.by) == (False, "li")
        fill(bench, 3)
        await bench.pass_time(60)
        assert not paid(bench)
        (watch,) = (await rounds.context.ledger.story("N1")).watches
        assert watch.ended_at is None
        assert "settling is paused since" in watch.why
        await switch(rounds).resume("li", settling=True, channels=[])
        await bench.pass_time(10)
        assert len(paid(bench)) == 3
        (nothing,) = await switch(rounds).resume("li", settling=True, channels=[])
        assert (nothing.paused, nothing.changed) == (False, False)
    assert len(bench.events.of(SettlePaused)) == 1
    assert len(bench.events.of(SettleResumed)) == 1


async def test_an_order_kept_past_its_last_age_is_not_given_up(bench: Bench) -> None:
    bench.policy = Policy(review_after=timedelta(days=9))
    async with running(bench) as rounds:
        await bench.pass_time(1)
        await switch(rounds).pause("li", settling=True, channels=[])
        bench.order("1", minutes=60 * 24 * 3)
        bench.pay("N1")
        await bench.pass_time(60)
        (watch,) = (await rounds.context.ledger.story("N1")).watches
        assert watch.ended_at is None
        await switch(rounds).resume("li", settling=True, channels=[])
        await bench.pass_time(10)
        assert paid(bench) == {"1"}


async def test_a_message_that_waits_for_the_wire_is_not_sent_once_settling_is_paused() -> None:
    bench = Bench(clock=ManualClock(NOON))
    bench.receiver = receiver = MemoryReceiver(bench.table, bench.clock, latency=timedelta(seconds=9))
    fill(bench, 20)
    async with running(bench) as rounds:
        await bench.pass_time(3)
        assert len(receiver.told) == 8
        await switch(rounds).pause("li", settling=True, channels=[])
        await bench.pass_time(60)
        assert len(receiver.told) == 8, "what was on the wire came to its end, and that was all"
        await switch(rounds).resume("li", settling=True, channels=[])
        await bench.pass_time(60)
        assert receiver.moved.total() == 20
        assert not await rounds.context.ledger.open_intentions()


async def test_a_channel_paused_by_hand_is_not_even_probed_and_others_go_on(bench: Bench) -> None:
    bench.channels = (ALIPAY, WECHAT)
    async with running(bench) as rounds:
        await bench.pass_time(1)
        (switched,) = await switch(rounds).pause("li", settling=False, channels=[ALIPAY])
        assert switched.what == "channel alipay-main"
        bench.order("1", channel=ALIPAY)
        bench.pay("N1", ALIPAY)
        bench.order("2", channel=WECHAT)
        bench.pay("N2", WECHAT)
        await bench.pass_time(900)
        assert bench.gateway(ALIPAY).asked.total() == 0
        assert paid(bench) == {"2"}
    async with running(bench) as rounds:
        await bench.pass_time(30)
        assert bench.gateway(ALIPAY).asked.total() == 0
        await switch(rounds).resume("wang", settling=False, channels=[ALIPAY])
        await bench.pass_time(30)
        assert paid(bench) == {"1", "2"}
    assert [event.by for event in bench.events.of(ChannelPausedByHand)] == ["li", "li"], "when it is done, and at start"
    (resumed,) = bench.events.of(ChannelResumedByHand)
    assert (resumed.by, resumed.channel) == ("wang", ALIPAY)
    written = [line.entry for line in bench.shelf.contents.entries if line.entry.kind.startswith("channel_")]
    assert [(entry.kind, entry.channel, entry.body["by"]) for entry in written] == [
        ("channel_paused", ALIPAY, "li"),
        ("channel_resumed", ALIPAY, "wang"),
    ]


async def test_resuming_by_hand_leaves_alone_what_is_not_paused(bench: Bench) -> None:
    async with running(bench) as rounds:
        await bench.pass_time(1)
        switched = await switch(rounds).resume("li", settling=True, channels=[ALIPAY])
        assert [(each.changed, each.paused) for each in switched] == [(False, False)] * 2
    assert not [line for line in bench.shelf.contents.entries if line.entry.kind.startswith(("settling_", "channel_"))]


# ----------------------------------------------------------------------------------------------------- crash, and clock


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_around_the_brake_lets_no_order_more_through(bench: Bench, after: bool) -> None:
    bench.limits = Limits(per_hour=5)
    fill(bench, 8)
    rounds = bench.process()
    record = rounds.context.ledger.record

    async def crashes(batch: Batch, now: object) -> object:
        stops = any(mark.name == SETTLING_MARK for mark in batch.marks)
        if stops and not after:
            raise Crash
        outcome = await record(batch, now)  # type: ignore[arg-type] # passed on
        if stops:
            raise Crash
        return outcome

    rounds.context.ledger.record = crashes  # type: ignore[method-assign, assignment] # planted
    task = asyncio.create_task(rounds.run())
    await bench.pass_time(10)
    assert isinstance(task.exception(), Crash)
    bench.table.holder = None
    assert len(paid(bench)) == 5
    stopped = [line for line in bench.shelf.contents.entries if line.entry.kind == "settling_paused"]
    assert bool(bench.shelf.contents.marks.get(SETTLING_MARK)) is bool(stopped) is after, "both or neither"

    async with running(bench):
        await bench.pass_time(30)
        assert len(paid(bench)) == 5
    assert len(bench.events.of(SettlePaused if after else SettleBraked)) == 1
    assert json.loads(bench.shelf.contents.marks[SETTLING_MARK])["by"] == "the brake"


async def test_a_crash_in_the_middle_of_resuming_is_made_good_at_the_next_start(bench: Bench) -> None:
    bench.limits = Limits(per_hour=5)
    fill(bench, 8)
    async with running(bench) as rounds:
        await bench.pass_time(30)
        ledger = rounds.context.ledger

        async def crashes(_at: object) -> int:
            raise Crash

        ledger.wake_would_settle = crashes  # type: ignore[method-assign, assignment] # planted
        with pytest.raises(Crash):
            await switch(rounds).resume("li", settling=True, channels=[])
    assert bench.shelf.contents.marks[RESUMED_MARK]
    async with running(bench):
        await bench.pass_time(30)
        assert len(paid(bench)) == 8


async def test_a_clock_that_is_set_back_after_a_resume_does_not_blind_the_brake(bench: Bench) -> None:
    bench.limits = Limits(per_hour=5)
    fill(bench, 6)
    async with running(bench) as rounds:
        await bench.pass_time(30)
        await switch(rounds).resume("li", settling=True, channels=[])
        await bench.pass_time(30)
        assert len(paid(bench)) == 6
        bench.clock.set_wall(NOON - timedelta(hours=3))
        fill(bench, 9, first=50)
        await bench.pass_time(60)
        assert len(paid(bench)) == 6
        assert len(bench.events.of(SettleBraked)) == 2


async def test_the_lines_of_the_queue_come_anew_with_the_next_queue(bench: Bench) -> None:
    bench.limits = Limits(per_minute=2)
    async with running(bench):
        for _ in range(2):
            fill(bench, 5, first=len(bench.table.rows))
            await bench.pass_time(400)
    assert len(bench.events.of(SettleQueued)) == 2
    assert [event.orders for event in bench.events.of(SettleQueueOver)] == [3, 3]


async def test_a_second_ledger_counts_what_the_first_process_settled(bench: Bench) -> None:
    bench.limits = Limits(per_hour=5)
    fill(bench, 5)
    async with running(bench):
        await bench.pass_time(10)
    assert (await MemoryLedger(bench.shelf).settled(NOON)).orders == 5
    fill(bench, 1, first=10)
    async with running(bench):
        await bench.pass_time(30)
    assert len(paid(bench)) == 5
    assert len(bench.events.of(SettleBraked)) == 1
