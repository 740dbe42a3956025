"""How often there is something to be told: soon at first, then at most once in some minutes for as long as it rains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GATHER_S: Final = 10.0
"""What comes within so long of the first is told with it."""
APART_S: Final = 300.0
URGENT_APART_S: Final = 60.0


@dataclass(slots=True)
class Tempo:
    """When the next message may go; times are monotonic."""

    _since_s: float | None = None
    _sent_s: float | None = None

    def is_time(self, now_s: float, *, urgent: bool = False) -> bool:
        """Hear that there is news; say whether it is told now, or gathered, or waits for the last message's sake."""
        if self._since_s is None:
            self._since_s = now_s
        apart_s = URGENT_APART_S if urgent else APART_S
        is_apart = self._sent_s is None or now_s - self._sent_s >= apart_s
        return is_apart and (urgent or now_s - self._since_s >= GATHER_S)

    def sent(self, now_s: float) -> None:
        """Hear that somebody was told."""
        self._since_s, self._sent_s = None, now_s

    def is_apart(self, now_s: float) -> bool:
        """Whether the last message was long enough ago for another one that is not urgent."""
        return self._sent_s is None or now_s - self._sent_s >= APART_S

    def nothing(self) -> None:
        """Hear that there is no news (any more)."""
        self._since_s = None
