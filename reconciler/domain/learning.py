"""Learn the ages to ask at from when this shop's buyers have paid: as few asks, or as little waiting, as can be had."""

from __future__ import annotations

import math
from bisect import bisect, insort
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

PAYMENTS_MIN = 100
"""So many payments of known delay, at least: fewer say nothing of the tail."""
FIRST_AGE = timedelta(seconds=15)
"""No age is earlier: an order is found so late that it would pass unasked."""
POINTS = 112
"""Ages to choose from, each longer than the one before by the same share: at most so many are chosen."""
SPREAD = 0.04
"""How far a payment seen speaks for moments around it, in natural logarithms of its delay."""
SEEN_MAX = 1000
"""So many delays are weighed; of more, as many in even steps."""
UNSEEN = 3
"""So many payments more are taken to have come at any time: what was never seen may be as likely (rule of three)."""
LONG_WAIT = timedelta(minutes=10)
"""Shorter waits weigh by their square root, that many stay short; longer ones by their length, that none grows."""
SEARCHES = 40
EXPONENT_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Payments:
    """What the ledger knows of when a shop's buyers pay."""

    delays: tuple[timedelta, ...]
    """From order to payment, of payments found by asking: when buyers pay, be their callbacks lost or not."""
    orders: int
    """Orders watched to their end."""
    paid: int
    """Of those, the ones that the shop's table or a gateway showed paid."""


def learned_ages(seen: Payments, per_order: float, last: timedelta) -> tuple[timedelta, ...] | None:
    """Give the ages that let the payments seen wait least, at `per_order` asks an order or fewer, ending with `last`.

    None while too few were seen. The last age stays whatever it costs.
    """
    if len(seen.delays) < PAYMENTS_MIN or seen.paid <= 0:
        return None
    points = _points(last)
    delays_log = [math.log(max(delay.total_seconds(), 1.0)) for delay in _fewer(sorted(seen.delays))]
    paid_by = [_paid_by(math.log(point), math.log(points[0]), math.log(points[-1]), delays_log) for point in points]
    share = seen.paid / seen.orders
    pending = [1.0 - share * by for by in paid_by]
    waiting = _waiting(points, paid_by)
    cheap, dear = 1e-6, 1e9  # the price of an ask, in waiting: the list grows shorter with it
    for _ in range(SEARCHES):
        price = math.sqrt(cheap * dear)
        if sum(pending[place] for place in _chosen(waiting, pending, price)) > per_order:
            cheap = price
        else:
            dear = price
    places = _filled(_chosen(waiting, pending, dear), waiting, pending, per_order)
    return tuple(timedelta(seconds=round(points[place])) for place in places)


def _fewer(delays: Sequence[timedelta]) -> list[timedelta]:
    count = min(len(delays), SEEN_MAX)
    return [delays[place * len(delays) // count] for place in range(count)]


def _points(last: timedelta) -> list[float]:
    first, end = FIRST_AGE.total_seconds(), last.total_seconds()
    return [first * (end / first) ** (place / (POINTS - 1)) for place in range(POINTS)]


def _paid_by(at_log: float, first_log: float, last_log: float, delays_log: Sequence[float]) -> float:
    """Give the share of payments that come by then: each seen one spread around its delay, and those unseen."""
    seen = sum(1 / (1 + math.exp(min((delay - at_log) / SPREAD, EXPONENT_MAX))) for delay in delays_log)
    unseen = UNSEEN * (at_log - first_log) / (last_log - first_log)
    return (seen + unseen) / (len(delays_log) + UNSEEN)


def _waiting(points: Sequence[float], paid_by: Sequence[float]) -> list[list[float]]:
    """Give, for each point and each before it, what the payments between wait when those two are asked at in a row."""
    starts = [0.0, *points]
    shares = [after - before for before, after in pairwise([0.0, *paid_by])]
    middles = [(before + after) / 2 for before, after in pairwise(starts)]
    table = []
    for end, point in enumerate(points):
        total, row = 0.0, [0.0] * (end + 1)
        for place in range(end, -1, -1):
            total += shares[place] * _weight(point - middles[place])
            row[place] = total
        table.append(row)
    return table


def _weight(wait_s: float) -> float:
    long = wait_s / LONG_WAIT.total_seconds()
    return math.sqrt(long) + long


def _chosen(waiting: Sequence[Sequence[float]], pending: Sequence[float], price: float) -> list[int]:
    """Choose the points, the last among them, where waiting and the price of the asks are least together."""
    best, came_from = [0.0], [0]
    for end, row in enumerate(waiting):
        least, start = min((best[place] + cost, place) for place, cost in enumerate(row))
        best.append(least + price * pending[end])
        came_from.append(start)
    chosen, place = [], len(pending)
    while place > 0:
        chosen.append(place - 1)
        place = came_from[place]
    return chosen[::-1]


def _filled(
    chosen: Sequence[int], waiting: Sequence[Sequence[float]], pending: Sequence[float], per_order: float
) -> list[int]:
    """Spend the asks that are left, too small for the next price, on those points that save most waiting for one."""
    places = list(chosen)
    for _ in range(len(pending) - len(places)):
        left = per_order - sum(pending[place] for place in places)
        free = [place for place in range(places[-1]) if place not in places and pending[place] <= left]
        if not free:
            break
        insort(places, max(free, key=lambda place: _saved(place, places, waiting) / pending[place]))
    return places


def _saved(place: int, places: Sequence[int], waiting: Sequence[Sequence[float]]) -> float:
    """Give the waiting that one more point saves between its neighbours."""
    at = bisect(places, place)
    start, end = (places[at - 1] + 1 if at else 0), places[at]
    return waiting[end][start] - waiting[place][start] - waiting[end][place + 1]
