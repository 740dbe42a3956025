"""This machine's clock, set back: what was planned by the wrong time would be forgotten for as long as it was ahead."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from reconciler.events.trouble import ClockSetBack
from reconciler.flow.context import Context
from reconciler.flow.quick_mark import QuickMark
from reconciler.ports import Clock

WORTH_A_WORD: Final = timedelta(minutes=1)
"""Less than that is how clocks are kept right."""
SEEN_MARK: Final = "clock.seen"
"""The time as it was when somebody took the lead, or found the clock set ahead: before anything is planned by it."""


@dataclass(slots=True)
class ClockSteps:
    """Compares wall time with monotonic time, and with what the ledger has seen; wakes what sleeps too long.

    Finding, asking and the lock's keeper all look, side by side: one step is dealt with, and said, once.
    """

    _ahead: timedelta | None = field(default=None)
    """Wall time less monotonic time, when last looked."""
    _at_work: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from comparing until ledger and `_ahead` show that it is done."""

    async def look(self, context: Context) -> bool:
        """Wake every watch if the clock was set back since the last look; say whether it was. Raises PortError.

        A step ahead is noted: whoever leads next may have another clock.
        """
        if not self._step(context.clock):
            return False
        async with self._at_work:
            step = self._step(context.clock)  # unless who was at work has dealt with it
            if step > timedelta(0):
                await _note(context)
            if step < timedelta(0):
                await _wake(context, -step)
            self._ahead = _ahead_of(context.clock)
            return step < timedelta(0)

    async def look_at_the_books(self, context: Context) -> None:
        """Do the same by what was written last, too: the clock may have been set, or another's, while nobody ran."""
        await self.look(context)
        await self.by_the_books(context)
        await _note(context)

    async def by_the_books(self, context: Context) -> QuickMark | None:
        """Wake every watch if the ledger has seen a time that is yet to come; give finding's mark. Raises PortError.

        Nobody writes a new mark before: a process that dies in between would leave no trace of what the clock has done.
        """
        async with self._at_work:
            mark = await QuickMark.read(context.ledger)
            noted = await context.ledger.mark(SEEN_MARK)
            seen = [datetime.fromisoformat(noted)] if noted else []
            if mark is not None:
                seen.append(mark.seen_at)
            back = max(seen, default=context.clock.now()) - context.clock.now()
            if back > WORTH_A_WORD:
                mark = await _wake(context, back)
                self._ahead = _ahead_of(context.clock)
            return mark

    def _step(self, clock: Clock) -> timedelta:
        """Say how far the clock was set since the last look; nothing where it was kept right, or in small steps."""
        ahead = _ahead_of(clock)
        step = timedelta(0) if self._ahead is None else ahead - self._ahead
        if abs(step) > WORTH_A_WORD:
            return step
        self._ahead = ahead
        return timedelta(0)


def _ahead_of(clock: Clock) -> timedelta:
    return timedelta(seconds=clock.now().timestamp() - clock.monotonic())


async def _note(context: Context) -> None:
    await context.ledger.set_mark(SEEN_MARK, context.clock.now().isoformat())


async def _wake(context: Context, back: timedelta) -> QuickMark | None:
    """Wake them, and have the marks say no more than that it is now: so it is done, and said, once."""
    now = context.clock.now()
    woken = await context.ledger.wake_later(now)
    mark = await QuickMark.read(context.ledger)
    if mark is not None and mark.seen_at > now:
        mark = replace(mark, seen_at=now)
        await mark.keep(context.ledger)
    await _note(context)
    context.events.emit(ClockSetBack(by=back, orders=woken))
    return mark
