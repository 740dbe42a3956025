"""A crash before or after any port call: the next process ends where no crash would have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from reconciler.domain.answer import NotCreated, Paid, Trade
from reconciler.domain.money import Money
from reconciler.domain.order import OrderState
from reconciler.testing.ledger import MemoryLedger
from reconciler.testing.shop import MemoryShop
from tests.unit.flow.bench import Bench

CALLS_MAX = 500


class Crash(BaseException):
    """The process is gone: nothing after this line runs."""


class Fuse:
    """Counts port calls, and blows at the one it is set to."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.calls = 0
        self.at = at
        self.after = after
        self.blown = False

    def wrap(self, method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def guarded(*args: object, **kwargs: object) -> object:
            if self.blown:
                raise Crash
            self.calls += 1
            mine = self.calls == self.at
            if mine and not self.after:
                self.blown = True
                raise Crash
            result = await method(*args, **kwargs)
            if mine:
                self.blown = True
                raise Crash
            return result

        return guarded


SHOP_CALLS = ("take_lock", "newest", "before", "candidates", "read", "holders", "settle", "close_order")
LEDGER_CALLS = (
    "lead", "mark", "set_mark", "watch", "lease", "free_leases", "histories", "record", "begin", "conclude",
    "open_intentions", "wake", "wake_would_settle", "next_due",
)  # fmt: skip


def fused(bench: Bench, fuse: Fuse) -> tuple[MemoryShop, MemoryLedger]:
    shop, ledger = bench.shop(), MemoryLedger(bench.shelf)
    for name in SHOP_CALLS:
        setattr(shop, name, fuse.wrap(getattr(shop, name)))
    for name in LEDGER_CALLS:
        setattr(ledger, name, fuse.wrap(getattr(ledger, name)))
    return shop, ledger


def fill(bench: Bench) -> None:
    for number in range(4):
        bench.order(str(number), f"P{number}")
        bench.pay(f"P{number}")
    bench.order("4", "U4")
    bench.gateway().will_answer("U4", NotCreated())
    bench.order("5", "W5")
    trade = Trade("W5", "T-W5", Money(1), bench.clock.now() - timedelta(minutes=3))
    bench.gateway().will_answer("W5", Paid(trade))


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_at_any_port_call_moves_each_paid_order_once_and_loses_none(after: bool) -> None:
    crashes = 0
    for at in range(1, CALLS_MAX):
        bench = Bench()
        fill(bench)
        moved: list[str] = []
        fuse = Fuse(at, after=after)
        shop, ledger = fused(bench, fuse)
        shop.after_commit = lambda move, moved=moved: moved.extend(order.key for order in move.orders)
        try:
            await bench.once(bench.process(shop, ledger))
        except (Crash, BaseExceptionGroup):
            crashes += 1
        except asyncio.CancelledError:
            crashes += 1
        bench.table.holder = None  # the kernel gives back what a dead process held

        survivor = bench.shop()
        survivor.after_commit = lambda move, moved=moved: moved.extend(order.key for order in move.orders)
        rounds = await bench.once(bench.process(survivor))
        assert sorted(moved) == ["0", "1", "2", "3"], f"crash {'after' if after else 'before'} call {at}"
        states = {key: row.state for key, row in bench.table.rows.items()}
        assert [states[key] for key in sorted(states)] == [OrderState.PAID] * 4 + [OrderState.PENDING] * 2
        assert not await rounds.context.ledger.open_intentions()
        assert [case.order_no for case in await rounds.context.ledger.cases()] == ["W5"]
        if not fuse.blown:
            break
    assert crashes > 20, "the fuse never blew: this test proves nothing"
