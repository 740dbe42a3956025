"""The quick selector: each row once, late ones all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta

import pytest

from reconciler.domain.order import ChannelName, OrderKey, OrderState
from reconciler.events.trouble import ChannelUnconfigured, ReplicaIsAvailable, ReplicaIsUnavailable
from reconciler.flow.channel import Channel
from reconciler.flow.find import LOOKS_A_ROUND, PAGE_ROWS, Finder, FindPolicy
from reconciler.pace import Pace
from reconciler.ports import Glimpse, Page, Position, ReplicaUnavailable, ShopUnavailable
from reconciler.testing.clock import ManualClock
from reconciler.testing.gateway import ScriptedGateway
from reconciler.testing.shop import Facts, MemoryShop
from tests.unit.flow.bench import ALIPAY, NOON, WECHAT, Bench

EVERY_S = 15


class Watching(MemoryShop):
    """A shop that counts how often each of its rows was met."""

    met: dict[str, int]

    async def candidates(self, after: Position, limit: int, known: Collection[Glimpse] = ()) -> Page:
        page = await super().candidates(after, limit, known)
        for found in page.found:
            self.met[found.row.key] = self.met.get(found.row.key, 0) + 1
        return page


class Looks:
    """A finder that has walked once, and looks as time passes."""

    def __init__(self, bench: Bench, policy: FindPolicy) -> None:
        self.bench = bench
        self.shop = Watching(channels={name: (name,) for name in bench.channels}, table=bench.table)
        self.shop.met = {}
        self.finder = Finder(bench.process(self.shop).context, policy)
        self.ledger = self.finder._context.ledger

    async def begin(self) -> None:
        await self.ledger.lead("bench:1", self.bench.clock.now())
        await self.finder.walk()

    async def look(self) -> int:
        found = await self.finder.quick()
        await self.bench.clock.advance(EVERY_S)
        return found


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.clock = ManualClock(NOON)
    return bench


async def test_a_row_that_became_a_watch_is_read_once(bench: Bench) -> None:
    looks = Looks(bench, FindPolicy())
    await looks.begin()
    for _ in range(20):
        bench.order(str(len(bench.table.rows)))
        assert [await looks.look() for _ in range(3)] == [1, 0, 0]
    assert set(looks.shop.met.values()) == {1}
    assert len(looks.finder._known) + len(looks.finder._known_before) <= 10, "older ones are forgotten"


@pytest.mark.parametrize("change", [{"out_trade_no": "N2"}, {"channel": WECHAT}])
async def test_a_row_whose_buyer_tries_another_way_is_read_again(bench: Bench, change: Facts) -> None:
    bench.channels = (ALIPAY, WECHAT)
    looks = Looks(bench, FindPolicy())
    await looks.begin()
    bench.order("1")
    assert await looks.look() == 1
    looks.shop.change("1", **change)
    assert sum([await looks.look() for _ in range(LOOKS_A_ROUND)]) == 1


async def test_a_row_that_cannot_be_read_is_read_again(bench: Bench) -> None:
    looks = Looks(bench, FindPolicy())
    await looks.begin()
    bench.order("1")
    looks.shop.change("1", amount=None)
    assert sum([await looks.look() for _ in range(LOOKS_A_ROUND + 1)]) == 1, "it is asked about, whatever its amount"
    assert looks.shop.met["1"] == 2


@pytest.mark.parametrize("overlap", [timedelta(minutes=2), timedelta(hours=1), timedelta(seconds=10)])
async def test_a_row_that_is_committed_late_is_met_within_a_round_of_looks(bench: Bench, overlap: timedelta) -> None:
    """Whatever look it missed, and though others came after it."""
    late_s = min(overlap.total_seconds(), 60.0)
    for begun in range(1, 2 * LOOKS_A_ROUND):
        looks = Looks(bench, FindPolicy(overlap=overlap))
        await looks.begin()
        for _ in range(begun):
            await looks.look()
        key = OrderKey(f"late-{begun}")
        bench.order(key)
        held = bench.table.rows.pop(key)  # its place is taken, and nobody can see it
        bench.order(f"meanwhile-{begun}")
        for _ in range(int(late_s / EVERY_S)):
            await looks.look()
        bench.table.rows[key] = held
        assert sum([await looks.look() for _ in range(LOOKS_A_ROUND)]) >= 1
        assert looks.shop.met[key] >= 1


async def test_a_row_that_is_committed_late_is_met_by_the_first_looks_of_a_new_ledger_too(bench: Bench) -> None:
    """The shop was busy before we came: what began to be written a minute before the first walk is not its business."""
    bench.order("before", minutes=1.5)
    bench.order("late", minutes=1)
    held = bench.table.rows.pop(OrderKey("late"))
    bench.order("meanwhile", minutes=0.5)
    looks = Looks(bench, FindPolicy())
    await looks.begin()
    bench.table.rows[OrderKey("late")] = held
    assert sum([await looks.look() for _ in range(LOOKS_A_ROUND)]) == 1


async def test_who_looks_seldom_steps_back_each_time(bench: Bench) -> None:
    looks = Looks(bench, FindPolicy(overlap=timedelta(seconds=2 * EVERY_S)))
    await looks.begin()
    bench.order("1")
    assert await looks.look() == 1
    looks.shop.change("1", out_trade_no="N2")
    assert await looks.look() == 1


async def test_what_is_remembered_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.flow.find.KNOWN_MAX", 150)
    looks = Looks(bench, FindPolicy())
    await looks.begin()
    for number in range(3 * PAGE_ROWS):
        bench.order(str(number))
    assert await looks.look() == 3 * PAGE_ROWS
    assert 150 <= len(looks.finder._known) < 150 + PAGE_ROWS, "to the page"
    assert [await looks.look() for _ in range(LOOKS_A_ROUND)] == [0] * LOOKS_A_ROUND


class Slow(MemoryShop):
    """A shop that can be made to keep one look waiting."""

    walks = 0
    keeps: asyncio.Event | None = None

    async def before(self, since: datetime) -> Position:
        self.walks += 1
        return await super().before(since)

    async def newest(self) -> Position:
        if self.keeps is not None:
            await self.keeps.wait()
        return await super().newest()


async def test_a_walk_that_is_asked_for_while_a_look_lasts_is_made(bench: Bench) -> None:
    shop = Slow(channels={name: (name,) for name in bench.channels}, table=bench.table)
    rounds = bench.process(shop)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(2)
    shop.keeps, before = asyncio.Event(), shop.walks
    await bench.pass_time(EVERY_S)
    rounds.walk_soon()
    shop.keeps.set()
    await bench.pass_time(2 * EVERY_S)
    assert shop.walks == before + 1
    rounds.stop()
    await bench.pass_time(5)
    await running


class Long(Watching):
    """A shop whose walk reads a page in ten seconds; a replica may end what reads old rows."""

    page_s = 0.0
    look_s = 0.0
    ends_old: ShopUnavailable | None = None
    ends_beginning = False
    pages: list[str]

    def __init__(self, bench: Bench) -> None:
        super().__init__(channels={name: (name,) for name in bench.channels}, table=bench.table)
        self.clock, self.met, self.pages = bench.clock, {}, []

    async def newest(self) -> Position:
        await self.clock.sleep(self.look_s)
        return await super().newest()

    async def before(self, since: datetime) -> Position:
        if self.ends_beginning and self.ends_old is not None:
            raise self.ends_old
        return await super().before(since)

    async def candidates(self, after: Position, limit: int, known: Collection[Glimpse] = ()) -> Page:
        page = await super().candidates(after, min(limit, 2), known)
        if page.found and page.found[0].row.key.startswith("old"):
            if self.ends_old is not None:
                raise self.ends_old
            await self.clock.sleep(self.page_s)
        self.pages += [found.row.key for found in page.found]
        return page


@pytest.fixture
async def long(bench: Bench) -> Long:
    """Give a shop with orders of two days ago, that a first walk has come through."""
    shop = Long(bench)
    for number in range(20):
        bench.order(f"old{number}", minutes=2 * 24 * 60)
    await bench.once(bench.process(shop))
    shop.page_s = 10.0
    shop.pages.clear()
    return shop


async def test_who_orders_while_a_walk_lasts_is_found_at_the_interval(bench: Bench, long: Long) -> None:
    rounds = bench.process(long)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(25)
    bench.order("new", minutes=0)
    assert rounds.walked_at is None
    await bench.pass_time(2 * EVERY_S)
    assert "new" in long.pages
    assert rounds.walked_at is None, "and the walk lasts"
    assert rounds.found_at is not None
    assert (bench.clock.now() - rounds.found_at).total_seconds() <= EVERY_S + 10
    await bench.pass_time(90)
    assert rounds.walked_at is not None
    assert set(long.pages) == {"new", *(f"old{number}" for number in range(20))}
    assert rounds.context.tally.found == 1
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_who_orders_while_the_first_walk_of_a_new_ledger_lasts_is_found_too(bench: Bench) -> None:
    shop = Long(bench)
    shop.page_s = 10.0
    for number in range(40):
        bench.order(f"old{number}", minutes=2 * 24 * 60)
    rounds = bench.process(shop)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(25)
    bench.order("new", minutes=0)
    await bench.pass_time(2 * EVERY_S)
    assert "new" in shop.pages
    assert rounds.walked_at is None, "and the walk lasts"
    rounds.stop()
    await bench.pass_time(300)
    await running


async def test_looks_that_last_longer_than_their_interval_leave_the_walk_its_turn(bench: Bench, long: Long) -> None:
    long.page_s, long.look_s = 1.0, 20.0
    rounds = bench.process(long)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(100)
    assert rounds.walked_at is not None
    rounds.stop()
    await bench.pass_time(60)
    await running


@pytest.mark.parametrize("ends_beginning", [False, True])
async def test_who_orders_is_found_though_no_walk_comes_through(bench: Bench, long: Long, ends_beginning: bool) -> None:
    long.ends_beginning = ends_beginning
    long.ends_old = ReplicaUnavailable("canceling statement due to conflict with recovery")
    rounds = bench.process(long)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(60)
    bench.order("new", minutes=0)
    bench.pay("Nnew", paid_at=bench.clock.now())
    await bench.pass_time(120)
    assert bench.table.rows[OrderKey("new")].state is OrderState.PAID
    assert rounds.walked_at is None
    assert len(bench.said(ReplicaIsUnavailable)) == 1
    assert not bench.said(ReplicaIsAvailable)
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_strangers_are_told_though_no_walk_comes_through(bench: Bench, long: Long) -> None:
    long.ends_old = ReplicaUnavailable("canceling statement due to conflict with recovery")
    bench.order("new", minutes=0, channel=ChannelName("unionpay"))
    await bench.once(bench.process(long))
    (told,) = bench.events.of(ChannelUnconfigured)
    assert (told.shop_value, told.orders) == ("unionpay", 1)


async def test_strangers_are_told_once_though_every_walk_ends_the_turn(bench: Bench, long: Long) -> None:
    long.ends_old = ShopUnavailable("canceling statement due to statement timeout")
    bench.order("new", minutes=0, channel=ChannelName("unionpay"))
    rounds = bench.process(long)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(600)
    assert len(bench.said(ChannelUnconfigured)) == 1
    rounds.stop()
    await bench.pass_time(60)
    await running


async def test_strangers_are_counted_once_each_by_a_walk_and_the_looks_within(bench: Bench, long: Long) -> None:
    long.page_s = 0.0
    for number in range(20):
        long.change(f"old{number}", channel=ChannelName("unionpay"))
    bench.order("new", minutes=0, channel=ChannelName("unionpay"))
    await bench.once(bench.process(long))
    (told,) = bench.events.of(ChannelUnconfigured)
    assert (told.shop_value, told.orders) == ("unionpay", 21)


async def test_an_order_that_was_being_asked_about_when_the_shop_hiccuped_is_not_put_last(bench: Bench) -> None:
    class Hiccups(MemoryShop):
        left = 0

        async def newest(self) -> Position:
            if self.left and any(each.leased_until for each in bench.shelf.contents.watches.values()):
                self.left -= 1
                raise ShopUnavailable("too many connections")
            return await super().newest()

    bench.find = FindPolicy(every=timedelta(seconds=1))
    gateway = bench.gateways[ALIPAY] = ScriptedGateway(ALIPAY, bench.clock, latency=timedelta(seconds=3))
    shop = Hiccups(channels={name: (name,) for name in bench.channels}, table=bench.table)
    rounds = bench.process(shop)
    rounds.channels = [Channel(gateway, Pace(bench.clock, rate=2, concurrency=8))]
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(3)
    bench.order("paid")
    bench.pay("Npaid")
    shop.left = 6
    while shop.left:
        await bench.pass_time(1)
    for number in range(300):
        bench.order(str(number))
    await bench.pass_time(60)
    assert bench.table.rows[OrderKey("paid")].state is OrderState.PAID
    rounds.stop()
    await bench.pass_time(60)
    await running
