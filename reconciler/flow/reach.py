"""Whether a channel's gateway can be reached: an outage, told apart from asks that fail now and then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

UNAVAILABLE_RUN: Final = 3
FLAPS_WITHIN: Final = timedelta(minutes=10)
"""What follows an outage within this must last for a minute before it is one, and for longer each time."""
MUST_LAST_FIRST: Final = timedelta(minutes=1)
MUST_LAST_MAX: Final = timedelta(minutes=10)


@dataclass(slots=True)
class Reach:
    """A run of asks that could not be asked is an outage; the first that could be ends it."""

    away_since: datetime | None = None
    """The first failure of the outage; None while there is none."""
    _run: int = 0
    _run_since: datetime | None = None
    _must_last: timedelta = timedelta(0)
    _shaken_at: datetime | None = None
    """The last time that a run was long enough for an outage."""

    def failed(self, now: datetime) -> bool:
        """Hear that a gateway could not be asked; say whether an outage has begun by it."""
        self._run += 1
        self._run_since = self._run_since or now
        if self._run < UNAVAILABLE_RUN:
            return False
        if self._shaken_at is not None and now - self._shaken_at >= FLAPS_WITHIN:
            self._must_last = timedelta(0)
        self._shaken_at = now
        if self.away_since is not None or now - self._run_since < self._must_last:
            return False
        self.away_since = self._run_since
        return True

    def reached(self) -> datetime | None:
        """Hear that a gateway said something; give the beginning of the outage that it ends, if it ends one."""
        self._run, self._run_since = 0, None
        since, self.away_since = self.away_since, None
        if since is not None:
            self._must_last = min(max(self._must_last * 2, MUST_LAST_FIRST), MUST_LAST_MAX)
        return since
