"""Columns on a terminal: a number that somebody will copy is never broken over two lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

GAP = "  "
WHY_CELLS_MIN = 40
"""With less room than this beside the rest, why stands on lines of its own."""
INDENT = 4
LEAST_NEEDED = ("amount", "channel")
"""Columns, the first to go first: `cases show` has them."""


def laid_out(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay out the rows for this width: why beside the rest with a hanging indent, or below it."""
    console = Console(highlight=False, markup=False)
    (headings, *rows), widths = _fitting([headings, *rows], console.width)
    before = sum(widths) + len(GAP) * len(widths)
    room = console.width - before
    is_narrow = room < WHY_CELLS_MIN
    yield _line([*headings[:-1], *(() if is_narrow else headings[-1:])], widths)
    for *cells, why in rows:
        indent = INDENT if is_narrow else before
        first, *more = _wrapped(why, console, max(console.width - indent, WHY_CELLS_MIN))
        if is_narrow:
            yield _line(cells, widths)
            yield " " * indent + first
        else:
            yield _line([*cells, first], widths)
        yield from (" " * indent + part for part in more)


def _fitting(lines: Sequence[Sequence[str]], cells: int) -> tuple[Sequence[Sequence[str]], list[int]]:
    """Leave out what is least needed where it is too narrow for all; give the lines, and how wide their columns are."""
    widths = _widths(lines)
    for name in LEAST_NEEDED:
        if sum(widths) + len(GAP) * (len(widths) - 1) <= cells:
            break
        place = lines[0].index(name)
        lines = [[*line[:place], *line[place + 1 :]] for line in lines]
        widths = _widths(lines)
    return lines, widths


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    *columns, _ = zip(*lines, strict=True)
    return [max(map(cell_len, column)) for column in columns]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *padded, last = [
        set_cell_size(cell, width) for cell, width in zip(cells, [*widths, cell_len(cells[-1])], strict=False)
    ]
    return GAP.join([*padded, last]).rstrip()


def _wrapped(text: str, console: Console, width: int) -> list[str]:
    return [line.plain.rstrip() for line in Text(text).wrap(console, width)] or [""]
