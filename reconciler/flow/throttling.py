"""Whether a gateway throttles a channel: from the first ask that came too fast until none has for a while."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reconciler.ports import HELD_UP_MAX

QUIET: Final = timedelta(minutes=2)
"""Throttling is over when a usable answer comes and no ask has been throttled for that long."""


@dataclass(frozen=True, slots=True)
class Eased:
    """What a time of throttling meant, now that it is over."""

    after: timedelta
    orders: int
    """Counted up to `HELD_UP_MAX`."""
    longest: timedelta
    """From an attempt's first throttled ask to its answer, at most."""


@dataclass(slots=True)
class Throttling:
    """Which attempts were throttled, and since when each waits."""

    since: datetime | None = None
    _last: datetime | None = None
    _numbers: set[str] = field(default_factory=set)
    _waiting: dict[str, datetime] = field(default_factory=dict)
    _longest: timedelta = timedelta(0)

    def throttled(self, number: str, now: datetime) -> bool:
        """Hear that an ask came too fast; say whether throttling has begun by it."""
        begins, self.since, self._last = self.since is None, self.since or now, now
        if number in self._numbers or len(self._numbers) < HELD_UP_MAX:
            self._numbers.add(number)
            self._waiting.setdefault(number, now)
        return begins

    def answered(self, number: str, now: datetime) -> Eased | None:
        """Hear a usable answer; give what throttling meant where that ends it."""
        if (waited_since := self._waiting.pop(number, None)) is not None:
            self._longest = max(self._longest, now - waited_since)
        if self.since is None or self._last is None or now - self._last < QUIET:
            return None
        longest = max([self._longest, *(now - since for since in self._waiting.values())])
        over = Eased(now - self.since, len(self._numbers), longest)
        self.since, self._last, self._longest = None, None, timedelta(0)
        self._numbers.clear()
        self._waiting.clear()
        return over
