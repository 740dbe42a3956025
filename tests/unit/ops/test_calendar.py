"""Jobs at their intervals, whatever is done to the wall clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from reconciler.ops.calendar import DRIFT_LOOK_S, Calendar

SOON = timedelta(seconds=3 * DRIFT_LOOK_S)


class SteppedClock:
    """The machine's own, set to another time at each look at the drift."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.ahead += timedelta(seconds=30)


async def test_a_clock_that_is_stepped_more_often_than_a_job_is_due_keeps_it_from_nothing() -> None:
    calendar, ran = Calendar(SteppedClock()), asyncio.Event()

    async def job() -> None:
        ran.set()

    calendar.every(SOON, job, "full walk")
    keeping = asyncio.create_task(calendar.keep())
    try:
        async with asyncio.timeout(60):
            await ran.wait()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
