"""Cases on a terminal: a number that somebody will copy is never broken over two lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from reconciler.cli.common import at, harmless, length
from reconciler.ports import Case

HEADINGS = ("id", "age", "kind", "order", "channel", "why")
GAP = "  "
WHY_CELLS_MIN = 40
"""With less room than this beside the rest, why stands on lines of its own."""
INDENT = 4


def state_of(case: Case) -> str:
    """Say how a case stands."""
    if case.ended_at:
        return f"ended {at(case.ended_at)}: {case.ending}{'; for good' if case.final else ''}"
    if case.snoozed_until and case.snoozed_until > datetime.now(UTC):
        return f"open, put off until {at(case.snoozed_until)}"
    return "open"


def print_table(cases: Sequence[Case]) -> None:
    """Print cases: laid out on a terminal; elsewhere one line a case, for grep."""
    now = datetime.now(UTC)
    rows = []
    for case in cases:
        state = state_of(case)
        why = case.why if state == "open" else f"{case.why} [{state}]"
        cells = (str(case.id), length(now - case.opened_at), case.kind.value, case.order_no, case.channel or "-", why)
        rows.append([harmless(cell) for cell in cells])
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    console = Console(highlight=False, markup=False)
    for line in laid_out(rows, console):
        print(line)


def laid_out(rows: Sequence[Sequence[str]], console: Console) -> Iterator[str]:
    """Lay out the rows for this width: why beside the rest with a hanging indent, or below it."""
    *columns, _ = zip(HEADINGS, *rows, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    before = sum(widths) + len(GAP) * len(widths)
    room = console.width - before
    is_narrow = room < WHY_CELLS_MIN
    yield _line([*HEADINGS[:-1], *(() if is_narrow else HEADINGS[-1:])], widths)
    for *cells, why in rows:
        indent = INDENT if is_narrow else before
        first, *more = _wrapped(why, console, max(console.width - indent, WHY_CELLS_MIN))
        if is_narrow:
            yield _line(cells, widths)
            yield " " * indent + first
        else:
            yield _line([*cells, first], widths)
        yield from (" " * indent + part for part in more)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *padded, last = [
        set_cell_size(cell, width) for cell, width in zip(cells, [*widths, cell_len(cells[-1])], strict=False)
    ]
    return GAP.join([*padded, last]).rstrip()


def _wrapped(text: str, console: Console, width: int) -> list[str]:
    return [line.plain.rstrip() for line in Text(text).wrap(console, width)] or [""]
