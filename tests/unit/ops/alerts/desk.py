"""A ledger that leads, targets that remember, and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from reconciler.domain.case import CaseKind
from reconciler.domain.order import OrderKey
from reconciler.ops.alerts.case_teller import CaseTeller
from reconciler.ops.alerts.post import Post, Route
from reconciler.ops.alerts.trouble_teller import TroubleTeller
from reconciler.ops.alerts.words import Voice
from reconciler.ports import Batch, CaseId, EndCases
from reconciler.testing.alerter import RecordingAlerter
from reconciler.testing.clock import ManualClock
from reconciler.testing.events import RecordingEvents
from reconciler.testing.ledger import MemoryLedger, Shelf
from reconciler.testing.ledger_examples import report

VOICE = Voice("shop.db orders on host", lambda text: text.replace("swordfish", "***"))


@dataclass
class Desk:
    """What a test of alerts works with."""

    clock: ManualClock = field(default_factory=ManualClock)
    shelf: Shelf = field(default_factory=Shelf)
    events: RecordingEvents = field(default_factory=RecordingEvents)
    target: RecordingAlerter = field(default_factory=RecordingAlerter)
    other: RecordingAlerter = field(default_factory=lambda: RecordingAlerter("alerts.targets[1] double://…"))
    leads: bool = True

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.shelf)

    def post(self, *routes: Route) -> Post:
        """Give a post with these routes, or with one to the first target."""
        return Post(routes or [Route("alerts.targets", (self.target,))], self.events, self.clock)

    async def open(self, *keys: str, kind: CaseKind = CaseKind.AMOUNT_MISMATCH) -> Sequence[CaseId]:
        """Open a case of each order."""
        reports = tuple(report(key, kind=kind) for key in keys)
        return [outcome.case for outcome in await self.ledger.record(Batch(cases=reports), self.clock.now())]

    async def end(self, *keys: str) -> None:
        """End the cases of each order."""
        ends = tuple(EndCases(OrderKey(key), "settled by T1") for key in keys)
        await self.ledger.record(Batch(ends=ends), self.clock.now())

    async def later(self, span: timedelta) -> None:
        """Let so much time pass by the wall clock, at once: by the other, there is a look each five seconds."""
        self.clock.set_wall(self.clock.now() + span)
        await self.clock.advance(20)

    @contextlib.asynccontextmanager
    async def telling_of_cases(self, *routes: Route) -> AsyncIterator[Post]:
        """Keep a teller of cases up."""
        post = self.post(*routes)
        keeping = asyncio.create_task(CaseTeller(self.ledger, post, VOICE, self.clock).keep(lambda: self.leads))
        await self.clock.sleep(0)
        try:
            yield post
        finally:
            await _end(keeping)
            await post.close()

    @contextlib.asynccontextmanager
    async def telling_of_troubles(self, *routes: Route) -> AsyncIterator[TroubleTeller]:
        """Keep a teller of troubles up."""
        post = self.post(*routes)
        teller = TroubleTeller(post, VOICE, self.clock)
        keeping = asyncio.create_task(teller.keep())
        await self.clock.sleep(0)
        try:
            yield teller
        finally:
            await _end(keeping)
            await post.close()

    @property
    def bodies(self) -> list[str]:
        """What the first target took."""
        return [message.body for message in self.target.messages]

    @property
    def titles(self) -> list[str]:
        """The titles of it."""
        return [message.title for message in self.target.messages]


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
