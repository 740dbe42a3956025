"""Doubles of `Clock`: virtual time that moves by hand, or by itself when everybody sleeps."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)
QUIET_TURNS = 25
"""Turns of the event loop without a new sleep after which everybody is taken to be asleep."""


class ManualClock:
    """Time stands still until `advance`; whoever sleeps wakes in the order of the moments slept for."""

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock's time carries an offset")
        self._start = start
        self._elapsed_s = 0.0
        self._wall_shift = timedelta(0)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._sleeps = 0

    def now(self) -> datetime:
        """Virtual wall time."""
        return self._start + timedelta(seconds=self._elapsed_s) + self._wall_shift

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._elapsed_s

    @property
    def sleepers(self) -> int:
        """How many sleep now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time; where `seconds` is not positive, let the others run once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._sleeps += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, self._sleeps, woken))
        await woken

    def set_wall(self, now: datetime) -> None:
        """Set the wall clock, forward or back; monotonic time does not notice."""
        self._wall_shift += now - self.now()

    async def advance(self, seconds: float) -> None:
        """Let time pass, stopping at each moment that somebody sleeps for, and let those run who wake."""
        end = self._elapsed_s + seconds
        while (moment := self._next_moment()) is not None and moment <= end:
            self._wake(moment)
            await self._settle_down()
        self._elapsed_s = end
        await self._settle_down()

    def _next_moment(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # cancelled
        return self._sleepers[0][0] if self._sleepers else None

    def _wake(self, moment: float) -> None:
        self._elapsed_s = max(self._elapsed_s, moment)
        while (following := self._next_moment()) is not None and following <= moment:
            heapq.heappop(self._sleepers)[2].set_result(None)

    async def _settle_down(self) -> None:
        """Give everybody who can run the chance to, until nobody has gone to sleep for a while."""
        quiet = 0
        while quiet < QUIET_TURNS:
            sleeps = self._sleeps
            await asyncio.sleep(0)
            quiet = quiet + 1 if sleeps == self._sleeps else 0


class AutoClock(ManualClock):
    """Moves by itself to the next moment that somebody sleeps for, once everybody sleeps.

    For code whose only waiting is `sleep` and each other: input and output in threads or sockets takes no virtual
    time, and time may pass while it is under way.
    """

    def __init__(self, start: datetime = START) -> None:
        super().__init__(start)
        self._mover: asyncio.Task[None] | None = None

    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time, which passes when everybody sleeps."""
        if seconds > 0 and (self._mover is None or self._mover.done()):
            self._mover = asyncio.get_running_loop().create_task(self._move())
        await super().sleep(seconds)

    async def _move(self) -> None:
        await self._settle_down()
        while (moment := self._next_moment()) is not None:
            self._wake(moment)
            await self._settle_down()
