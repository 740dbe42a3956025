"""The herald: tells people what goes wrong, from the process' first line to its last, across every reload."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from reconciler.alerting import Alerting, kept_up, open_alerting
from reconciler.events import Event
from reconciler.ops.alerts.case_teller import CaseTeller
from reconciler.ops.alerts.last_words import may_speak
from reconciler.ops.alerts.post import Post
from reconciler.ops.alerts.trouble_teller import TroubleTeller
from reconciler.ops.alerts.words import Voice
from reconciler.ports import Clock, Events, Ledger, PortError
from reconciler.settings.model import Settings

LAST_WORDS_WITHIN_S: Final = 10.0
ONCE_WITHIN_S: Final = 60.0


class Herald:
    """Implements `Events` for the daemon; silent until it is told who is to be told."""

    def __init__(self, events: Events, clock: Clock, mask: Callable[[str], str]) -> None:
        self._events = events
        self._clock = clock
        self._mask = mask
        self.alerting = Alerting(Post((), events, clock), Voice("", mask), None)
        """Who is told now."""
        self._next: Alerting | None = None
        self._teller = TroubleTeller(self.alerting.post, self.alerting.voice, clock)
        self._keeping: asyncio.Task[None] | None = None

    def emit(self, event: Event) -> None:
        """Learn of one line of the log."""
        self._teller.emit(event)

    def begin(self, settings: Settings) -> None:
        """Open what the configuration names. Raises EnvironmentUnusable."""
        self.alerting = open_alerting(settings, self._events, self._clock, self._mask)
        self._teller.take_over(self.alerting.post, self.alerting.voice)

    async def prepare(self, settings: Settings) -> None:
        """Open what a changed configuration names; taken over if all of it is sound. Raises EnvironmentUnusable."""
        if self._next is not None:
            await self._next.close()
        self._next = open_alerting(settings, self._events, self._clock, self._mask)

    async def take_over(self) -> None:
        """Go on with what was prepared."""
        if self._next is not None:
            former, self.alerting, self._next = self.alerting, self._next, None
            self._teller.take_over(self.alerting.post, self.alerting.voice)
            await former.close()

    async def __aenter__(self) -> Self:
        """Begin to look for troubles."""
        self._keeping = asyncio.create_task(kept_up("alerts", self._teller.keep, self._events, self._clock))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell nothing more."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self.close()

    async def tell_once(self, ledger: Ledger) -> None:
        """Tell of all cases there are to tell of, now: at the end of one pass, within a minute.

        Of troubles its exit code and its output speak: a pass remembers nothing, and would tell of them each time.
        """
        cases = CaseTeller(ledger, self.alerting.post, self.alerting.voice, self._clock)
        with contextlib.suppress(PortError, TimeoutError):  # untold, and so told of by the next pass
            async with asyncio.timeout(ONCE_WITHIN_S):
                await cases.turn(at_once=True)

    async def last_words(self, why: str) -> None:
        """Tell of the end of a process that was not told to end: once an hour, however often it is started again."""
        directory = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_WITHIN_S):
                if self.alerting.heartbeat is not None:
                    await self.alerting.heartbeat.fail()
                if may_speak(Path(directory) if directory else None, why, self._clock.now()):
                    await self._teller.turn(at_once=True)

    async def close(self) -> None:
        """Give up what is under way."""
        await self.alerting.close()
        if self._next is not None:
            await self._next.close()
