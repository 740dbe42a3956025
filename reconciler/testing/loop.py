"""An event loop in virtual time, and the clock that goes with it: days pass in seconds, and the same way each time.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(a_whole_day())

Time passes only while everybody waits, and then at once to the next moment that somebody waits for. Nothing in it may
touch a socket, a thread or a subprocess: there is nobody who would wait for them.
"""

from __future__ import annotations

import asyncio
import selectors
from datetime import datetime, timedelta

from reconciler.testing.clock import START


class StandstillError(RuntimeError):
    """Everybody waits, and nobody for a moment in time: in the real world the program would hang."""


class _Patience(selectors.SelectSelector):
    """Waits for nothing: what the loop would wait, its time moves on by."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StandstillError("everybody waits, and nobody for a moment in time")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what is ready, then jumps to the next timer."""

    def __init__(self) -> None:
        self._patience = _Patience()
        super().__init__(self._patience)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._patience.now


class LoopClock:
    """A `Clock` on the running loop's own time; give each process one, and let it be wrong in its own way."""

    def __init__(self, start: datetime = START, *, ahead: timedelta = timedelta(0)) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock's time carries an offset")
        self.start = start
        self.ahead = ahead
        """How far the wall clock is ahead of the true time; monotonic time knows nothing of it."""

    def now(self) -> datetime:
        """Virtual wall time."""
        return self.start + timedelta(seconds=self.monotonic()) + self.ahead

    def monotonic(self) -> float:
        """Virtual seconds since the loop was made."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time; where `seconds` is not positive, let the others run once."""
        await asyncio.sleep(max(seconds, 0))
