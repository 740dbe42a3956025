"""Bells: pauses that end early, and whose fault it is when they do."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.flow.bell import Bell, pause
from reconciler.testing.clock import ManualClock


class Pause:
    """One pause under way; whether it is over."""

    def __init__(self, seconds: float, *bells: Bell) -> None:
        self.clock = ManualClock()
        self.task = asyncio.ensure_future(pause(self.clock, seconds, *bells))

    async def is_over_after(self, seconds: float) -> bool:
        await asyncio.sleep(0)  # it begins before time passes
        await self.clock.advance(seconds)
        return self.task.done()


async def test_a_pause_lasts_as_long_as_it_was_to_last_where_nothing_rings() -> None:
    paused = Pause(10, Bell())
    assert not await paused.is_over_after(9.9)
    assert await paused.is_over_after(0.1)


async def test_either_bell_ends_a_pause_and_leaves_no_sleeper_behind() -> None:
    for place in range(2):
        bells = (Bell(), Bell())
        paused = Pause(10, *bells)
        assert not await paused.is_over_after(1)
        bells[place].ring()
        assert await paused.is_over_after(0)
        assert paused.clock.sleepers == 0


async def test_one_bell_wakes_everybody_who_sleeps_by_it_and_nobody_else() -> None:
    bell = Bell()
    near, other, far = Pause(10, bell), Pause(20, bell), Pause(10, Bell())
    assert not any([await one.is_over_after(1) for one in (near, other, far)])
    bell.ring()
    assert [await one.is_over_after(0) for one in (near, other, far)] == [True, True, False]
    far.task.cancel()


async def test_where_a_bell_rings_already_there_is_no_pause_until_it_is_silenced() -> None:
    bell = Bell()
    bell.ring()
    assert await Pause(10, bell).is_over_after(0)
    bell.silence()
    paused = Pause(10, bell)
    assert not await paused.is_over_after(1)
    bell.ring()
    assert await paused.is_over_after(0)


async def test_bells_that_ring_together_and_again_end_a_pause_once() -> None:
    bells = (Bell(), Bell())
    paused = Pause(10, *bells)
    await paused.is_over_after(1)
    for _ in range(2):
        for bell in bells:
            bell.ring()
        await asyncio.sleep(0)
    assert await paused.is_over_after(0)
    paused.task.result()


async def test_whoever_is_cancelled_while_a_bell_rings_is_cancelled() -> None:
    bell = Bell()
    paused = Pause(10, bell)
    await paused.is_over_after(1)
    bell.ring()
    paused.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await paused.task


async def test_what_a_clock_raises_is_raised() -> None:
    class Broken(ManualClock):
        async def sleep(self, seconds: float) -> None:
            raise TimeoutError(f"no {seconds} s to be had")

    with pytest.raises(TimeoutError, match="no 10 s"):
        await pause(Broken(), 10, Bell())
