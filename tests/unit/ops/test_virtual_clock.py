"""The doubles of time and of the log."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.events.orders import CaseEnded, OrderClosed
from reconciler.ops.clock import SystemClock
from reconciler.ports import Clock
from reconciler.testing.clock import START, AutoClock, ManualClock
from reconciler.testing.events import RecordingEvents


async def noted(clock: Clock, seconds: float, log: list[tuple[float, float]]) -> None:
    await clock.sleep(seconds)
    log.append((seconds, clock.monotonic()))


async def test_sleepers_wake_in_the_order_of_their_moments_and_at_them() -> None:
    clock = ManualClock()
    log: list[tuple[float, float]] = []
    async with asyncio.TaskGroup() as group:
        for seconds in (30, 10, 20):
            group.create_task(noted(clock, seconds, log))
        await asyncio.sleep(0)
        assert clock.sleepers == 3

        await clock.advance(25)
        assert log == [(10, 10), (20, 20)]
        assert clock.now() == START + timedelta(seconds=25)
        await clock.advance(5)

    assert log[-1] == (30, 30)


async def test_who_sleeps_again_within_an_advance_wakes_again_within_it() -> None:
    clock = ManualClock()
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await clock.advance(3.5)
    ticking.cancel()

    assert ticks == [1, 2, 3]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    sleeping = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    sleeping.cancel()
    await asyncio.sleep(0)

    assert clock.sleepers == 0
    await clock.advance(10)


async def test_the_wall_clock_can_be_set_back_and_monotonic_time_does_not_notice() -> None:
    clock = ManualClock()
    await clock.advance(100)

    clock.set_wall(START - timedelta(days=1))

    assert clock.now() == START - timedelta(days=1)
    assert clock.monotonic() == 100


async def test_automatic_time_passes_when_everybody_sleeps() -> None:
    clock = AutoClock()
    log: list[tuple[float, float]] = []

    async with asyncio.TaskGroup() as group:
        group.create_task(noted(clock, 86_400, log))
        group.create_task(noted(clock, 60, log))

    assert log == [(60, 60), (86_400, 86_400)]
    await clock.sleep(1)
    assert clock.monotonic() == 86_401


async def test_not_sleeping_takes_no_time() -> None:
    clock = AutoClock()

    await clock.sleep(0)
    await clock.sleep(-1)

    assert clock.monotonic() == 0


def test_a_clock_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 # what is to be refused


async def test_the_real_clock_has_an_offset_and_moves() -> None:
    clock = SystemClock()
    before, wall = clock.monotonic(), datetime.now(UTC)

    await clock.sleep(0.001)

    assert clock.monotonic() > before
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.now() >= wall


def closed(number: str) -> OrderClosed:
    return OrderClosed(order_no=number, channel="c", why="w")


async def test_whoever_waits_for_events_is_woken_by_the_last_of_them() -> None:
    events = RecordingEvents()
    waiting = asyncio.create_task(events.seen(OrderClosed, count=2))
    await asyncio.sleep(0)

    events.emit(closed("A1"))
    events.emit(CaseEnded(order_no="A1", ending="e"))
    await asyncio.sleep(0)
    assert not waiting.done()
    events.emit(closed("A2"))

    assert [event.order_no for event in await waiting] == ["A1", "A2"]
    assert events.names == ["order.closed", "case.ended", "order.closed"]
    events.clear()
    assert events.of(OrderClosed) == []


async def test_waiting_for_what_never_comes_ends() -> None:
    with pytest.raises(TimeoutError):
        await RecordingEvents().seen(OrderClosed, timeout_s=0.01)
