"""Why settling stands still, as the figures have it."""

from __future__ import annotations

from datetime import timedelta

from reconciler.domain.order import OrderKey
from reconciler.figures import paused_by
from reconciler.flow.brake import Limits
from tests.unit.flow.bench import Bench


async def test_a_person_the_brake_and_locked_rows_are_told_apart() -> None:
    bench = Bench(limits=Limits(per_hour=1))
    rounds = bench.process()
    assert await rounds.take_charge()
    context = rounds.context
    assert list(paused_by(rounds)) == []
    await context.brake.pause("li")
    assert list(paused_by(rounds)) == ["hand"]
    await context.brake.resume("li")
    for key in "12":
        bench.order(key)
        bench.pay(f"N{key}")
    await bench.clock.advance(timedelta(minutes=5).total_seconds())
    await bench.once(rounds)
    assert list(paused_by(rounds)) == ["brake"]
    for key in "345":
        context.block.busy(OrderKey(key), "locked")
    assert list(paused_by(rounds)) == ["brake", "locked"]
    context.block.free()
    assert list(paused_by(rounds)) == ["brake"]
