"""How much was broken in a whole run: each test counts for itself, in whichever process it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

COUNTED: Final = "chaos"
"""The property of a test's report that holds its counts."""
AT_LEAST: Final[Mapping[str, int]] = {"kills": 300, "restarts": 20, "races": 5000}
"""Fewer prove too little, whatever has passed."""


@dataclass
class Count:
    """The counts of all tests that have ended."""

    done: Counter[str] = field(default_factory=Counter)
    daemons: int = 0
    """The most that ran at once."""

    def add(self, properties: Iterable[tuple[str, object]]) -> None:
        """Add what a report says."""
        for name, counts in properties:
            if name == COUNTED and isinstance(counts, dict):
                self.daemons = max(self.daemons, counts.get("daemons", 0))
                self.done.update(counts)

    def lacks(self) -> str:
        """Say what was done too seldom; empty where nothing was."""
        return ", ".join(f"{count} {name}" for name, count in AT_LEAST.items() if self.done[name] < count)

    def told(self) -> str:
        """Sum it up in a line."""
        names = ("kills", "restarts", "races", "processes", "orders", "moved")
        said = "chaos: " + ", ".join(f"{self.done[name]:,} {name}" for name in names)
        lacks = self.lacks()
        return f"{said}; up to {self.daemons} daemons at once" + (
            f"; a whole run has at least {lacks}" if lacks else ""
        )
