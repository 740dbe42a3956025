"""What belongs to the calendar: full walks, summaries, housekeeping. Driven by APScheduler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from reconciler.ports import Clock

DRIFT_MAX_S = 1.0
DRIFT_LOOK_S = 1.0
MISFIRE_GRACE_S = 3600

Job = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Entry:
    """A job, and when it is due: by the monotonic clock, which nobody sets."""

    interval: timedelta
    job: Job
    name: str
    due_s: float


class Calendar:
    """Runs jobs at their intervals, each at most once at a time.

    APScheduler stalls when the wall clock is set back (seen in 3.11.3): `keep` schedules everything anew whenever
    wall time and monotonic time part by more than a second. What a job has waited by then is not lost: a clock that is
    stepped every hour would keep it from ever being run.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[_Entry] = []
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    def every(self, interval: timedelta, job: Job, name: str) -> None:
        """Run `job` each `interval`, the first time one interval from now."""
        self._entries.append(_Entry(interval, job, name, self._clock.monotonic() + interval.total_seconds()))

    async def keep(self) -> None:
        """Run the jobs until cancelled."""
        self._schedule()
        self._scheduler.start()
        parted = self._parted()
        try:
            while True:
                await self._clock.sleep(DRIFT_LOOK_S)
                if abs(self._parted() - parted) > DRIFT_MAX_S:
                    parted = self._parted()
                    self._schedule()
        finally:
            self._scheduler.shutdown(wait=False)

    def _parted(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _schedule(self) -> None:
        self._scheduler.remove_all_jobs()
        for entry in self._entries:
            left_s = max(0.0, entry.due_s - self._clock.monotonic())
            self._scheduler.add_job(
                self._run,
                IntervalTrigger(seconds=entry.interval.total_seconds(), timezone="UTC"),
                [entry],
                name=entry.name,
                next_run_time=datetime.now(UTC) + timedelta(seconds=left_s),  # the scheduler's own clock
                coalesce=True,
                max_instances=1,
                misfire_grace_time=MISFIRE_GRACE_S,
            )

    async def _run(self, entry: _Entry) -> None:
        entry.due_s = self._clock.monotonic() + entry.interval.total_seconds()
        await entry.job()
