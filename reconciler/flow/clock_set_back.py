"""This machine's clock, set back: what was planned by the wrong time would be forgotten for as long as it was ahead."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from reconciler.events.trouble import ClockSetBack
from reconciler.flow.context import Context
from reconciler.flow.quick_mark import QuickMark

WORTH_A_WORD: Final = timedelta(minutes=1)
"""Less than that is how clocks are kept right."""


@dataclass(slots=True)
class ClockSteps:
    """Compares wall time with monotonic time, and with what the ledger has seen; wakes what sleeps too long."""

    _ahead: timedelta | None = field(default=None)
    """Wall time less monotonic time, when last looked."""

    async def look(self, context: Context) -> bool:
        """Wake every watch if the clock was set back since the last look; say whether it was. Raises PortError."""
        ahead = _wall(context) - timedelta(seconds=context.clock.monotonic())
        back = timedelta(0) if self._ahead is None else self._ahead - ahead
        if back > WORTH_A_WORD:
            await _wake(context, back)
        self._ahead = ahead
        return back > WORTH_A_WORD

    async def look_at_the_books(self, context: Context) -> None:
        """Do the same by the time that finding has written last, too: the clock may have been set while nobody ran."""
        await self.look(context)
        await by_the_books(context)


async def by_the_books(context: Context) -> QuickMark | None:
    """Wake every watch if finding has noted a time that is yet to come; give its mark. Raises PortError.

    Nobody writes a new mark before: a process that dies in between would leave no trace of what the clock has done.
    """
    mark = await QuickMark.read(context.ledger)
    if mark is None or (back := mark.seen_at - context.clock.now()) <= WORTH_A_WORD:
        return mark
    return await _wake(context, back)


def _wall(context: Context) -> timedelta:
    return timedelta(seconds=context.clock.now().timestamp())


async def _wake(context: Context, back: timedelta) -> QuickMark | None:
    """Wake them, and have the mark say no more than that it is now: so it is done, and said, once."""
    now = context.clock.now()
    woken = await context.ledger.wake_later(now)
    mark = await QuickMark.read(context.ledger)
    if mark is not None and mark.seen_at > now:
        mark = replace(mark, seen_at=now)
        await mark.keep(context.ledger)
    context.events.emit(ClockSetBack(by=back, orders=woken))
    return mark
