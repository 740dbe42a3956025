"""Play one rule on one day: which asks it makes, and when each paid order is moved."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Final

from benchmarks.shop_day.day import DAY, VALID_FOR_S, OrderOfDay
from benchmarks.shop_day.rules import Rule

RATE: Final = 40.0
"""Queries a second that two channels grant this shop, whatever the rule: twice the default of `channels.*.rate`."""
NEVER_COUNTS_S: Final = 2 * DAY
OLDEST_EVERY: Final = 4
"""Where the newest go first, every fourth ask is the oldest's."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    queries: int
    orders: int
    waits_s: tuple[float, ...]
    """From payment to recovery of each order whose first callback failed, ascending; infinite: never."""

    @property
    def per_order(self) -> float:
        """Queries an order."""
        return self.queries / self.orders

    def wait_min(self, share: float) -> float:
        """Give the wait, in minutes, that this share of the orders does not exceed."""
        place = math.ceil(share * len(self.waits_s)) - 1
        return self.waits_s[max(place, 0)] / 60

    @property
    def mean_min(self) -> float:
        """Give the mean wait, in minutes; what is never recovered counts as found at our last age, after two days."""
        return sum(min(wait, NEVER_COUNTS_S) for wait in self.waits_s) / len(self.waits_s) / 60

    @property
    def never(self) -> float:
        """The share that was never recovered."""
        return sum(math.isinf(wait) for wait in self.waits_s) / len(self.waits_s)


class _Queue:
    """The asks that are due, in the rule's own order."""

    def __init__(self, rule: Rule) -> None:
        self._newest_first = rule.newest_first
        self._later: list[tuple[float, int]] = []
        self._due: list[tuple[float, int]] = []
        self._oldest: list[int] = []
        self._waiting: set[int] = set()
        self._taken = 0

    def put(self, due: float, place: int) -> None:
        if not math.isinf(due):
            heapq.heappush(self._later, (due, place))

    def take(self, free_at: float) -> tuple[float, int] | None:
        """Give the next ask and when it is made; None where nothing is left."""
        if not self._waiting:
            if not self._later:
                return None
            free_at = max(free_at, self._later[0][0])
        while self._later and self._later[0][0] <= free_at:
            due, place = heapq.heappop(self._later)
            self._waiting.add(place)
            heapq.heappush(self._due, (-place if self._newest_first else due, place))
            heapq.heappush(self._oldest, place)
        self._taken += 1
        return free_at, self._next()

    def _next(self) -> int:
        by_age = self._newest_first and self._taken % OLDEST_EVERY == 0
        while True:
            place = heapq.heappop(self._oldest) if by_age else heapq.heappop(self._due)[1]
            if place in self._waiting:
                self._waiting.remove(place)
                return place


def play(rule: Rule, day: tuple[OrderOfDay, ...]) -> Played:
    """Ask by the rule until nothing is left to ask; at most `RATE` queries a second."""
    queue, moved = _Queue(rule), [order.told for order in day]
    times, free_at, queries = [0] * len(day), 0.0, 0
    for place, order in enumerate(day):
        queue.put(rule.next(order, None, 0), place)
    while taken := queue.take(free_at):
        now, place = taken
        order = day[place]
        if moved[place] <= now:
            continue  # the shop's row says so: nothing is asked
        queries += 1
        times[place] += 1
        free_at = now + 1 / RATE
        if order.paid <= now:
            if now - order.paid >= rule.grace_s:
                moved[place] = now
            else:
                times[place] -= 1
                queue.put(order.paid + rule.grace_s, place)
        elif not _is_closed(order, now):
            queue.put(rule.next(order, now, times[place]), place)
    waits = sorted(at - order.paid for at, order in zip(moved, day, strict=True) if order.first_failed)
    return Played(queries, len(day), tuple(waits))


def _is_closed(order: OrderOfDay, now: float) -> bool:
    """Whether the gateway answers, signed, that the trade is closed: whoever hears that need not ask again."""
    return not math.isinf(order.opened) and now >= order.created + VALID_FOR_S
