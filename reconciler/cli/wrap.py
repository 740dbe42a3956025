"""Lines on a terminal: broken between words alone, since a number that is cut in two cannot be copied."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Final, TextIO

ROOM_MIN: Final = 40
"""Cells that a line which goes on has for itself at least; with fewer it begins further to the left."""
GAP: Final = re.compile(r"(?:^ +|(?<=\S) {2,})(?=\S)")
"""What our lines have between their columns, and before the first."""
WORD: Final = re.compile(r" *(?:[A-Z]{3} \d[^ ]*|[^ ]+)")
"""A word with the blanks before it; an amount is one with its currency."""


def fitting(text: str, stream: TextIO) -> Iterator[str]:
    """Break a line for the terminal that it goes to; for anything else it stays one line."""
    if stream.isatty():
        yield from wrapped(text, shutil.get_terminal_size().columns)
    else:
        yield text


def wrapped(text: str, cells: int) -> Iterator[str]:
    """Break a line that is wider than that between words; it goes on below where its last column begins."""
    from rich.cells import cell_len  # noqa: PLC0415 # a pipe has no width, and spares the loading

    if cell_len(text) <= cells:
        yield text
        return
    begins = [cell_len(text[: gap.end()]) for gap in GAP.finditer(text)]
    indent = " " * max((begin for begin in begins if begin <= cells - ROOM_MIN), default=0)
    line = ""
    for word in WORD.findall(text):
        if line.strip() and cell_len(line + word) > cells:
            yield line
            line = indent + word.lstrip()
        else:
            line += word
    yield line
