"""The replica that finding reads is away: finding waits alone, and says so once at each end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from reconciler.domain.order import OrderKey, OrderState
from reconciler.events.orders import OrderSettled
from reconciler.events.trouble import (
    LedgerIsAvailable,
    LedgerIsUnavailable,
    ReplicaIsAvailable,
    ReplicaIsUnavailable,
    ShopIsAvailable,
    ShopIsUnavailable,
)
from reconciler.flow.rounds import Rounds
from reconciler.ports import ReplicaUnavailable, ShopUnavailable
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import NOON, Bench

AWAY = ReplicaUnavailable("shop.read_url: nothing answers")
TROUBLE = "replica (new orders are not found meanwhile) unavailable since "


@asynccontextmanager
async def turning(bench: Bench, rounds: Rounds) -> AsyncIterator[None]:
    running = asyncio.create_task(rounds.run())
    yield
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_finding_waits_while_asking_and_settling_go_on(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    bench.order("1", minutes=0)
    shop = bench.shop()
    rounds = bench.process(shop)
    async with turning(bench, rounds):
        await bench.pass_time(1)
        shop.fail("newest", AWAY, times=1000)
        bench.order("2", minutes=0)
        bench.pay("N2")
        await bench.pass_time(20)
        bench.pay("N1")
        await bench.pass_time(100)
        (trouble,) = rounds.troubles()
        assert trouble.startswith(TROUBLE)
        assert trouble.endswith(": shop.read_url: nothing answers")
        assert bench.table.rows[OrderKey("1")].state is OrderState.PAID
        assert rounds.leading
        assert bench.clock.monotonic() - rounds.beat < 60
        assert bench.table.rows[OrderKey("2")].state is OrderState.PENDING
        assert not bench.events.of(ReplicaIsAvailable)
        shop._failures["newest"].clear()
        await bench.pass_time(60)
        assert rounds.troubles() == ()
    assert bench.table.rows[OrderKey("2")].state is OrderState.PAID
    assert [event.why for event in bench.events.of(ReplicaIsUnavailable)] == [str(AWAY)]
    (back,) = bench.events.of(ReplicaIsAvailable)
    assert 100 <= back.after.total_seconds() <= 150
    assert len(bench.events.of(OrderSettled)) == 2
    for never in (ShopIsUnavailable, ShopIsAvailable, LedgerIsUnavailable, LedgerIsAvailable):
        assert not bench.events.of(never)


async def test_it_is_tried_less_often_the_longer_it_lasts(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    shop = bench.shop()
    async with turning(bench, bench.process(shop)):
        shop.fail("newest", AWAY, times=1000)
        await bench.pass_time(300)
        tries = 1000 - len(shop._failures["newest"])
    assert 10 <= tries <= 20


async def test_a_primary_that_is_away_too_is_the_shop_away_and_each_end_is_said_once(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    shop = bench.shop()
    rounds = bench.process(shop)
    async with turning(bench, rounds):
        await bench.pass_time(1)
        shop.fail("newest", AWAY, times=1000)
        await bench.pass_time(60)
        shop.fail("read", ShopUnavailable("gone away"), times=5)
        await bench.pass_time(60)
        assert not shop._failures["read"]
        assert len(bench.events.of(ShopIsAvailable)) == 1
        assert len(bench.events.of(ShopIsUnavailable)) == 1
        (trouble,) = rounds.troubles()
        assert trouble.startswith(TROUBLE)
    assert len(bench.events.of(ReplicaIsUnavailable)) == 1
    assert not bench.events.of(ReplicaIsAvailable)


async def test_one_pass_asks_what_is_due_without_it_and_tells_that_nothing_was_looked_for(bench: Bench) -> None:
    bench.order("2")
    await bench.once()
    await bench.clock.advance(600)
    bench.pay("N2")
    shop = bench.shop()
    shop.fail("newest", AWAY)
    rounds = await bench.once(bench.process(shop))
    assert bench.table.rows[OrderKey("2")].state is OrderState.PAID
    assert [event.why for event in bench.events.of(ReplicaIsUnavailable)] == [str(AWAY)]
    (trouble,) = rounds.troubles()
    assert trouble.startswith(TROUBLE)


async def test_a_standby_has_no_trouble_with_a_shop_that_is_back(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    bench.table.holder = "another"
    shop = bench.shop()
    shop.fail("take_lock", ShopUnavailable("gone away"), times=2)
    rounds = bench.process(shop)
    async with turning(bench, rounds):
        await bench.pass_time(1)
        assert len(rounds.troubles()) == 1
        await bench.pass_time(30)
        assert rounds.troubles() == ()
    assert len(bench.events.of(ShopIsAvailable)) == 1
