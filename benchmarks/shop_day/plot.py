"""The figures as a picture: queries an order against minutes to recovery, one panel a kind of day."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.shop_day.table import Line

WIDTH, HEIGHT, MARGIN = 330.0, 300.0, 46.0
QUERIES: Final = (0.4, 40.0)
MINUTES: Final = (0.1, 4000.0)
"""What the axes show; "never" stands at the upper edge."""
TICKS_X: Final = (0.5, 1, 2, 5, 10, 20, 40)
TICKS_Y: Final = (0.1, 1, 10, 60, 1440)


def picture(panels: Mapping[str, Sequence[Line]]) -> str:
    """Draw it as SVG."""
    width = len(panels) * WIDTH + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {HEIGHT + 2 * MARGIN + 90:g}">',
        "<style>text { font-family: sans-serif; font-size: 11px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, (title, lines) in enumerate(panels.items()):
        parts += _panel(title, lines, MARGIN + place * WIDTH)
    parts += _legend(next(iter(panels.values())))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(title: str, lines: Sequence[Line], left: float) -> Iterator[str]:
    yield f'<text x="{left:g}" y="30" font-weight="bold">{escape(title)}</text>'
    for tick in TICKS_X:
        yield f'<text x="{_x(tick, left):.1f}" y="{HEIGHT + MARGIN + 14:g}" text-anchor="middle">{tick:g}</text>'
    for tick in TICKS_Y:
        y = _y(tick)
        yield f'<line x1="{left:g}" x2="{left + WIDTH - MARGIN:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{left - 4:g}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    yield f'<text x="{left:g}" y="{HEIGHT + MARGIN + 30:g}">queries an order; up: minutes, 50th (●) to 99th (○)</text>'
    number = 0
    for line in lines:
        number += not line.is_ours
        yield from _mark(line, left, "ours" if line.is_ours else str(number))


def _mark(line: Line, left: float, label: str) -> Iterator[str]:
    x, low, high = _x(line.per_order, left), _y(line.median), _y(line.last_hundredth)
    colour = "#c0392b" if line.is_ours else "#34495e"
    yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>'
    yield f'<circle cx="{x:.1f}" cy="{low:.1f}" r="3.5" fill="{colour}"/>'
    yield f'<circle cx="{x:.1f}" cy="{high:.1f}" r="3.5" fill="white" stroke="{colour}"/>'
    y = low + 14 if line.is_ours else high - 7
    yield f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{label}</text>'


def _legend(lines: Sequence[Line]) -> Iterator[str]:
    others = [line.name for line in lines if not line.is_ours]
    for place, name in enumerate(others):
        x, y = MARGIN + place % 2 * 1.5 * WIDTH, HEIGHT + 2 * MARGIN + 10 + place // 2 * 16
        yield f'<text x="{x:g}" y="{y:g}">{place + 1}  {escape(name)}</text>'


def _x(queries: float, left: float) -> float:
    return left + _share(queries, QUERIES) * (WIDTH - MARGIN)


def _y(minutes: float) -> float:
    return MARGIN + HEIGHT - _share(minutes, MINUTES) * HEIGHT


def _share(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return math.log(min(max(value, low), high) / low) / math.log(high / low)
