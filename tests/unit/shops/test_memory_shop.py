"""The double passes what every shop must."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, OrderKey
from reconciler.ports import Move, NotMoved, Shop, ShopUnavailable
from reconciler.testing.shop import ALIPAY, MemoryShop
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

    @asynccontextmanager
    async def locking(self, key: OrderKey) -> AsyncIterator[None]:
        self.memory.table.locked.add(key)
        yield
        self.memory.table.locked.remove(key)

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


async def test_attempts_that_cannot_be_read_are_said_and_not_asked() -> None:
    shop = MemoryShop()
    key = shop.put("1", out_trade_no="A1", created_at=START)
    shop.put_attempt("1", Attempt(key, "A1", ALIPAY, "bad number", START))
    shop.put_unreadable("1", "amt: 'abc' is not an amount in yuan")
    (found,) = await shop.look_up("A1")
    assert [attempt.out_trade_no for attempt in found.attempts] == ["A1"]
    assert [problem.partition(":")[0] for problem in found.unreadable] == ["out_trade_no", "amt"]


async def test_a_table_may_refuse_for_reasons_of_its_own() -> None:
    bench = MemoryBench()
    key = await bench.put(Given("A1"))
    move = await _move(bench, key)
    assert await bench.shop.take_lock()
    bench.memory.refusal = "UNIQUE constraint failed"
    for outcome in (await bench.shop.settle(move), await bench.shop.close_order(move.orders[0])):
        assert outcome == NotMoved(await bench.shop.read([key]), "UNIQUE constraint failed")
    assert (bench.memory.moves, bench.memory.closed) == ([], [])
