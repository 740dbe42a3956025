"""A channel's standing: whether it may be asked, and what a run of odd answers says about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

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
)
from reconciler.domain.order import ChannelName
from reconciler.events.trouble import (
    ChannelAvailable,
    ChannelInDoubt,
    ChannelPaused,
    ChannelResumed,
    ChannelUnavailable,
)
from reconciler.flow.context import Context
from reconciler.ports import Gateway, Pacer

NOT_CREATED_RUN = 50
REJECTED_RUN = 10
UNAVAILABLE_RUN = 3
PROBE_FIRST = timedelta(seconds=30)
PROBE_MAX = timedelta(minutes=5)


@dataclass(slots=True)
class Channel:
    """One channel: its gateway, its pace, its standing. What must outlive the process is kept as marks."""

    gateway: Gateway
    pacer: Pacer
    paused_since: datetime | None = None
    paused_why: str = ""
    probe_at: datetime | None = None
    probe_wait: timedelta = PROBE_FIRST
    in_doubt: bool = False
    away_since: datetime | None = None
    _unavailable: int = 0
    _not_created: int = 0
    _untrusted: set[str] = field(default_factory=set)
    _rejected: set[str] = field(default_factory=set)

    @property
    def name(self) -> ChannelName:
        """The channel's name."""
        return self.gateway.channel

    def room(self, now: datetime) -> int:
        """Say how many asks may be started: one probe now and then while paused, else what its pace allows."""
        if self.paused_since is None:
            return self.pacer.room()
        return 1 if self.probe_at is None or now >= self.probe_at else 0

    async def restore(self, context: Context) -> None:
        """Take up the standing that an earlier leader left."""
        paused = await context.ledger.mark(f"channel.paused.{self.name}")
        if paused:
            kept = json.loads(paused)
            self.paused_since, self.paused_why = datetime.fromisoformat(kept["since"]), kept["why"]
        self.in_doubt = bool(await context.ledger.mark(f"channel.in_doubt.{self.name}"))

    async def hear(self, context: Context, numbers: Sequence[str], replies: Sequence[Reply]) -> None:
        """Learn from replies: pause, resume, doubt, and say so once each."""
        for number, reply in zip(numbers, replies, strict=True):
            context.tally.asked[self.name, type(reply.answer).__name__] += 1
            why = self._reason_to_pause(number, reply, context.policy.untrusted_limit)
            if why:
                await self._pause(context, why)
            elif self.paused_since and not isinstance(reply.answer, Unavailable | Untrusted | Throttled):
                await self._resume(context)
            self._note_reach(context, reply)
            await self._note_doubt(context, reply)

    def _reason_to_pause(self, number: str, reply: Reply, untrusted_limit: int) -> str:
        match reply.answer:
            case Misconfigured(reason):
                return reason
            case Untrusted(reason, unknown_serial=serial):
                self._untrusted.add(number)
                if serial:
                    return f"{reason}: signed with {serial}, which is not configured"
                if len(self._untrusted) >= max(untrusted_limit, 2):
                    return f"answers about {len(self._untrusted)} different orders prove nothing: {reason}"
            case Rejected(reason):
                self._rejected.add(number)
                if len(self._rejected) >= REJECTED_RUN:
                    return f"{len(self._rejected)} different orders refused in a row: {reason}"
            case Unavailable() | Throttled():
                pass
            case Paid() | Refunded() | Unpaid() | NotCreated() | Closed() | Unrecognised():
                self._rejected.clear()
                if reply.verified:
                    self._untrusted.clear()
        return ""

    async def _pause(self, context: Context, why: str) -> None:
        now = context.clock.now()
        self.probe_wait = min(self.probe_wait * 2, PROBE_MAX) if self.paused_since else PROBE_FIRST
        self.probe_at = now + self.probe_wait
        if self.paused_since is not None:
            return
        self.paused_since, self.paused_why = now, why
        kept = json.dumps({"since": now.isoformat(), "why": why})
        await context.ledger.set_mark(f"channel.paused.{self.name}", kept)
        context.events.emit(ChannelPaused(channel=self.name, why=why))

    async def _resume(self, context: Context) -> None:
        now = context.clock.now()
        since, self.paused_since, self.paused_why = self.paused_since or now, None, ""
        self._untrusted.clear()
        self._rejected.clear()
        await context.ledger.set_mark(f"channel.paused.{self.name}", "")
        context.events.emit(ChannelResumed(channel=self.name, after=now - since))

    def _note_reach(self, context: Context, reply: Reply) -> None:
        now = context.clock.now()
        if isinstance(reply.answer, Unavailable):
            self._unavailable += 1
            if self._unavailable == UNAVAILABLE_RUN and self.away_since is None:
                self.away_since = now
                context.events.emit(ChannelUnavailable(channel=self.name, why=reply.answer.reason))
            return
        self._unavailable = 0
        if self.away_since is not None:
            context.events.emit(ChannelAvailable(channel=self.name, after=now - self.away_since))
            self.away_since = None

    async def _note_doubt(self, context: Context, reply: Reply) -> None:
        if isinstance(reply.answer, NotCreated):
            self._not_created += 1
            if self._not_created == NOT_CREATED_RUN and not self.in_doubt:
                self.in_doubt = True
                await context.ledger.set_mark(f"channel.in_doubt.{self.name}", context.clock.now().isoformat())
                context.events.emit(ChannelInDoubt(channel=self.name, asks=self._not_created))
        elif isinstance(reply.answer, Paid | Refunded | Unpaid | Closed | Unrecognised):
            self._not_created = 0
            if self.in_doubt:
                self.in_doubt = False
                await context.ledger.set_mark(f"channel.in_doubt.{self.name}", "")
