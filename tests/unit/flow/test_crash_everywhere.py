"""A crash before or after any port call: the next processes end where no crash would have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from reconciler.domain.answer import Closed, NotCreated, Paid, Trade, Unpaid
from reconciler.domain.money import Money
from reconciler.domain.order import OrderState
from reconciler.domain.policy import Policy
from reconciler.flow.rounds import Rounds
from reconciler.ports import Accepted, Undelivered
from reconciler.testing.gateway import ScriptedGateway
from reconciler.testing.ledger import MemoryLedger
from reconciler.testing.receiver import MemoryReceiver
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
        self.blew_at = ""

    def wrap(self, method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        name = method.__name__

        async def guarded(*args: object, **kwargs: object) -> object:
            if self.blown:
                raise Crash
            self.calls += 1
            mine = self.calls == self.at
            if mine and not self.after:
                self.blown, self.blew_at = True, name
                raise Crash
            result = await method(*args, **kwargs)
            if mine:
                self.blown, self.blew_at = True, name
                raise Crash
            return result

        return guarded


SHOP_CALLS = ("take_lock", "holds_lock", "newest", "before", "candidates", "read", "holders", "settle", "close_order")
GATEWAY_CALLS = ("ask", "close_trade")
RECEIVER_CALLS = ("tell", "close")
LEDGER_CALLS = (
    "lead", "mark", "set_mark", "watch", "lease", "free_leases", "histories", "record", "begin", "conclude",
    "open_intentions", "wake", "wake_would_settle", "next_due", "settled",
)  # fmt: skip


def fused(bench: Bench, fuse: Fuse) -> tuple[MemoryShop, MemoryLedger]:
    shop, ledger = bench.shop(), MemoryLedger(bench.shelf)
    for name in SHOP_CALLS:
        setattr(shop, name, fuse.wrap(getattr(shop, name)))
    for name in LEDGER_CALLS:
        setattr(ledger, name, fuse.wrap(getattr(ledger, name)))
    return shop, ledger


class Way:
    """A process's own way to a gateway that outlives it."""

    def __init__(self, gateway: ScriptedGateway, fuse: Fuse) -> None:
        self.channel, self.kind, self.merchant = gateway.channel, gateway.kind, gateway.merchant
        for name in GATEWAY_CALLS:
            setattr(self, name, fuse.wrap(getattr(gateway, name)))


class WayToTheShop:
    """A process's own way to the shop's code, which outlives it."""

    def __init__(self, receiver: MemoryReceiver, fuse: Fuse) -> None:
        for name in RECEIVER_CALLS:
            setattr(self, name, fuse.wrap(getattr(receiver, name)))


def fill(bench: Bench) -> None:
    for number in range(4):
        bench.order(str(number), f"P{number}")
        bench.pay(f"P{number}")
    bench.order("4", "U4")
    bench.gateway().will_answer("U4", NotCreated())
    bench.order("5", "W5")
    trade = Trade("W5", "T-W5", Money(1), bench.clock.now() - timedelta(minutes=3))
    bench.gateway().will_answer("W5", Paid(trade))
    bench.policy = Policy(closes_at_gateway=True)
    for key, unpaid in (("6", "C6"), ("7", "S7")):
        bench.order(key, unpaid, minutes=60 * 49)
        bench.gateway().will_answer(unpaid, Unpaid(Trade(unpaid)))

    def closed(number: str) -> None:
        if number == "C6":  # the other stays unpaid, whatever its gateway says
            bench.gateway().will_answer(number, Closed(Trade(number)))

    bench.gateway().on_close = closed


