"""A shop whose rows we may not write: said once with the remedy, quiet for as long as it lasts, and over by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from reconciler.domain.answer import Closed, Trade
from reconciler.domain.order import OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.events.orders import CaseOpened, OrderClosed, OrderRowBusy, OrderSettled, SettleRecovered
from reconciler.events.running import LeadLost, LeadTaken
from reconciler.events.settling import SettleBlocked, SettleUnblocked
from reconciler.events.trouble import ShopIsAvailable, ShopIsUnavailable
from reconciler.flow.brake import Limits
from reconciler.flow.rounds import Rounds
from reconciler.ports import LockLost, ShopReadOnly
from reconciler.testing.clock import ManualClock
from reconciler.testing.receiver import MemoryReceiver
from tests.unit.flow.bench import NOON, Bench

NO_RIGHT = "db:3306 does not let us do that; run there: GRANT UPDATE (status) ON orders TO us;"
HOUR = 3600
ORDERS = 20


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


def stuck(bench: Bench, count: int = ORDERS) -> None:
    for key in range(count):
        bench.order(str(key))
        bench.pay(f"N{key}")


def paid(bench: Bench) -> int:
    return sum(row.state is OrderState.PAID for row in bench.table.rows.values())


def said_nothing_else(bench: Bench) -> None:
    for never in (ShopIsUnavailable, ShopIsAvailable, SettleRecovered, OrderRowBusy, CaseOpened, LeadLost):
        assert not bench.events.of(never), never


async def test_a_missing_right_is_said_at_start_before_any_order_is_to_be_settled(bench: Bench) -> None:
    bench.table.obstacle = NO_RIGHT
    async with turning(bench) as rounds:
        assert [event.why for event in bench.events.of(SettleBlocked)] == [NO_RIGHT]
        (trouble,) = rounds.troubles()
        assert trouble.endswith(f"nothing can be written: {NO_RIGHT}")
    said_nothing_else(bench)


async def test_a_right_that_was_given_is_found_out_without_an_order_to_settle(bench: Bench) -> None:
    bench.table.obstacle = NO_RIGHT
    async with turning(bench) as rounds:
        bench.table.obstacle = ""
        await bench.pass_time(8)
        assert rounds.troubles() == ()
    assert len(bench.events.of(SettleUnblocked)) == 1


async def test_a_day_without_the_right_is_one_line_and_no_entry_and_then_all_is_settled(bench: Bench) -> None:
    stuck(bench)
    bench.table.obstacle = NO_RIGHT
    async with turning(bench):
        await bench.pass_time(60)
        before = bench.gateway().asked.total()
        entries = len(bench.shelf.contents.entries)
        await bench.pass_time(6 * HOUR)
        assert len(bench.events.of(SettleBlocked)) == 1
        assert not bench.shelf.contents.intentions
        assert len(bench.shelf.contents.entries) == entries
        asks = (bench.gateway().asked.total() - before) / ORDERS
        assert 6 * HOUR / 325 <= asks <= 6 * HOUR / 280, "asking goes on, each order every five minutes"
        bench.table.obstacle = ""
        await bench.pass_time(303)
        assert paid(bench) == ORDERS, "who waited is woken"
    (end,) = bench.events.of(SettleUnblocked)
    assert end.after >= timedelta(hours=6)
    assert len(bench.events.of(OrderSettled)) == ORDERS
    said_nothing_else(bench)


async def test_a_right_that_is_taken_away_meanwhile_is_found_out_by_one_order(bench: Bench) -> None:
    async with turning(bench) as rounds:
        stuck(bench)
        bench.table.obstacle = NO_RIGHT
        await bench.pass_time(HOUR)
        assert len(bench.events.of(SettleBlocked)) == 1
        assert len(bench.shelf.contents.intentions) == 1
        assert not await rounds.context.ledger.open_intentions()
        bench.table.obstacle = ""
        await bench.pass_time(330)
        assert paid(bench) == ORDERS
    said_nothing_else(bench)


async def test_what_only_writing_shows_is_tried_with_one_order_at_a_time_and_said_once(bench: Bench) -> None:
    """A right that a trigger needs: the shop itself says that all is well."""
    shop = bench.shop()
    shop.fail("settle", ShopReadOnly("the trigger may not"), times=100)
    stuck(bench)
    async with turning(bench, bench.process(shop)) as rounds:
        await bench.pass_time(HOUR)
        assert [event.why for event in bench.events.of(SettleBlocked)] == ["the trigger may not"]
        assert not bench.events.of(SettleUnblocked)
        assert 5 <= len(bench.shelf.contents.intentions) <= 16
        assert not await rounds.context.ledger.open_intentions()
        shop._failures.clear()  # the double's own handle only adds
        await bench.pass_time(330)
        assert paid(bench) == ORDERS
    assert len(bench.events.of(SettleUnblocked)) == 1
    said_nothing_else(bench)


async def test_a_remedy_that_was_half_of_it_is_answered_with_the_other_half(bench: Bench) -> None:
    bench.table.obstacle = NO_RIGHT
    async with turning(bench):
        bench.table.obstacle = "no right to paid_at"
        await bench.pass_time(HOUR)
        bench.table.obstacle = NO_RIGHT
        await bench.pass_time(HOUR)
    assert [event.why for event in bench.events.of(SettleBlocked)] == [NO_RIGHT, "no right to paid_at"]


async def test_a_right_that_only_a_new_session_has_takes_the_lead_anew(bench: Bench) -> None:
    stuck(bench, 1)
    bench.table.obstacle = NO_RIGHT
    shop = bench.shop()
    async with turning(bench, bench.process(shop)):
        shop.fail("obstacle", LockLost("the lock is taken anew"))
        bench.table.obstacle = ""
        await bench.pass_time(60)
        assert paid(bench) == 1
    assert len(bench.events.of(LeadTaken)) == 2
    assert len(bench.events.of(SettleUnblocked)) == 1


async def test_a_process_that_has_lost_the_lead_has_no_such_trouble_any_more(bench: Bench) -> None:
    bench.table.obstacle = NO_RIGHT
    async with turning(bench) as rounds:
        bench.table.holder = object()
        await bench.pass_time(10)
        assert rounds.troubles() == ()
        bench.table.holder = None
        await bench.pass_time(10)
        assert len(rounds.troubles()) == 1


@pytest.mark.parametrize("by", ["observe", "webhook"])
async def test_who_writes_nothing_needs_no_right(bench: Bench, by: str) -> None:
    bench.table.obstacle = NO_RIGHT
    if by == "observe":
        bench.enforcing = False
    else:
        bench.receiver = MemoryReceiver(bench.table)
    async with turning(bench) as rounds:
        await bench.pass_time(60)
        assert rounds.troubles() == ()
    assert not bench.events.of(SettleBlocked)


async def test_an_order_to_be_closed_waits_for_the_right_too(bench: Bench) -> None:
    bench.policy = Policy(closes_orders=True)
    async with turning(bench):
        bench.order("1")
        bench.gateway().will_answer("N1", Closed(Trade("N1")))
        bench.table.obstacle = NO_RIGHT
        await bench.pass_time(HOUR)
        assert bench.table.rows[OrderKey("1")].state is OrderState.PENDING
        bench.table.obstacle = ""
        await bench.pass_time(330)
        assert bench.table.rows[OrderKey("1")].state is OrderState.CLOSED
    assert len(bench.events.of(SettleBlocked)) == 1
    assert len(bench.events.of(OrderClosed)) == 1
    said_nothing_else(bench)


async def test_one_pass_without_the_right_says_that_not_all_was_done(bench: Bench) -> None:
    bench.clock = Bench().clock
    stuck(bench, 3)
    bench.table.obstacle = NO_RIGHT
    rounds = await bench.once()
    assert rounds.context.tally.not_applied == 3
    assert len(rounds.troubles()) == 1
    assert not bench.shelf.contents.intentions
