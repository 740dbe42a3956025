"""A shop's day, drawn from one seed: orders, payments, callbacks. docs/performance.md says whence each figure is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
ORDERS: Final = 20_000
VALID_FOR_S: Final = 2 * HOUR
"""The trade's own end: nothing can be paid after it, and the gateway says so of a trade that it has."""

ALIPAY_AGAIN_S: Final = tuple(accumulate(60.0 * gap for gap in (4, 10, 10, 60, 120, 360, 900)))
WECHAT_AGAIN_S: Final = tuple(
    accumulate(60.0 * gap for gap in (0.25, 0.25, 0.5, 3, 10, 20, 30, 30, 30, 60, 180, 180, 180, 360, 360))
)
"""When a gateway repeats a callback that got no good answer, counted from the first."""

HOURLY: Final = (6, 4, 2, 1, 1, 1, 2, 4, 6, 9, 11, 12, 12, 11, 10, 10, 10, 10, 11, 13, 15, 15, 13, 10)
"""How many orders come in which hour, one beside the other."""
RUSH_AT_S: Final = 20 * HOUR
DOWN_FROM_S: Final = 20 * HOUR
DOWN_UNTIL_S: Final = 22 * HOUR


@dataclass(frozen=True, slots=True)
class Kind:
    """What tells one kind of day from another. Shares are from 0 to 1."""

    name: str
    abandoned: float = 0.25
    """Orders that nobody pays."""
    never_opened: float = 0.6
    """Of those, at Alipay: nobody opened the payment page, so no trade exists."""
    pays_after_s: float = 45.0
    """The median of those who pay at once: 88 of 100 payers."""
    fails: float = 0.01
    """Callbacks whose first delivery fails, on a usual minute."""
    for_good: float = 0.5
    """Of those, the ones that every repetition fails for, too: the shop's own code refuses them."""
    rush: float = 0.0
    """Orders that come in the rush of the evening."""
    fails_in_rush: float = 0.0
    """The same as `fails`, in the half hour from the rush on."""
    down: bool = False
    """No callback gets through for two hours of the evening, a repetition neither."""


STEADY: Final = Kind("steady")
FLASH: Final = Kind("flash sale", pays_after_s=30.0, rush=0.4, fails_in_rush=0.1)
DOWN: Final = Kind("callbacks down for two hours", down=True)
KINDS: Final = (STEADY, FLASH, DOWN)


@dataclass(frozen=True, slots=True)
class OrderOfDay:
    """One order as the day brings it; seconds from midnight, infinite where it never happens."""

    number: str
    created: float
    opened: float
    """From then on the gateway has a trade."""
    paid: float
    told: float
    """When a callback moves it, if nothing else has."""
    first_failed: bool
    """It was paid, and its first callback did not get through: the orders that recovery is for."""


def draw(kind: Kind, seed: int, orders: int = ORDERS) -> tuple[OrderOfDay, ...]:
    """Draw a day; the same for the same seed, in the order of creation."""
    random = Random(f"{kind.name} {seed}")  # noqa: S311 # a simulation, and to be repeated
    made = sorted(_created(kind, random) for _ in range(orders))
    return tuple(_order(kind, random, f"{seed}A{place}", created) for place, created in enumerate(made))


def _created(kind: Kind, random: Random) -> float:
    if random.random() < kind.rush:
        return RUSH_AT_S + min(random.expovariate(1 / (3 * MINUTE)), HOUR)
    (hour,) = random.choices(range(24), HOURLY)
    return (hour + random.random()) * HOUR


def _order(kind: Kind, random: Random, number: str, created: float) -> OrderOfDay:
    is_alipay = random.random() < 0.5
    if random.random() < kind.abandoned:
        opened = created
        if is_alipay:
            never = random.random() < kind.never_opened
            opened = math.inf if never else created + random.lognormvariate(math.log(30.0), 0.8)
        return OrderOfDay(number, created, opened, math.inf, math.inf, first_failed=False)
    delay = _pays_after(kind, random)
    paid = created + delay
    opened = created + delay * random.uniform(0.2, 0.8) if is_alipay else created
    first = paid + random.uniform(0.5, 5.0)
    if random.random() >= _fails(kind, first):
        return OrderOfDay(number, created, opened, paid, first, first_failed=False)
    again = ALIPAY_AGAIN_S if is_alipay else WECHAT_AGAIN_S
    told = math.inf if random.random() < _for_good(kind, first) else _told_again(kind, first, again)
    return OrderOfDay(number, created, opened, paid, told, first_failed=True)


def _pays_after(kind: Kind, random: Random) -> float:
    """Draw the time from order to payment: at once, slowly, or later on, from the list of one's orders."""
    draws: tuple[Callable[[], float], ...] = (
        lambda: random.lognormvariate(math.log(kind.pays_after_s), 0.7),
        lambda: random.lognormvariate(math.log(6 * MINUTE), 0.8),
        lambda: 20 * MINUTE * (VALID_FOR_S / (20 * MINUTE)) ** random.random(),
    )
    (one,) = random.choices(draws, (88, 10, 2))
    return min(max(one(), 3.0), VALID_FOR_S)


def _is_down(kind: Kind, at: float) -> bool:
    return kind.down and DOWN_FROM_S <= at < DOWN_UNTIL_S


def _fails(kind: Kind, at: float) -> float:
    if _is_down(kind, at):
        return 1.0
    return kind.fails_in_rush if kind.rush and RUSH_AT_S <= at < RUSH_AT_S + HOUR / 2 else kind.fails


def _for_good(kind: Kind, at: float) -> float:
    """Give the share that no repetition gets through for, of first deliveries that failed then."""
    return kind.for_good * kind.fails if _is_down(kind, at) else kind.for_good


def _told_again(kind: Kind, first: float, again: tuple[float, ...]) -> float:
    """Give the first repetition that gets through; only an outage keeps one from it."""
    return next((first + after for after in again if not _is_down(kind, first + after)), math.inf)