async def ending(rounds: Rounds, number: str) -> str:
    (watch,) = (await rounds.context.ledger.story(number)).watches
    assert watch.ended_at is not None
    return watch.why


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_at_any_port_call_moves_each_paid_order_once_and_loses_none(after: bool) -> None:
    crashes: list[str] = []
    for at in range(1, CALLS_MAX):
        bench = Bench()
        fill(bench)
        moved: list[str] = []
        fuse = Fuse(at, after=after)
        shop, ledger = fused(bench, fuse)
        shop.after_commit = lambda move, moved=moved: moved.extend(order.key for order in move.orders)
        rounds = bench.process(shop, ledger)
        for channel in rounds.channels:
            channel.gateway = Way(bench.gateway(), fuse)  # type: ignore[assignment] # as much of one as is asked of it
        try:
            await bench.once(rounds)
        except (Crash, BaseExceptionGroup, asyncio.CancelledError):
            crashes.append(fuse.blew_at)
        bench.table.holder = None  # the kernel gives back what a dead process held

        survivor = bench.shop()
        survivor.after_commit = lambda move, moved=moved: moved.extend(order.key for order in move.orders)
        for _ in range(3):
            rounds = await bench.once(bench.process(survivor))
            await bench.clock.advance(600)
        assert sorted(moved) == ["0", "1", "2", "3"], f"crash {'after' if after else 'before'} call {at}"
        states = {key: row.state for key, row in bench.table.rows.items()}
        assert [states[key] for key in sorted(states)] == [OrderState.PAID] * 4 + [OrderState.PENDING] * 4
        assert not await rounds.context.ledger.open_intentions()
        assert [case.order_no for case in await rounds.context.ledger.cases()] == ["W5"]
        assert bench.gateway().closed.count("C6") == 1, f"crash {'after' if after else 'before'} call {at}"
        assert bench.gateway().closed.count("S7") in {1, 1 + fuse.blown}
        assert await ending(rounds, "C6") == "closed at the gateway, unpaid"
        assert "still unpaid, although closing was tried" in await ending(rounds, "S7")
        if not fuse.blown:
            break
    assert len(crashes) > 20, "the fuse never blew: this test proves nothing"
    assert {"ask", "close_trade", "holds_lock", "settle", "begin", "conclude", "record"} <= set(crashes)


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("loses", [False, True], ids=["answers", "loses its first answer"])
async def test_a_crash_at_any_port_call_has_the_shops_own_code_move_each_order_once(after: bool, loses: bool) -> None:
    crashes: list[str] = []
    for at in range(1, CALLS_MAX):
        bench = Bench()
        fill(bench)
        bench.receiver = receiver = MemoryReceiver(bench.table)
        if loses:
            for number in ("P0", "P1"):
                receiver.will(number, Undelivered("no whole answer within 10s"), moves=number == "P0")
                receiver.then(number, Accepted())
        fuse = Fuse(at, after=after)
        shop, ledger = fused(bench, fuse)
        rounds = bench.process(shop, ledger)
        rounds.context.receiver = WayToTheShop(receiver, fuse)  # type: ignore[assignment] # as much of one as is asked of it
        for channel in rounds.channels:
            channel.gateway = Way(bench.gateway(), fuse)  # type: ignore[assignment] # the same
        try:
            await bench.once(rounds)
        except (Crash, BaseExceptionGroup, asyncio.CancelledError):
            crashes.append(fuse.blew_at)
        bench.table.holder = None

        for _ in range(3):
            rounds = await bench.once()
            await bench.clock.advance(600)
        assert receiver.moved == {"0": 1, "1": 1, "2": 1, "3": 1}, f"crash {'after' if after else 'before'} call {at}"
        assert {len(ids) for ids in receiver.ids.values()} == {1}
        assert receiver.in_flight_per_order_max == 1
        assert {key for key, row in bench.table.rows.items() if row.state is OrderState.PAID} == {"0", "1", "2", "3"}
        assert not await rounds.context.ledger.open_intentions()
        assert [case.order_no for case in await rounds.context.ledger.cases()] == ["W5"]
        counts = await rounds.context.ledger.counts(bench.clock.now())
        assert counts.open == 2, "of U4, which nobody paid, and of W5"
        if not fuse.blown:
            break
    assert len(crashes) > 20, "the fuse never blew: this test proves nothing"
    assert {"ask", "tell", "holds_lock", "holders", "begin", "conclude", "record"} <= set(crashes)
    assert "settle" not in crashes
