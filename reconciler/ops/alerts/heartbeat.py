"""The heartbeat: a GET each minute while the work goes on, so that somebody else notices when it does not.

In the manner of healthchecks.io and its like: silence raises the alarm there. So it is sent after progress only, and a
loop that hangs, a process that died and a machine that is gone are all told of by it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from reconciler.events.telling import HeartbeatFailed, HeartbeatRestored
from reconciler.ports import Clock, Events
from reconciler.transport import HttpRequest, Transport, TransportFailure

EVERY_S: Final = 60.0
PROGRESS_WITHIN_S: Final = 60.0
"""How old the last sign of life may be: a round that waits out an outage gives one at least twice a minute."""
WITHIN: Final = timedelta(seconds=10)
FAIL_WITHIN: Final = timedelta(seconds=3)
BODY_BYTES_MAX: Final = 64 * 1024
OK: Final = range(200, 300)


class Heartbeat:
    """Sends it, and says at each end when it is not taken."""

    def __init__(self, url: str, transport: Transport, events: Events, clock: Clock) -> None:
        self._url = url
        self._transport = transport
        self._events = events
        self._clock = clock
        self._failing_since: datetime | None = None

    async def keep(self, beat: Callable[[], float]) -> None:
        """Send it each minute in which `beat`, the monotonic time of the last sign of life, is fresh."""
        while True:
            if self._clock.monotonic() - beat() < PROGRESS_WITHIN_S:
                await self.send()
            await self._clock.sleep(EVERY_S)

    async def send(self) -> bool:
        """Send one; whether it was taken."""
        why = await self._get(self._url, WITHIN)
        if why and self._failing_since is None:
            self._failing_since = self._clock.now()
            self._events.emit(HeartbeatFailed(why=why))
        elif not why and self._failing_since is not None:
            after = max(self._clock.now() - self._failing_since, timedelta(0))
            self._failing_since = None
            self._events.emit(HeartbeatRestored(after=after))
        return not why

    async def fail(self) -> None:
        """Say that the process ends by a fault; nobody is told where that does not arrive."""
        await self._get(f"{self._url.rstrip('/')}/fail", FAIL_WITHIN)

    async def close(self) -> None:
        """Let go of its connections."""
        await self._transport.close()

    async def _get(self, url: str, within: timedelta) -> str:
        """Ask for it; give why it was not taken, empty where it was."""
        try:
            response = await self._transport.send(HttpRequest("GET", url, (("User-Agent", "reconciler"),)), within)
        except TransportFailure as failure:
            return failure.reason
        return "" if response.status in OK else f"it answered {response.status}"
