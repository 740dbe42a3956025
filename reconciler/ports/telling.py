"""What somebody is to be told of cases: that they opened, that they are still open, that they ended.

The ledger knows who was not told yet, so that a crash between a case and its message tells again rather than never.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.ports.records import Case

EXAMPLES: Final = 5
TOLD_AT_ONCE_MAX: Final = 200_000
"""Cases that one look counts; what is beyond them is told of with the next."""
REMINDED_EVERY: Final = timedelta(days=1)
REMINDED_TOGETHER: Final = timedelta(hours=20)
"""A reminder takes along whatever would come due so soon after it: one message a day, not one for each case."""


class News(Enum):
    """What there is to tell of a case."""

    OPENED = "opened"
    """Opened (or opened again), and no target has taken that yet."""
    STANDING = "standing"
    """Told of a day ago or more, still open, and not put off."""
    ENDED = "ended"
    """Told of once, and ended since. What ended before anybody was told of it is no news."""


@dataclass(frozen=True, slots=True)
class Look:
    """Which news are looked for: the same look finds the same again, but for what was told of meanwhile."""

    news: News
    kinds: frozenset[CaseKind]
    at: datetime
    entry: int
    """The chain's head when the look began: what is newer belongs to the next one."""


@dataclass(frozen=True, slots=True)
class CaseNews:
    """What a look found."""

    counts: tuple[tuple[CaseKind, int], ...] = ()
    """By kind, in the order of `CaseKind`; no more than `TOLD_AT_ONCE_MAX` together."""
    sums: tuple[Money, ...] = ()
    """What their orders amount to, by currency."""
    priced: int = 0
    """How many cases the sums are of: the amount of the others is not known."""
    examples: tuple[Case, ...] = ()
    """The first few, at most `EXAMPLES`."""

    @property
    def total(self) -> int:
        """How many cases there are."""
        return sum(count for _, count in self.counts)
