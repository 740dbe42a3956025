"""What every shop must do, whatever its database: a suite for the double and for every adapter.

Subclass `ShopConformance` in a test module, as `TestMyShop`, and override the fixture `bench`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.domain.money import Money
from reconciler.domain.order import Order, OrderKey, OrderState, UnreadableOrder
from reconciler.ports import Found, Glimpse, LockLost, Move, Moved, NotMoved, Position, RowBusy, Shop
from reconciler.testing.shop_bench import ALIPAY, CHANNELS, IGNORED, PAGES_MAX, START, WECHAT, Given, ShopBench
from reconciler.testing.shop_conformance_walks import StatusWalks
from reconciler.testing.soon import soon

__all__ = ["CHANNELS", "IGNORED", "START", "Given", "ShopBench", "ShopConformance"]


class ShopConformance(StatusWalks):
    """The suite."""

    @pytest.fixture
    def bench(self) -> ShopBench:
        """Override it (an asynchronous fixture may)."""
        raise NotImplementedError

    async def test_a_row_is_read_as_it_is(self, bench: ShopBench) -> None:
        paid_at = START + timedelta(minutes=3)
        key = await bench.put(Given("A1", 9901, OrderState.PAID, transaction_id="T1", paid_at=paid_at))
        order = (await bench.shop.read([key]))[key]
        assert isinstance(order, Order)
        assert (order.key, order.order_no, order.state) == (key, "A1", OrderState.PAID)
        assert (order.amount, order.created_at) == (Money(9901), START)
        assert (order.transaction_id, order.paid_at) == ("T1", paid_at)

    async def test_rows_that_are_not_there_are_left_out(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1"))
        rows = await bench.shop.read([OrderKey("987654"), key, OrderKey("no such'key"), OrderKey("")])
        assert list(rows) == [key]
        assert await bench.shop.read([]) == {}

    async def test_an_order_without_an_amount_is_unreadable_and_still_found(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1", None))
        (found,) = await _all(bench.shop)
        assert isinstance(found.row, UnreadableOrder)
        assert (found.row.key, found.row.state) == (key, OrderState.PENDING)
        assert "NULL" in found.row.problem
        assert [attempt.out_trade_no for attempt in found.attempts] == ["A1"]

    async def test_a_number_that_cannot_be_asked_is_unreadable_and_has_no_attempts(self, bench: ShopBench) -> None:
        await bench.put(Given("A\x011"))
        (found,) = await _all(bench.shop)
        assert isinstance(found.row, UnreadableOrder)
        assert found.attempts == ()
        assert "\x01" not in found.row.problem

    async def test_candidates_are_pending_and_closed(self, bench: ShopBench) -> None:
        for state in OrderState:
            await bench.put(Given(f"A-{state.value}", state=state))
        assert {found.row.state for found in await _all(bench.shop)} == {OrderState.PENDING, OrderState.CLOSED}

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_a_walk_meets_every_candidate_once_in_order(self, bench: ShopBench, limit: int) -> None:
        for at in range(7):
            state = OrderState.PAID if at in {2, 6} else OrderState.PENDING
            await bench.put(Given(f"A{at}", state=state, created_at=START + timedelta(minutes=at)))
        met = [found.row.order_no for found in await _all(bench.shop, limit)]
        assert met == ["A0", "A1", "A3", "A4", "A5"]

    async def test_a_page_holds_no_more_than_its_limit(self, bench: ShopBench) -> None:
        for at in range(3):
            await bench.put(Given(f"A{at}", created_at=START + timedelta(minutes=at)))
        page = await bench.shop.candidates(await bench.shop.before(START), 2)
        assert len(page.found) == 2  # the limit above
        assert page.next is not None

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_known_rows_are_left_out_until_something_about_them_is_new(
        self, bench: ShopBench, limit: int
    ) -> None:
        given = [Given(f"A{at}", created_at=START + timedelta(minutes=at)) for at in range(6)]
        keys = [await bench.put(each) for each in given]
        known = {found.glimpse for found in await _all(bench.shop) if found.glimpse}
        assert len(known) == 6
        assert await _all(bench.shop, limit, known=known) == []
        new = await bench.put(Given("A6", created_at=START + timedelta(minutes=6)))
        await bench.change(keys[1], replace(given[1], out_trade_no="B1"))
        await bench.change(keys[2], replace(given[2], channel="5"))
        await bench.change(keys[3], replace(given[3], state=OrderState.CLOSED))
        await bench.change(keys[4], replace(given[4], state=OrderState.PAID))
        assert len((await bench.shop.candidates(await bench.shop.before(START), limit, known)).found) <= limit
        met = await _all(bench.shop, limit, known=known)
        assert [found.row.key for found in met] == [*keys[1:4], new]
        assert known.isdisjoint({found.glimpse for found in met})
        known |= {found.glimpse for found in met if found.glimpse}
        assert await _all(bench.shop, limit, known=known) == []

    async def test_from_the_newest_row_on_there_is_only_what_comes_later(self, bench: ShopBench) -> None:
        await bench.put(Given("A1"))
        position = await bench.shop.newest()
        assert (await bench.shop.candidates(position, 10)).found == ()
        await bench.put(Given("A2", created_at=START + timedelta(seconds=1)))
        page = await bench.shop.candidates(position, 10)
        assert [found.row.order_no for found in page.found] == ["A2"]
        assert page.next is None

    async def test_the_newest_row_of_an_empty_table_is_before_the_first(self, bench: ShopBench) -> None:
        position = await bench.shop.newest()
        assert await _all(bench.shop) == []
        await bench.put(Given("A1"))
        assert len((await bench.shop.candidates(position, 10)).found) == 1

    @pytest.mark.parametrize("hours", [-1, 0, 5, 19, 20, 21, 39, 40, 100])
    async def test_before_misses_no_row_created_since(self, bench: ShopBench, hours: int) -> None:
        for at in range(40):
            await bench.put(Given(f"A{at}", created_at=START + timedelta(hours=at)))
        met = {found.row.order_no for found in await _all(bench.shop, since=START + timedelta(hours=hours))}
        assert met >= {f"A{at}" for at in range(max(hours, 0), 40)}

    async def test_channels_are_told_by_the_shops_own_values(self, bench: ShopBench) -> None:
        for number, value in (("A1", "3"), ("A2", "zfbf2f"), ("A3", "5"), ("A4", "99"), ("A5", None), ("A6", IGNORED)):
            await bench.put(Given(number, channel=value))
        found = {each.row.order_no: each for each in await _all(bench.shop)}
        channels = {number: [attempt.channel for attempt in each.attempts] for number, each in found.items()}
        assert channels == {"A1": [ALIPAY], "A2": [ALIPAY], "A3": [WECHAT], "A4": [], "A5": [], "A6": []}
        strangers = {number: each.strangers for number, each in found.items() if each.strangers}
        assert strangers == {"A4": ("99",), "A5": ("NULL",)}
        assert {number: each.ignored for number, each in found.items() if each.ignored} == {"A6": 1}
        assert all(each.unreadable == () for each in found.values())

    async def test_holders_are_all_rows_with_a_number_whatever_their_state(self, bench: ShopBench) -> None:
        keys = {await bench.put(Given("A1", state=state)) for state in (OrderState.PENDING, OrderState.PAID)}
        await bench.put(Given("A2"))
        held = await bench.shop.holders(["A1", "A2", "A3", ""])
        assert {row.key for row in held["A1"]} == keys
        assert len(held["A2"]) == 1
        assert held.keys() == {"A1", "A2"}

    async def test_a_look_up_tells_of_channels_as_the_walk_does(self, bench: ShopBench) -> None:
        for number, value in (("A3", "5"), ("A4", "99"), ("A6", IGNORED)):
            await bench.put(Given(number, channel=value))
        walked = await _all(bench.shop)
        assert [found for each in walked for found in await bench.shop.look_up(each.row.order_no)] == walked
        assert [bool(found.unwatched) for found in walked] == [False, True, True]

    async def test_a_number_in_other_letters_is_another_number(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1"))
        assert (await bench.shop.holders(["a1", "A1"])).keys() == {"A1"}
        assert await bench.shop.look_up("a1") == ()
        move = await _move(bench, key)
        assert await bench.shop.take_lock()
        await bench.change(key, Given("a1"))
        assert isinstance(await bench.shop.settle(move), NotMoved)

    async def test_an_order_is_looked_up_by_its_number_whatever_its_state(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1", state=OrderState.REFUNDED))
        (found,) = await bench.shop.look_up("A1")
        assert found.row.key == key
        assert await bench.shop.look_up("A2") == ()

    async def test_the_lock_is_one_daemons(self, bench: ShopBench) -> None:
        rival = await bench.rival()
        assert await bench.shop.take_lock()
        assert await bench.shop.take_lock()
        assert not await rival.take_lock()
        assert (await bench.shop.holds_lock(), await rival.holds_lock()) == (True, False)
        await bench.shop.release()
        assert await soon(rival.take_lock)  # a server lets go when it hears that the session has ended
        assert await rival.holds_lock()

    async def test_nothing_is_settled_without_the_lock(self, bench: ShopBench) -> None:
        move = await _move(bench, await bench.put(Given("A1")))
        before = await bench.snapshot()
        with pytest.raises(LockLost):
            await bench.shop.settle(move)
        with pytest.raises(LockLost):
            await bench.shop.close_order(move.orders[0])
        assert await bench.snapshot() == before

    async def test_a_settled_order_carries_the_payment(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1"))
        move = await _move(bench, key)
        assert await bench.shop.take_lock()
        assert await bench.shop.settle(move) == Moved()
        order = (await bench.shop.read([key]))[key]
        assert isinstance(order, Order)
        assert (order.state, order.transaction_id) == (OrderState.PAID, move.transaction_id)
        assert order.paid_at == move.paid_at

    async def test_a_settle_leaves_every_other_row_as_it_was(self, bench: ShopBench) -> None:
        keys = [await bench.put(Given(f"A{at}")) for at in range(5)]
        before = await bench.snapshot()
        move = await _move(bench, keys[2])
        assert await bench.shop.take_lock()
        await bench.shop.settle(move)
        after = await bench.snapshot()
        assert {key for key in keys if before[key] != after[key]} == {keys[2]}

    async def test_a_row_that_another_session_locks_is_left_for_later(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1"))
        move = await _move(bench, key)
        assert await bench.shop.take_lock()
        before = await bench.snapshot()
        async with bench.locking(key):
            with pytest.raises(RowBusy):
                await bench.shop.settle(move)
            with pytest.raises(RowBusy):
                await bench.shop.close_order(move.orders[0])
            assert (await bench.shop.read([key]))[key].state is OrderState.PENDING
            assert await bench.shop.holds_lock()
        assert await bench.snapshot() == before
        assert await bench.shop.settle(move) == Moved()

    async def test_an_order_is_settled_once(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1"))
        move = await _move(bench, key)
        assert await bench.shop.take_lock()
        assert await bench.shop.settle(move) == Moved()
        after = await bench.snapshot()
        outcome = await bench.shop.settle(move)
        assert isinstance(outcome, NotMoved)
        assert await bench.snapshot() == after

    @pytest.mark.parametrize(
        "meanwhile",
        [
            Given("A1", state=OrderState.PAID, transaction_id="T-callback", paid_at=START),
            Given("A1", state=OrderState.CLOSED),
            Given("A1", 9901),
            Given("A2"),
            Given("A1", None),
        ],
        ids=["paid", "closed", "amount", "number", "no amount"],
    )
    async def test_a_row_that_changed_meanwhile_is_not_moved_and_shown_fresh(
        self, bench: ShopBench, meanwhile: Given
    ) -> None:
        key = await bench.put(Given("A1"))
        move = await _move(bench, key)
        assert await bench.shop.take_lock()
        await bench.change(key, meanwhile)
        changed = await bench.snapshot()
        outcome = await bench.shop.settle(move)
        assert outcome == NotMoved(await bench.shop.read([key]))
        assert outcome.rows[key].state is meanwhile.state
        assert outcome.why == ""
        assert await bench.snapshot() == changed

    async def test_a_row_that_vanished_meanwhile_is_not_moved(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1"))
        move = await _move(bench, key)
        assert await bench.shop.take_lock()
        await bench.remove(key)
        assert await bench.shop.settle(move) == NotMoved({})

    async def test_a_paid_order_is_not_moved_even_as_read(self, bench: ShopBench) -> None:
        key = await bench.put(Given("A1", state=OrderState.PAID, transaction_id="T-callback"))
        move = await _move(bench, key)
        assert await bench.shop.take_lock()
        before = await bench.snapshot()
        assert isinstance(await bench.shop.settle(move), NotMoved)
        assert await bench.snapshot() == before

    async def test_a_group_is_settled_whole(self, bench: ShopBench) -> None:
        keys = [await bench.put(Given("A1")) for _ in range(3)]
        move = await _move(bench, *keys)
        assert await bench.shop.take_lock()
        assert await bench.shop.settle(move) == Moved()
        rows = await bench.shop.read(keys)
        assert {row.state for row in rows.values()} == {OrderState.PAID}

    async def test_a_group_with_one_changed_row_is_not_settled_at_all(self, bench: ShopBench) -> None:
        keys = [await bench.put(Given("A1")) for _ in range(3)]
        move = await _move(bench, *keys)
        assert await bench.shop.take_lock()
        await bench.change(keys[2], Given("A1", state=OrderState.CLOSED))
        before = await bench.snapshot()
        outcome = await bench.shop.settle(move)
        assert isinstance(outcome, NotMoved)
        assert outcome.rows.keys() == set(keys)
        assert await bench.snapshot() == before

    async def test_an_order_is_marked_closed_with_the_same_guard(self, bench: ShopBench) -> None:
        key, other = await bench.put(Given("A1")), await bench.put(Given("A2"))
        rows = await bench.shop.read([key, other])
        order, moved = rows[key], rows[other]
        assert isinstance(order, Order)
        assert isinstance(moved, Order)
        assert await bench.shop.take_lock()
        assert await bench.shop.close_order(order) == Moved()
        assert (await bench.shop.read([key]))[key].state is OrderState.CLOSED
        await bench.change(other, Given("A2", state=OrderState.PAID))
        assert isinstance(await bench.shop.close_order(moved), NotMoved)
        assert (await bench.shop.read([other]))[other].state is OrderState.PAID

    async def test_release_may_be_repeated(self, bench: ShopBench) -> None:
        assert await bench.shop.take_lock()
        await bench.shop.release()
        await bench.shop.release()


async def _all(
    shop: Shop, limit: int = 3, since: datetime = START - timedelta(days=1), known: Collection[Glimpse] = ()
) -> list[Found]:
    """Walk to the end of the table."""
    met: list[Found] = []
    position: Position | None = await shop.before(since)
    for _ in range(PAGES_MAX):
        if position is None:
            return met
        page = await shop.candidates(position, limit, known)
        met += page.found
        position = page.next
    raise AssertionError("the walk does not end")


async def _move(bench: ShopBench, *keys: OrderKey) -> Move:
    """Make the move that settles these orders as they are now."""
    rows = await bench.shop.read(keys)
    orders = tuple(row for row in rows.values() if isinstance(row, Order))
    assert len(orders) == len(keys)
    return Move(
        intention="i1",
        orders=orders,
        channel=ALIPAY,
        out_trade_no="A1",
        transaction_id="2026030122001400000000000001",
        amount=Money(sum(order.amount.fen for order in orders)),
        paid_at=START + timedelta(minutes=1),
    )
