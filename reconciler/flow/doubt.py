"""Doubt: whether a channel knows any of our numbers. A wrong app_id or token looks just like pages nobody opened.

Two steps. From the fiftieth NotCreated in a row on, no watch of the channel ends on such an answer: that costs an ask
a day, and holds at once. A person is told when it has lasted an hour: the first walk over a shop with many pages that
nobody opened begins with such a run, too, and within minutes comes upon one that somebody did. What ends it is proof
alone: a verified answer about one of our numbers. All of it is kept as marks, so that one `run --once` after the other
comes to both steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from reconciler.domain.answer import (
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
    name_of,
)
from reconciler.domain.order import ChannelName
from reconciler.events.trouble import ChannelBeyondDoubt, ChannelInDoubt
from reconciler.ports import Clock, Events, Ledger

NOT_CREATED_RUN: Final = 50
SAID_AFTER: Final = timedelta(hours=1)
SAID_MARK: Final = "channel.in_doubt."
"""Of a doubt that a person was told of: since when."""
BEGUN_MARK: Final = "channel.all_not_created."
"""Of one that has begun: since when."""
RUN_MARK: Final = "channel.not_created_run."
"""Of one that has not: how many there were in a row."""
KEPT_EVERY: Final = 10
"""A process that is killed forgets fewer than so many."""


@dataclass(slots=True)
class Doubt:
    """One channel's run of numbers that nobody knows."""

    since: datetime | None = None
    """When it began; None while there is none."""
    is_said: bool = False
    _run: int = 0
    _kept: int = 0
    """The run as the ledger has it."""

    async def restore(self, ledger: Ledger, channel: ChannelName) -> None:
        """Take up what an earlier leader left."""
        said = await ledger.mark(SAID_MARK + channel)
        begun = said or await ledger.mark(BEGUN_MARK + channel)
        self.since = datetime.fromisoformat(begun) if begun else None
        self.is_said = bool(said)
        kept = int(await ledger.mark(RUN_MARK + channel) or 0)
        if kept != self._kept:  # another process has led meanwhile
            self._run = self._kept = kept

    async def keep(self, ledger: Ledger, channel: ChannelName) -> None:
        """Leave the run to whoever leads next."""
        if self._run != self._kept:
            await ledger.set_mark(RUN_MARK + channel, str(self._run))
            self._kept = self._run

    async def hear(
        self, channel: ChannelName, number: str, reply: Reply, ledger: Ledger, clock: Clock, events: Events
    ) -> None:
        """Learn from a reply about a number."""
        match reply.answer:
            case NotCreated():
                self._run += 1
                await self._grow(channel, ledger, clock, events)
            case Paid() | Refunded() | Unpaid() | Closed() | Unrecognised():
                if reply.verified:
                    self._run = 0
                    await self.keep(ledger, channel)
                    await self._end(channel, f"{number} is known: {name_of(reply.answer)}", ledger, clock, events)
            case Unavailable() | Throttled() | Untrusted() | Misconfigured() | Rejected():
                pass
            case _:
                assert_never(reply.answer)

    async def _grow(self, channel: ChannelName, ledger: Ledger, clock: Clock, events: Events) -> None:
        now = clock.now()
        if self.since is None and self._run >= NOT_CREATED_RUN:
            self.since = now
            await ledger.set_mark(BEGUN_MARK + channel, now.isoformat())
        elif self.since is None and self._run >= self._kept + KEPT_EVERY:
            await self.keep(ledger, channel)
        if self.since is None or self.is_said or now - self.since < SAID_AFTER:
            return
        await ledger.set_mark(SAID_MARK + channel, self.since.isoformat())
        self.is_said = True
        lasted = f"{(now - self.since) / timedelta(hours=1):.1f} h"
        why = f"the gateway has known none of the numbers that it was asked about for {lasted}"
        events.emit(ChannelInDoubt(channel=channel, asks=self._run, why=why))

    async def _end(self, channel: ChannelName, why: str, ledger: Ledger, clock: Clock, events: Events) -> None:
        if self.since is None:
            return
        after, is_said = max(clock.now() - self.since, timedelta(0)), self.is_said
        for mark in (BEGUN_MARK, *((SAID_MARK,) if is_said else ())):
            await ledger.set_mark(mark + channel, "")
        self.since, self.is_said = None, False
        if is_said:
            events.emit(ChannelBeyondDoubt(channel=channel, after=after, why=why))
