"""How a benchmark says what it found: the command, a table, and each bound with whether it is met."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple


class Bound(NamedTuple):
    """One bound of issue and docs, in words, and what was measured."""

    words: str
    measured: float
    limit: float
    at_least: bool = True
    """Whether the limit is a least; else a most."""

    @property
    def is_met(self) -> bool:
        """Whether it holds."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def heading() -> None:
    """Print the command line, when and where."""
    command = " ".join(["python", str(Path(sys.argv[0])), *sys.argv[1:]])
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cores} cores (load {load:.1f})"
    print(f"{command}\n{at}, Python {platform.python_version()}\n")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as Markdown has it; the first column is words, the others are figures."""
    widths = [max(len(row[place]) for row in (headers, *rows)) for place in range(len(headers))]
    for at, row in enumerate((headers, *rows)):
        cells = [
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"| {' | '.join(cells)} |")
        if not at:
            print(
                f"|{'|'.join('-' * (width + 1) + ('-' if not place else ':') for place, width in enumerate(widths))}|"
            )
    print()


def bounds(found: Sequence[Bound]) -> int:
    """Print each bound; give how many are not met."""
    for bound in found:
        sign = ">=" if bound.at_least else "<="
        state = "met    " if bound.is_met else "NOT MET"
        print(f"{state}  {bound.words}: {bound.measured:.2f} (bound {sign} {bound.limit:g})")
    print()
    return sum(not bound.is_met for bound in found)
