"""The clock that a test's daemons go by: it can be set wrong, and time can pass without anybody having to wait for it.

What sleeps sleeps as long as ever: a daemon meets time that has passed as one does that got no processor meanwhile.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from reconciler.ops.clock import SystemClock
from tests.acceptance.nursery import MOVED


class MovingClock(SystemClock):
    """The right time, for gateways. Processes that are born with `file` go by it, too, but may be set wrong."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._wrong_by_s = 0.0
        self._passed_s = 0.0
        file.write_bytes(MOVED.pack(0, 0))

    def now(self) -> datetime:
        """Wall time, as far as it has come."""
        return super().now() + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Monotonic time, likewise."""
        return super().monotonic() + self._passed_s

    def set_wrong(self, seconds: float) -> None:
        """Let the processes' wall time be ahead by so much from now on: somebody has set it."""
        self._wrong_by_s = seconds
        self._put()

    def let_pass(self, seconds: float) -> None:
        """Let so much time have passed, for everybody."""
        self._passed_s += seconds
        self._put()

    def _put(self) -> None:
        with self.file.open("r+b") as file:  # in place: they have it mapped
            file.write(MOVED.pack(self._wrong_by_s, self._passed_s))
