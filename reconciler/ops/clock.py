"""The real clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Wall time in UTC; the log writes it in the machine's zone."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC, which is what systemd compares with."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; not at all where `seconds` is not positive."""
        await asyncio.sleep(seconds)
