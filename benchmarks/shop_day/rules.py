"""When each rule asks: those of other programs, and ours as the flow plays it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from benchmarks.shop_day.day import DAY, HOUR, MINUTE, STEADY, VALID_FOR_S, OrderOfDay, draw
from reconciler.domain.learning import Payments, learned_ages
from reconciler.domain.policy import DEFAULT_AGES, Policy
from reconciler.domain.schedule import jittered, next_ask
from reconciler.flow.find import FindPolicy
from reconciler.settings.model import AskSettings

MIDNIGHT: Final = datetime(2026, 11, 29, tzinfo=UTC)


class Rule(Protocol):
    """Says when an order is asked about; seconds from midnight, infinite: never again."""

    @property
    def name(self) -> str:
        """Whose it is."""

    @property
    def newest_first(self) -> bool:
        """Which orders go first where more are due than the rate allows: the newest, or who has waited longest."""

    @property
    def grace_s(self) -> float:
        """A younger payment is left to its callback, and asked about again when it is that old."""

    def next(self, order: OrderOfDay, asked_at: float | None, times: int) -> float:
        """Give the next ask after the last one; None: not asked yet."""


@dataclass(frozen=True, slots=True)
class Window:
    """Orders of these ages are asked about at each tick of a clock."""

    from_s: float
    until_s: float
    every_s: float


@dataclass(frozen=True, slots=True)
class Ticks:
    """A scheduled job that asks about all pending orders of some age."""

    name: str
    windows: tuple[Window, ...]
    newest_first: bool = False
    grace_s: float = 0.0

    def next(self, order: OrderOfDay, asked_at: float | None, times: int) -> float:  # noqa: ARG002 # the Protocol's
        """Take the first tick at which the order is in a window."""
        after = order.created if asked_at is None else asked_at
        return min((_tick(window, order.created, after) for window in self.windows), default=math.inf)


def _tick(window: Window, created: float, after: float) -> float:
    start = max(created + window.from_s, math.nextafter(after, math.inf))
    tick = math.ceil(start / window.every_s) * window.every_s
    return tick if tick <= created + window.until_s else math.inf


@dataclass(frozen=True, slots=True)
class Gaps:
    """A ladder of waits, each counted from the ask before."""

    name: str
    gaps_s: tuple[float, ...]
    newest_first: bool = False
    grace_s: float = 0.0

    def next(self, order: OrderOfDay, asked_at: float | None, times: int) -> float:
        """Take the next rung."""
        if times >= len(self.gaps_s):
            return math.inf
        return (order.created if asked_at is None else asked_at) + self.gaps_s[times]


@dataclass(frozen=True, slots=True)
class Ages:
    """A ladder of ages, each counted from the order; one that was passed meanwhile is not made up for."""

    name: str
    ages_s: tuple[float, ...]
    newest_first: bool = False
    grace_s: float = 0.0

    def next(self, order: OrderOfDay, asked_at: float | None, times: int) -> float:  # noqa: ARG002 # the Protocol's
        """Take the next age."""
        after = -math.inf if asked_at is None else asked_at
        return next((order.created + age for age in self.ages_s if order.created + age > after), math.inf)


@dataclass(slots=True)
class Ours:
    """Ours, by the very functions of the flow: found at the next look, jittered, settled after the grace."""

    name: str
    ages: Sequence[timedelta] = DEFAULT_AGES
    newest_first: bool = True
    grace_s: float = Policy().grace.total_seconds()
    _planned: dict[str, tuple[timedelta, ...]] = field(default_factory=dict)

    def next(self, order: OrderOfDay, asked_at: float | None, times: int) -> float:  # noqa: ARG002 # the Protocol's
        """Ask the schedule."""
        ages = self._planned.get(order.number) or self._plan(order.number)
        every = FindPolicy().every.total_seconds()
        seen = math.ceil(order.created / every) * every if asked_at is None else asked_at
        answered = None if asked_at is None else _at(asked_at)
        due = next_ask(_at(order.created), answered, _at(seen), ages)
        return math.inf if due is None else (due - MIDNIGHT).total_seconds()

    def _plan(self, number: str) -> tuple[timedelta, ...]:
        plan = self._planned[number] = jittered(self.ages, number)
        return plan


def _at(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)


RIVALS: Final[tuple[Rule, ...]] = (
    Ticks("every minute from 10 min on (jeepay)", (Window(10 * MINUTE, VALID_FOR_S, MINUTE),)),
    Ticks("every minute within 10 min (yudao)", (Window(0.0, 10 * MINUTE, MINUTE),)),
    Ticks(
        "1-10 min, 10-60 min, 1-24 h (dax-pay)",
        (
            Window(MINUTE, 10 * MINUTE, MINUTE),
            Window(10 * MINUTE, HOUR, 10 * MINUTE),
            Window(HOUR, DAY, HOUR),
        ),
    ),
    Gaps("2, 3, 5, 10, 20, 30 min, one after another (roncoo)", tuple(n * MINUTE for n in (2, 3, 5, 10, 20, 30))),
    Ages("at 2, 3, 5, 10, 20, 30 min (roncoo, as ages)", tuple(n * MINUTE for n in (2, 3, 5, 10, 20, 30))),
    Gaps("60 s, then 5 x 300 s (Hyperswitch)", (60.0, 300.0, 300.0, 300.0, 300.0, 300.0)),
    Gaps("1 h, 1 d (Kill Bill)", (HOUR, DAY)),
    Ages("5 s, 30 s, 1, 3, 5, 10, 30 min (WeChat Pay's advice)", (5.0, 30.0, 60.0, 180.0, 300.0, 600.0, 1800.0)),
)

LISTS: Final = {
    "½": "1h 121m",
    "1¾": "108s 430s 14m 24m 40m 121m",
    "2": "59s 345s 640s 990s 26m 121m",
    "3½": "32s 50s 75s 4m 9m 16m 28m 121m",
    "5": "1m 2m 3m 5m 7m 10m 14m 18m 22m 26m 30m 40m 50m 65m 80m 100m 121m",
}
"""What `ask.ages` is set to where queries are few, or many; each ends right after the trade's own end, when every
answer is the last. Frozen: found on days 1 to 99, for the queries of one or two rivals each."""
PER_ORDER: Final = (2.0, 4.0, 7.0)
"""What `ask.per_order` is set to; 4 is its default. Frozen: chosen on days 1 to 99."""
WEEK_BEFORE: Final = range(1001, 1008)
"""The seeds of the steady days that the ages are learned from."""


def ours() -> tuple[Rule, ...]:
    """Give ours: the default of `ask.ages`, other lists for it, and what `ask.ages = "learned"` makes of a week."""
    seen = payments_of([draw(STEADY, seed) for seed in WEEK_BEFORE])
    learned = ((share, learned_ages(seen, share, DEFAULT_AGES[-1])) for share in PER_ORDER)
    return (
        Ours("ours, as shipped"),
        *(Ours(f"ours, listed, {share} an order", _ages(listed)) for share, listed in LISTS.items()),
        *(Ours(f"ours, learned, {share:g} an order", ages) for share, ages in learned if ages),
    )


def _ages(listed: str) -> tuple[timedelta, ...]:
    """Read a list as the configuration does."""
    return AskSettings.model_validate({"ages": listed.split()}).ages


def payments_of(days: Sequence[Sequence[OrderOfDay]]) -> Payments:
    """Give what the ledger would know of these days: delays of those payments alone that had to be asked for."""
    orders = [order for day in days for order in day]
    delays = tuple(timedelta(seconds=order.paid - order.created) for order in orders if order.first_failed)
    return Payments(delays, len(orders), sum(not math.isinf(order.paid) for order in orders))
