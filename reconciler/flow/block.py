"""Whether the shop's rows can be written at all: one order after another that cannot is no order's own trouble.

A table that is locked, a backup, an SQLite file with a long transaction; a right that our user lacks, a server that is
read-only: settling waits then as a whole, tries again now and then, and no order counts it. Asking goes on. It lives in
the process: whoever leads next finds out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reconciler.domain.order import OrderKey
from reconciler.domain.schedule import share_of
from reconciler.events.settling import SettleBlocked, SettleUnblocked
from reconciler.ports import Clock, Events, Shop

RUN: Final = 3
"""Different orders in a row whose rows are locked."""
WAIT_FIRST: Final = timedelta(seconds=30)
WAIT_MAX: Final = timedelta(minutes=5)
"""Between tries, of `RUN` orders at most each."""
SPREAD: Final = timedelta(seconds=20)
"""After a wait orders come in another sequence each time, within this: what stays locked cannot always be first."""


LOOK_FIRST: Final = timedelta(seconds=5)
"""Looking costs nothing, and whoever has just given the right is waiting to see it."""
WAITING_MAX: Final = 10_000
"""Orders that are woken when it is over; the others come by themselves, within `WAIT_MAX`."""
LOOK_WITHIN_S: Final = 5.0
"""After a wait the shop is looked at within that, before any order comes again."""


@dataclass(slots=True)
class Block:
    """What keeps every row from being written: since one could be written last, or since the shop says so itself."""

    shop: Shop
    clock: Clock
    events: Events
    since: datetime | None = None
    """When settling began to wait as a whole; None while it does not."""
    is_read_only: bool = False
    """Nothing can be written, by whomever's row: no lock is waited for."""
    _why: str = ""
    _said: set[str] = field(default_factory=set)
    _shows: bool = False
    """Whether the shop says of itself that it is read-only: then no order is tried for as long as it does."""
    _run: set[OrderKey] = field(default_factory=set)
    _wait: timedelta = WAIT_FIRST
    _waits: int = 0
    _until_s: float = 0.0
    _waiting: set[OrderKey] = field(default_factory=set)

    def wait(self, key: OrderKey) -> timedelta | None:
        """Say how long this order's row is not to be tried; None where it may be."""
        left_s = self._until_s - self.clock.monotonic()
        if self.since is None or (left_s <= 0 and not self._shows):
            return None
        if len(self._waiting) < WAITING_MAX:
            self._waiting.add(key)
        return timedelta(seconds=max(left_s, LOOK_WITHIN_S if self._shows else 0.0)) + SPREAD * share_of(
            f"{key} {self._waits}"
        )

    async def look(self, *, at_once: bool = False) -> Sequence[OrderKey]:
        """Ask the shop whether rows can be written, where it said that they cannot; `at_once` whatever it said.

        Gives the orders that have waited for it, once they can. Writes nothing anywhere, so that a right that is
        missing for a week leaves no trace but the line at each end. Raises PortError.
        """
        is_time = self._shows and self.clock.monotonic() >= self._until_s
        if not (at_once or is_time):
            return ()
        if obstacle := await self.shop.obstacle():
            self._shows = True
            self._read_only(obstacle)
            return ()
        waiting = tuple(self._waiting) if self._shows else ()
        if self._shows:
            self.free()
        return waiting

    async def read_only(self, why: str) -> None:
        """Hear from a row that was to be written that none can be. Raises PortError."""
        self._shows = bool(await self.shop.obstacle())
        self._read_only(why)

    def busy(self, key: OrderKey, why: str) -> bool:
        """Hear that an order's row was locked; say whether that is more than this order's trouble."""
        is_tried_twice = key in self._run
        self._run.add(key)
        if len(self._run) < RUN and not (is_tried_twice and self.since is not None):
            return self.since is not None
        is_alone = len(self._run) == 1  # no other order waits: then it is this one's trouble, too
        self.is_read_only = False
        self._stop(f"rows are locked: {why}", why)
        return not is_alone

    def free(self) -> None:
        """Hear that a row could be written, or was compared: the table answers."""
        self._run.clear()
        self._waiting.clear()
        if self.since is not None:
            since, self.since = self.since, None
            self.is_read_only = self._shows = False
            self.events.emit(SettleUnblocked(after=self.clock.now() - since))

    def forget(self) -> None:
        """Leave it to another: a standby writes nothing, and nothing is in its way."""
        self._run.clear()
        self._waiting.clear()
        self.since = None
        self.is_read_only = self._shows = False

    def told(self) -> tuple[str, ...]:
        """Say that settling waits, for whoever asks."""
        if self.since is None:
            return ()
        return (f"settling waits since {self.since.isoformat(timespec='seconds')}, {self._why}",)

    def _read_only(self, why: str) -> None:
        self.is_read_only = True
        self._stop(f"nothing can be written: {why}", why)

    def _stop(self, why: str, said: str) -> None:
        """Wait, longer each time. Said once for each thing that is in the way: a remedy may be half done."""
        self._run.clear()
        if self.since is None:
            self.since, self._wait = self.clock.now(), LOOK_FIRST if self._shows else WAIT_FIRST
            self._said.clear()
        kind = said if self.is_read_only else "locked"
        if kind not in self._said:
            self._said.add(kind)
            self.events.emit(SettleBlocked(why=said))
        self._why = why
        self._until_s = self.clock.monotonic() + self._wait.total_seconds()
        self._wait = min(self._wait * 2, WAIT_MAX)
        self._waits += 1
