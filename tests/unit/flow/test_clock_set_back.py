"""A clock that was ahead, and is set back: nothing that was planned by it is forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from reconciler.events.orders import OrderSettled
from reconciler.events.trouble import ClockSetBack
from reconciler.flow.clock_set_back import ClockSteps
from reconciler.flow.find import Finder, FindPolicy
from reconciler.ports import Ledger, LedgerUnavailable
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import ALIPAY, NOON, Bench
from tests.unit.flow.test_brake import running

AHEAD = timedelta(days=2)


@pytest.fixture
def bench() -> Bench:
    return Bench(clock=ManualClock(NOON))


async def test_a_step_back_under_a_running_daemon_wakes_what_sleeps_too_long(bench: Bench) -> None:
    bench.order("1")
    async with running(bench):
        bench.clock.set_wall(NOON + AHEAD)
        bench.gateway().clock_off = -AHEAD
        await bench.pass_time(5)
        bench.order("2")  # by the wrong clock, too
        await bench.pass_time(30)
        bench.clock.set_wall(bench.clock.now() - AHEAD)
        bench.gateway().clock_off = timedelta(0)
        bench.shop().change("2", created_at=bench.clock.now() - timedelta(minutes=5))
        for number in ("N1", "N2"):
            bench.pay(number)
        await bench.pass_time(300)  # the channel was paused, and is probed now and then
    (said,) = bench.events.of(ClockSetBack)
    assert abs(said.by - AHEAD) < timedelta(seconds=1)
    assert {event.order_no for event in bench.events.of(OrderSettled)} == {"N1", "N2"}


async def test_a_step_back_while_nobody_runs_is_seen_by_what_was_written_last(bench: Bench) -> None:
    bench.order("1")
    bench.clock.set_wall(NOON + timedelta(hours=30))
    async with running(bench):
        await bench.pass_time(5)
    bench.clock.set_wall(NOON)
    bench.pay("N1")
    async with running(bench):
        await bench.pass_time(5)
    (said,) = bench.events.of(ClockSetBack)
    assert said.orders == 1
    assert len(bench.events.of(OrderSettled)) == 1


async def test_a_clock_that_is_kept_right_in_small_steps_wakes_nobody(bench: Bench) -> None:
    async with running(bench):
        for _ in range(5):
            bench.clock.set_wall(bench.clock.now() - timedelta(seconds=20))
            await bench.pass_time(5)
    assert not bench.events.of(ClockSetBack)


async def test_a_process_that_dies_right_after_finding_anew_has_said_and_done_it_before(bench: Bench) -> None:
    """The mark of the wrong time is the only trace there is: finding does not write over it before."""
    bench.order("1")
    bench.clock.set_wall(NOON + timedelta(hours=1))
    async with running(bench):
        await bench.pass_time(5)
    bench.clock.set_wall(NOON)
    rounds = bench.process()
    await rounds.context.ledger.lead("bench:2", bench.clock.now())
    for _ in range(2):
        await Finder(rounds.context, FindPolicy()).quick()  # and the look at the clock never comes
    (said,) = bench.events.of(ClockSetBack)
    assert abs(said.by - timedelta(hours=1)) < timedelta(seconds=10)
    due = await rounds.context.ledger.next_due(ALIPAY)
    assert due is not None
    assert due <= bench.clock.now()


async def test_a_step_back_is_noticed_by_who_looks_at_the_books_though_its_trace_is_gone(bench: Bench) -> None:
    steps, rounds = ClockSteps(), bench.process()
    await rounds.context.ledger.lead("bench:1", bench.clock.now())
    await steps.look_at_the_books(rounds.context)
    bench.clock.set_wall(NOON - AHEAD)
    await steps.look_at_the_books(rounds.context)
    assert len(bench.events.of(ClockSetBack)) == 1


class SlowLedger:
    """The bench's ledger, where everybody else has a turn within each call."""

    def __init__(self, ledger: object) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 # whatever the ledger has
        call = getattr(self._ledger, name)

        async def slowly(*args: Any) -> Any:  # noqa: ANN401 # the same
            await asyncio.sleep(0)
            result = await call(*args)
            await asyncio.sleep(0)
            return result

        return slowly


async def test_one_step_back_is_said_once_though_all_look_at_the_same_time(bench: Bench) -> None:
    rounds = bench.process()
    await rounds.context.ledger.lead("bench:1", bench.clock.now())
    rounds.context.ledger = cast("Ledger", SlowLedger(rounds.context.ledger))
    steps = ClockSteps()
    finder = Finder(rounds.context, FindPolicy(), steps)
    await steps.look_at_the_books(rounds.context)
    await finder.walk()
    bench.clock.set_wall(NOON - AHEAD)
    looks = [finder.quick(), *(steps.look(rounds.context) for _ in range(3)), finder.quick()]
    _, *saw, _ = await asyncio.gather(*looks)
    assert len(bench.events.of(ClockSetBack)) == 1
    assert saw == [False] * 3, "finding has dealt with it"


async def test_a_step_back_that_could_not_be_dealt_with_is_dealt_with_later(bench: Bench) -> None:
    steps, rounds = ClockSteps(), bench.process()
    await rounds.context.ledger.lead("bench:1", bench.clock.now())
    await steps.look(rounds.context)
    bench.clock.set_wall(NOON - AHEAD)
    bench.shelf.unavailable = "no space left on device"
    with pytest.raises(LedgerUnavailable):
        await steps.look(rounds.context)
    bench.shelf.unavailable = None
    assert await steps.look(rounds.context)
    assert len(bench.events.of(ClockSetBack)) == 1


async def test_a_leader_whose_clock_was_ahead_leaves_a_trace_before_it_plans_anything(bench: Bench) -> None:
    """Whoever leads next has another clock: by its own, what the first has put off is far off."""
    await bench.once()
    bench.order("1")
    bench.clock.set_wall(NOON + AHEAD)
    bench.gateway().clock_off = -AHEAD
    first = bench.process()
    assert await first.take_charge()
    await first.context.shop.release()  # it ends before it has found anything
    bench.clock.set_wall(NOON)
    bench.gateway().clock_off = timedelta(0)
    assert await bench.process().take_charge()
    assert len(bench.events.of(ClockSetBack)) == 1


async def test_a_clock_set_ahead_under_a_leader_leaves_a_trace_too(bench: Bench) -> None:
    async with running(bench):
        await bench.pass_time(5)
        bench.clock.set_wall(NOON + AHEAD)
        await bench.pass_time(5)  # and finding has not looked again
    bench.clock.set_wall(NOON)
    async with running(bench):
        await bench.pass_time(1)
    assert len(bench.events.of(ClockSetBack)) == 1
