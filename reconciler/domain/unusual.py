"""Whether a figure has left its usual range: a robust rule over a shop's own past, in words that show the figures.

What is usual is the median, and how far it strays the median of the distances from it (MAD): a bad day of the past
moves neither. A figure is unusual where it is beyond that range, beyond what nine of ten hours had, and where chance
alone hardly explains it, even at the edge of the range (Chernoff's bound on the binomial or the Poisson tail). So few
events prove nothing, and a shop with little traffic stays quiet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

HOURS_MIN: Final = 24
"""Hours of the past that a judgement needs; before, nothing is unusual."""
OF_MIN: Final = 20
"""Events of which a share is taken: no hour with fewer is judged, or counts as past."""
HITS_MIN: Final = 5
STUCK_MIN: Final = 10
CHANCE_MAX: Final = 1e-4
SPREADS: Final = 3.0
SIGMAS_PER_MAD: Final = 1.4826
SHARE_FLOOR: Final = 0.02
STUCK_FLOOR: Final = 3.0
"""How far the edge of the range is from the middle at least: where every hour was alike, one more is not unusual."""
OFTEN: Final = 0.9


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @property
    def part(self) -> float:
        """Between 0 and 1; 0 of 0 is 0."""
        return self.hits / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """What is usual."""

    middle: float
    often: float
    """Nine of ten hours had no more."""
    edge: float
    """What is beyond it may be unusual."""


def usual_share(past: Sequence[Share]) -> Range | None:
    """Learn from hours of the past; None where too few of them had enough events."""
    return _range([hour.part for hour in past if hour.of >= OF_MIN], SHARE_FLOOR)


def usual_number(past: Sequence[int]) -> Range | None:
    """Learn from a number as it was every hour; None where it is known of too few."""
    return _range(past, STUCK_FLOOR)


def is_share_unusual(now: Share, usual: Range | None) -> bool:
    """Whether a share is beyond its range, and not by chance."""
    if usual is None or now.of < OF_MIN or now.hits < HITS_MIN or now.part <= usual.edge:
        return False
    return now.of * _divergence(now.part, usual.edge) >= -math.log(CHANCE_MAX)


def is_share_usual_again(now: Share, usual: Range | None) -> bool:
    """Whether a share that was unusual is well within its range again: too few events say neither."""
    return usual is None or (now.of >= OF_MIN // 2 and now.part <= (usual.middle + usual.edge) / 2)


def is_number_unusual(now: int, usual: Range | None) -> bool:
    """Whether a number is beyond its range, and not by chance."""
    if usual is None or now < STUCK_MIN or now <= usual.edge:
        return False
    return now * math.log(now / usual.edge) - now + usual.edge >= -math.log(CHANCE_MAX)


def is_number_usual_again(now: int, usual: Range | None) -> bool:
    """Whether a number that was unusual is well within its range again."""
    return usual is None or now <= (usual.middle + usual.edge) / 2


def share_in_words(now: Share, usual: Range | None, days: int) -> str:
    """Show a share beside what is usual: `41 of 60 in the last hour, usually 2 %, …`."""
    said = f"{now.hits} of {now.of} in the last hour"
    if usual is None:
        return f"{said}; too little is known of the last {days} days to judge it"
    return (
        f"{said}, usually {_percent(usual.middle)}, at most {_percent(usual.often)} in nine of ten hours of {days} days"
    )


def number_in_words(now: int, usual: Range | None, days: int) -> str:
    """Show a number beside what is usual."""
    if usual is None:
        return f"{now} now; too little is known of the last {days} days to judge it"
    return f"{now} now, usually {usual.middle:g}, at most {usual.often:g} in nine of ten hours of {days} days"


def _range(past: Sequence[float], floor: float) -> Range | None:
    if len(past) < HOURS_MIN:
        return None
    middle = median(past)
    spread = SPREADS * SIGMAS_PER_MAD * median(abs(value - middle) for value in past)
    often = sorted(past)[math.ceil(OFTEN * len(past)) - 1]
    return Range(middle, often, max(middle + spread, often, middle + floor))


def _divergence(part: float, edge: float) -> float:
    """Kullback and Leibler's, of one coin from another: `n` times it bounds the chance of so many in `n`."""
    if edge >= 1:
        return 0.0
    rest = (1 - part) * math.log((1 - part) / (1 - edge)) if part < 1 else 0.0
    return part * math.log(part / edge) + rest


def _percent(part: float) -> str:
    return f"{part * 100:.0f} %" if part >= 0.1 or not part else f"{part * 100:.1f} %"  # noqa: PLR2004 # two digits
