"""What every shop must do when it is walked by status. Part of `ShopConformance`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from reconciler.domain.order import OrderKey, OrderState
from reconciler.ports import Found, Position, Shop
from reconciler.testing.shop_bench import ALIPAY, PAGES_MAX, START, Given, ShopBench


class StatusWalks:
    """The walks over paid rows, and over rows of a status."""

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_a_walk_over_paid_rows_meets_each_of_them_once_in_order(self, bench: ShopBench, limit: int) -> None:
        for state in OrderState:
            for at in range(3):
                await bench.put(Given(f"{state.value}-{at}", state=state, created_at=START + timedelta(minutes=at)))
        met = await _all_paid(bench.shop, limit)
        assert [found.row.order_no for found in met] == ["paid-0", "paid-1", "paid-2"]
        assert all(found.row.state is OrderState.PAID for found in met)
        assert [attempt.channel for found in met for attempt in found.attempts] == [ALIPAY] * 3

    async def test_a_walk_over_no_paid_rows_ends(self, bench: ShopBench) -> None:
        assert await _all_paid(bench.shop, 2) == []
        for at in range(5):
            await bench.put(Given(f"A{at}"))
        assert await _all_paid(bench.shop, 2) == []

    async def test_what_turned_paid_behind_a_walk_is_met_by_the_next(self, bench: ShopBench) -> None:
        keys = [await bench.put(Given(f"A{at}")) for at in range(3)]
        assert await _all_paid(bench.shop, 2) == []
        await bench.change(keys[0], Given("A0", state=OrderState.PAID))
        assert [found.row.key for found in await _all_paid(bench.shop, 2)] == [keys[0]]

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_a_walk_over_statuses_meets_each_row_of_theirs_once(self, bench: ShopBench, limit: int) -> None:
        keys: dict[OrderState, OrderKey] = {}
        for state in OrderState:
            for at in range(3):
                made = await bench.put(Given(f"{state.value}-{at}", None if at == 1 else 9900, state=state))
                keys[state] = made
        rows = await bench.shop.read([keys[OrderState.PAID], keys[OrderState.UNKNOWN]])
        statuses = [row.status for row in rows.values()]
        met = await _all_resting(bench.shop, statuses, limit)
        wanted = (OrderState.PAID, OrderState.UNKNOWN)
        order_nos = [f"{state.value}-{at}" for state in OrderState if state in wanted for at in range(3)]
        assert [found.row.order_no for found in met] == order_nos, "what cannot be read rests there too"
        assert all(found.row.status in statuses and not found.attempts for found in met)

    async def test_a_status_that_no_row_has_is_met_nowhere(self, bench: ShopBench) -> None:
        await bench.put(Given("A1"))
        assert await _all_resting(bench.shop, ["no such status"], 2) == []
        assert await _all_resting(bench.shop, [], 2) == []


async def _all_paid(shop: Shop, limit: int) -> list[Found]:
    """Walk over the paid rows to the end of the table."""
    met: list[Found] = []
    position: Position | None = await shop.before(START - timedelta(days=1))
    for _ in range(PAGES_MAX):
        if position is None:
            return met
        page = await shop.paid(position, limit)
        met += page.found
        position = page.next
    raise AssertionError("the walk does not end")


async def _all_resting(shop: Shop, statuses: Sequence[str], limit: int) -> list[Found]:
    """Walk over the rows of these statuses to the end of the table."""
    met: list[Found] = []
    position: Position | None = await shop.before(START - timedelta(days=1))
    for _ in range(PAGES_MAX):
        if position is None:
            return met
        page = await shop.resting(statuses, position, limit)
        met += page.found
        position = page.next
    raise AssertionError("the walk does not end")
