"""This machine's time, and how the gateways write it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Fixed: no summer time since 1991 (gateways.md 6)."""
LOCAL_FORMAT = "%Y-%m-%d %H:%M:%S"


class MachineClock:
    """The clock of this machine; it satisfies `reconciler.ports.Clock`."""

    def now(self) -> datetime:
        """Wall time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def beijing_text(moment: datetime) -> str:
    """Write a moment as Beijing local time without offset, as Alipay and many shops do."""
    return moment.astimezone(BEIJING).strftime(LOCAL_FORMAT)


def parse_beijing(text: str) -> datetime:
    """Read a Beijing local time. Raises ValueError."""
    return datetime.strptime(text, LOCAL_FORMAT).replace(tzinfo=BEIJING)
