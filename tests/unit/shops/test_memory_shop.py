"""The double passes what every shop must."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reconciler.domain.money import Money
from reconciler.domain.order import OrderKey
from reconciler.ports import Move, NotMoved, Shop, ShopUnavailable
from reconciler.testing.shop import MemoryShop
from reconciler.testing.shop_conformance import CHANNELS, IGNORED, START, Given, ShopBench, ShopConformance, _move


class MemoryBench:
    def __init__(self) -> None:
        self.memory = MemoryShop(channels=CHANNELS, ignore_channels=(IGNORED,), shared_payment=True)

    @property
    def shop(self) -> Shop:
        return self.memory

    async def rival(self) -> Shop:
        return MemoryShop(channels=CHANNELS, table=self.memory.table)

    async def put(self, given: Given) -> OrderKey:
        key = str(len(self.memory.rows) + 1)
        return self.memory.put(
            key,
            out_trade_no=given.out_trade_no,
            created_at=given.created_at,
            amount=_amount(given),
            state=given.state,
            channel=given.channel,
            transaction_id=given.transaction_id,
            paid_at=given.paid_at,
        )

    async def change(self, key: OrderKey, given: Given) -> None:
        self.memory.change(
            key,
            out_trade_no=given.out_trade_no,
            amount=_amount(given),
            state=given.state,
            channel=given.channel,
            transaction_id=given.transaction_id,
            paid_at=given.paid_at,
        )

    async def remove(self, key: OrderKey) -> None:
        self.memory.remove(key)

    async def snapshot(self) -> Mapping[OrderKey, object]:
        return dict(self.memory.rows)


def _amount(given: Given) -> Money | None:
    return None if given.amount_fen is None else Money(given.amount_fen)


class TestMemoryShop(ShopConformance):
    @pytest.fixture
    def bench(self) -> ShopBench:
        return MemoryBench()


async def test_the_callback_can_win_between_read_and_settle() -> None:
    bench = MemoryBench()
    key = await bench.put(Given("A1"))
    move = await _move(bench, key)
    assert await bench.shop.take_lock()

    def callback(_: Move) -> None:
        bench.memory.change(key, transaction_id="T2", amount=Money(1))

    bench.memory.before_settle = callback
    assert isinstance(await bench.shop.settle(move), NotMoved)
    assert bench.memory.moves == []


async def test_a_failure_comes_as_often_as_it_was_asked_for() -> None:
    shop = MemoryShop()
    shop.put("1", out_trade_no="A1", created_at=START)
    shop.fail("read", ShopUnavailable("gone"))
    with pytest.raises(ShopUnavailable):
        await shop.read([OrderKey("1")])
    assert len(await shop.read([OrderKey("1")])) == 1
