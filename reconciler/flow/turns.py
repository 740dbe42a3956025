"""Turns: so many settlements a minute, in the order they came. Pure; times are monotonic seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Final

from reconciler.domain.order import OrderKey

MINUTE_S: Final = 60.0
MISSED_AFTER_S: Final = 60.0
"""Who has not come within that of his turn (the callback was faster, the gateway is away) holds nobody else up."""
FORGOTTEN_AFTER_S: Final = 3600.0
WAITING_MAX: Final = 10_000
"""Turns that are kept; whoever comes after them comes again, and asks anew."""


@dataclass(slots=True)
class Turns:
    """Who has settled within the last minute, and who waits for when."""

    per_minute: int
    _used: deque[float] = field(default_factory=deque)
    _waiting: dict[OrderKey, float] = field(default_factory=dict)

    def waiting(self, now_s: float) -> int:
        """How many wait, without those who have missed their turn."""
        return sum(turn + MISSED_AFTER_S >= now_s for turn in self._waiting.values())

    def take(self, key: OrderKey, now_s: float) -> float | None:
        """Take a turn now and give None, or give the moment to come back at. Who comes back keeps his place."""
        self._forget(now_s)
        turn = self._waiting.get(key)
        if turn is not None and turn > now_s:
            return turn
        ahead = len(self._used) + (self.waiting(now_s) if turn is None else 0)
        if ahead < self.per_minute:
            self._waiting.pop(key, None)
            self._used.append(now_s)
            return None
        # Who had a turn and found the minute full goes before those whose turns are yet to come.
        claims = [*self._used, *(self._waiting.values() if turn is None else ())]
        again: float = max(nlargest(self.per_minute, claims)[-1] + MINUTE_S, now_s)
        if key in self._waiting or len(self._waiting) < WAITING_MAX:
            self._waiting[key] = again
        return again

    def note(self, now_s: float, count: int) -> None:
        """Count settlements of before this process, as if they were made now."""
        self._used.extend([now_s] * min(count, self.per_minute))

    def _forget(self, now_s: float) -> None:
        """Leave behind what is older than a minute, and turns that nobody has come for in an hour."""
        while self._used and self._used[0] + MINUTE_S <= now_s:
            self._used.popleft()
        for key in [key for key, turn in self._waiting.items() if turn + FORGOTTEN_AFTER_S < now_s]:
            del self._waiting[key]
