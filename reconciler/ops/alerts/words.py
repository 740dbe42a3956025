"""Lines that fit: every text of an alert is masked, printable, and short, and what matters most is never cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.ops.value import visible
from reconciler.ports import BODY_BYTES_MAX, TITLE_BYTES_MAX

LINE_BYTES_MAX: Final = 240
LIST_BYTES_MAX: Final = 600
"""A list of kinds with their numbers, in one line."""
CUT: Final = "…"


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks, and what is never said."""

    about: str
    """Which shop, on which machine."""
    mask: Callable[[str], str]
    """The log's own: secrets and personal data become stars. It comes before any cut: half a secret is one."""

    def line(self, text: str, bytes_max: int = LINE_BYTES_MAX) -> str:
        """Give a text as one line of an alert."""
        return cut(visible(" ".join(self.mask(text).split())), bytes_max)

    def title(self, text: str) -> str:
        """Give the title: what happened, and where."""
        return self.line(f"{text} [{self.about}]", TITLE_BYTES_MAX)


def cut(text: str, bytes_max: int) -> str:
    """Cut what is longer, between two characters."""
    if len(text.encode("utf-8", "replace")) <= bytes_max:
        return text
    return text.encode("utf-8", "replace")[: bytes_max - len(CUT.encode())].decode("utf-8", "ignore") + CUT


def fitted(first: Sequence[str], more: Sequence[str], last: Sequence[str], bytes_max: int) -> str:
    """Join lines; of `more` as many as fit between `first` and `last`, which are kept."""
    left = bytes_max - _size([*first, *last])
    kept: list[str] = []
    for line in more:
        left -= _size([line])
        if left < 0:
            break
        kept.append(line)
    return cut("\n".join([*first, *kept, *last]), bytes_max)


def joined(sections: Sequence[Callable[[int], str]]) -> str:
    """Write each section into its share of a message's body."""
    share = BODY_BYTES_MAX // max(len(sections), 1) - len("\n\n")
    return "\n\n".join(section(share) for section in sections)


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode("utf-8", "replace")) + 1 for line in lines)
