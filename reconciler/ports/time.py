"""Time, and whoever listens."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from reconciler.events import Event  # every event comes with it, and who reads the ledger needs none


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Wall time, with an offset."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Events(Protocol):
    """Where events go: the log and the metrics."""

    def emit(self, event: Event) -> None:
        """Take one event of the catalogue."""
        ...
