"""Bells: they wake whoever sleeps by them, before his time."""

from __future__ import annotations

import asyncio

from reconciler.ports import Clock


class Bell:
    """Rings from `ring` until `silence`."""

    def __init__(self) -> None:
        self.rings = False
        self._sleepers: dict[asyncio.Timeout, None] = {}

    def ring(self) -> None:
        """Wake everybody, and let nobody sleep."""
        self.rings = True
        for sleep in self._sleepers:
            if not sleep.expired():  # or another bell has woken him
                sleep.reschedule(0)

    def silence(self) -> None:
        """Let people sleep."""
        self.rings = False

    def wakes(self, sleep: asyncio.Timeout) -> None:
        """Have this sleep end when it rings."""
        self._sleepers[sleep] = None

    def forget(self, sleep: asyncio.Timeout) -> None:
        """Leave it alone: it is over."""
        self._sleepers.pop(sleep, None)


async def pause(clock: Clock, seconds: float, *bells: Bell) -> None:
    """Sleep on the clock until one of the bells rings, at most; not at all where one rings already.

    A timeout that only a bell brings on, not a task for each thing that may end it: an idle daemon does little else.
    """
    if any(bell.rings for bell in bells):
        return
    sleep = asyncio.timeout(None)
    try:
        async with sleep:
            for bell in bells:
                bell.wakes(sleep)
            await clock.sleep(seconds)
    except TimeoutError:
        if not sleep.expired():
            raise  # it was no bell
    finally:
        for bell in bells:
            bell.forget(sleep)
