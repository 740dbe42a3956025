"""The figures as tables, as docs/performance.md shows them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.shop_day.play import Played

FIGURES: Final = ("median", "mean", "99th percentile", "never")


@dataclass(frozen=True, slots=True)
class Line:
    """One rule's figures on one kind of day."""

    name: str
    is_ours: bool
    per_order: float
    median: float
    mean: float
    last_hundredth: float
    """The 99th percentile; all three in minutes. Infinite: more than one in a hundred is never recovered."""
    never: float

    def worse(self, other: Line) -> list[str]:
        """Name the figures of recovery that are worse than the other's, as far as the table shows them."""
        return [name for name, one, two in zip(FIGURES, self.shown, other.shown, strict=True) if one > two]

    def asks_no_more(self, other: Line) -> bool:
        """Whether an order costs no more queries, to the hundredth that the table shows."""
        return round(self.per_order, 2) <= round(other.per_order, 2)

    @property
    def shown(self) -> tuple[float, ...]:
        """The same to the decimals that the table has: minutes to the hundredth, the share to the thousandth."""
        *minutes, never = self.recovery
        return *(round(wait, 2) for wait in minutes), round(never, 3)

    @property
    def recovery(self) -> tuple[float, float, float, float]:
        """What a buyer notices."""
        return self.median, self.mean, self.last_hundredth, self.never


def line_of(name: str, played: Sequence[Played], *, is_ours: bool) -> Line:
    """Sum up the days of one kind that one rule was played on."""
    together = Played(
        sum(one.queries for one in played),
        sum(one.orders for one in played),
        tuple(sorted(wait for one in played for wait in one.waits_s)),
    )
    waits = (together.wait_min(0.5), together.mean_min, together.wait_min(0.99))
    return Line(name, is_ours, together.per_order, *waits, together.never)


def figures(lines: Sequence[Line]) -> Iterator[str]:
    """Write every rule's figures."""
    yield "| rule | queries an order | median, min | mean, min | 99th percentile, min | never recovered |"
    yield "|---|---|---|---|---|---|"
    for line in lines:
        name = f"**{line.name}**" if line.is_ours else line.name
        waits = " | ".join(_minutes(wait) for wait in line.recovery[:3])
        yield f"| {name} | {line.per_order:.2f} | {waits} | {line.never:.1%} |"


def against_each(lines: Sequence[Line]) -> Iterator[str]:
    """Write, for each other rule, the best of ours that asks no more, and the cheapest that recovers no worse."""
    ours = sorted((line for line in lines if line.is_ours), key=lambda line: line.per_order)
    yield "| against | ours that asks no more | recovers | ours that recovers no worse | asks |"
    yield "|---|---|---|---|---|"
    for other in (line for line in lines if not line.is_ours):
        cheap = [line for line in ours if line.asks_no_more(other)]
        ahead = min(cheap, key=lambda line: (len(line.worse(other)), line.mean), default=None)
        no_worse = next((line for line in ours if not line.worse(other)), None)
        yield (
            f"| {other.name} | {ahead.name if ahead else 'none'} | {_compared(ahead, other)} | "
            f"{no_worse.name if no_worse else 'none'} | {_asks(no_worse, other)} |"
        )


def _compared(ours: Line | None, other: Line) -> str:
    if ours is None:
        return ""
    worse = ours.worse(other)
    return f"worse: {', '.join(worse)}" if worse else "no figure worse" if ours.shown == other.shown else "better"


def _asks(ours: Line | None, other: Line) -> str:
    return f"{ours.per_order:.2f} for {other.per_order:.2f}" if ours else ""


def _minutes(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.2f}"
