"""An event loop in virtual time, and the clock that goes with it: days pass in seconds, and the same way each time.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(a_whole_day())

Time passes only while everybody waits, and then at once to the next moment that somebody waits for. Nothing in it may
touch a socket, a thread or a subprocess: there is nobody who would wait for them.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any, TypeVarTuple

from reconciler.testing.clock import START

_Ts = TypeVarTuple("_Ts")


class StandstillError(RuntimeError):
    """Everybody waits, and nobody for a moment in time: in the real world the program would hang."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what is ready, then jumps to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbered = 0
        super().__init__(selectors.SelectSelector())

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back at the next turn: as the loop does, without asking each time whether it is closed, or watched."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined] # the loop's own
        return handle

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a moment; what is called back at the same moment keeps its order."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._numbered += 1
        heapq.heappush(self._timers, (when, self._numbered, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it in the heap: it is thrown away when its moment comes."""

    def _run_once(self) -> None:
        """Take the place of the loop's own turn, which asks the selector and the real clock each time."""
        ready: Any = self._ready  # type: ignore[attr-defined] # where `call_soon` puts what is ready
        if not ready:
            self._jump(ready)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001 # as the loop does
                handle._run()  # noqa: SLF001 # the same

    def _jump(self, ready: Any) -> None:  # noqa: ANN401 # a deque of the loop's
        """Go to the next moment that somebody waits for, and have everybody ready who waits for it."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise StandstillError("everybody waits, and nobody for a moment in time")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])


class LoopClock:
    """A `Clock` on the time of the loop it is made in; give each process one, and let it be wrong in its own way."""

    def __init__(self, start: datetime = START, *, ahead: timedelta = timedelta(0)) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock's time carries an offset")
        self.start = start
        self.ahead = ahead
        """How far the wall clock is ahead of the true time; monotonic time knows nothing of it."""
        self._time = asyncio.get_running_loop().time
        self._last = (-1.0, ahead, start)

    def now(self) -> datetime:
        """Virtual wall time."""
        seconds, ahead, now = self._last
        if seconds != self._time() or ahead is not self.ahead:
            seconds, ahead = self._time(), self.ahead
            now = self.start + timedelta(seconds=seconds) + ahead
            self._last = (seconds, ahead, now)
        return now

    def monotonic(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._time()

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Sleep in virtual time; where `seconds` is not positive, let the others run once."""
        return asyncio.sleep(max(seconds, 0))
