"""A channel's standing: whether it may be asked, and what a run of odd answers says about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from reconciler.domain.standing import Standing, pause_after
from reconciler.events.settling import ChannelPausedByHand
from reconciler.events.trouble import (
    ChannelAtFullRate,
    ChannelAvailable,
    ChannelClockOff,
    ChannelClockRight,
    ChannelPaused,
    ChannelResumed,
    ChannelThrottled,
    ChannelUnavailable,
)
from reconciler.flow.clock_off import PAUSES_OVER, ClockOff, said_off, side_ahead
from reconciler.flow.context import Context
from reconciler.flow.doubt import Doubt
from reconciler.flow.reach import FLAPS_WITHIN, Reach
from reconciler.flow.throttling import Throttling
from reconciler.ports import Gateway, HeldUp, LedgerUnavailable, Pacer

REJECTED_RUN = 10
BY_HAND_MARK = "channel.paused_by_hand."
ODD_MAX = 10_000
PROBE_FIRST = timedelta(seconds=30)
PROBE_MAX = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ByHand:
    """That a person has switched a channel off."""

    since: str
    by: str
    why: str = "paused by hand"


@dataclass(slots=True)
class Channel:
    """One channel: its gateway, its pace, its standing. What must outlive the process is kept as marks."""

    gateway: Gateway
    pacer: Pacer
    paused_since: datetime | None = None
    paused_why: str = ""
    paused_for: Standing = Standing.MISCONFIGURED
    """What sort of pause it is, while it is paused."""
    probe_at: datetime | None = None
    probe_wait: timedelta = PROBE_FIRST
    by_hand: ByHand | None = None
    """Whose hand has switched it off, if anybody's has: then it is not even probed."""
    reach: Reach = field(default_factory=Reach)
    throttling: Throttling = field(default_factory=Throttling)
    clock: ClockOff = field(default_factory=ClockOff)
    doubt: Doubt = field(default_factory=Doubt)
    _resumed_at: datetime | None = None
    _untrusted: set[str] = field(default_factory=set)
    _rejected: set[str] = field(default_factory=set)
    _blamed: str | None = None
    """The number whose refusal paused the channel."""
    _odd: set[str] = field(default_factory=set)
    """Numbers whose refusal was found to be their own: another number was answered while the channel was paused."""

    @property
    def name(self) -> ChannelName:
        """The channel's name."""
        return self.gateway.channel

    @property
    def in_doubt(self) -> bool:
        """Whether each of its last asks came back NotCreated: no watch ends on that."""
        return self.doubt.since is not None

    @property
    def by_hand_mark(self) -> str:
        """The mark that says that a person has switched it off."""
        return f"{BY_HAND_MARK}{self.name}"

    @property
    def standings(self) -> frozenset[Standing]:
        """What is the matter with it now."""
        matters = {
            Standing.BY_HAND: self.by_hand is not None,
            self.paused_for: self.paused_since is not None,
            Standing.UNAVAILABLE: self.reach.away_since is not None,
            Standing.BREAKER_OPEN: self.pacer.is_open,
            Standing.THROTTLED: self.throttling.since is not None,
            Standing.IN_DOUBT: self.in_doubt,
        }
        return frozenset(standing for standing, is_so in matters.items() if is_so)

    def room(self, now: datetime) -> int:
        """Say how many asks may be started: one probe now and then while paused, else what its pace allows."""
        if self.by_hand is not None:
            return 0
        if self.paused_since is None:
            return self.pacer.room()
        # A probe that seems far off was planned by a clock that has been set back since.
        waits = self.probe_at is not None and now < self.probe_at <= now + PROBE_MAX
        return 0 if waits else 1

    async def restore(self, context: Context) -> None:
        """Take up the standing that an earlier leader left."""
        paused = await context.ledger.mark(f"channel.paused.{self.name}")
        if paused:
            kept = json.loads(paused)
            self.paused_since, self.paused_why = datetime.fromisoformat(kept["since"]), kept["why"]
            self.paused_for = Standing(kept.get("for", Standing.MISCONFIGURED.value))  # version 0.1 did not keep it
        await self.doubt.restore(context.ledger, self.name)
        kept_by_hand = await context.ledger.mark(self.by_hand_mark)
        was, self.by_hand = self.by_hand, ByHand(**json.loads(kept_by_hand)) if kept_by_hand else None
        if self.by_hand is not None and was is None:
            context.events.emit(ChannelPausedByHand(channel=self.name, by=self.by_hand.by))

    def own_fault(self, number: str, reply: Reply) -> Reply:
        """Take a refusal of the whole channel for one of this number, where others have disproved it."""
        if number not in self._odd or not isinstance(reply.answer, Misconfigured):
            return reply
        return replace(reply, answer=Rejected(f"{reply.answer.reason}; other numbers of this channel are answered"))

    def in_time(self, reply: Reply, tolerance: timedelta) -> Reply:
        """Leave a reply unjudged where our clock, when it is wrong, would make something else of it.

        Ages are counted by that clock, the last one too: no watch may end by it. What is proven is proven whatever the
        time, as far as its own times can be compared: within `tolerance`.
        """
        off = reply.clock_off
        if off is None or abs(off) <= PAUSES_OVER:
            return reply
        by_the_clock = isinstance(reply.answer, Unpaid | NotCreated)
        if not by_the_clock and not (self.clock.is_off and abs(off) > tolerance):
            return reply
        return replace(reply, answer=Unavailable(f"not judged: {said_off(off)}"), verified=False)

    async def hear(self, context: Context, numbers: Sequence[str], replies: Sequence[Reply]) -> None:
        """Learn from replies: pause, resume, doubt, outage, throttling, clock; and say so once each."""
        probing = self.paused_since is not None  # else they were asked before a pause, and neither end nor prolong it
        for number, reply in zip(numbers, replies, strict=True):
            context.tally.asked[self.name, type(reply.answer).__name__] += 1
            if isinstance(reply.answer, Rejected) and reply.evidence is None:
                continue  # by ourselves: the gateway was not asked, and nothing is learnt about it
            self._note_clock(context, reply)
            why = self._reason_to_pause(number, reply, context.policy.untrusted_limit)
            clock = self._clocks_reason(context, reply)
            if why or clock:
                cause = pause_after(reply.answer, by_clock=bool(clock))
                await self._pause(context, "; ".join(text for text in (why, clock) if text), cause, probing=probing)
            elif self.paused_since and probing:
                await self._note_probe(context, number, reply)
            await self._note_reach(context, reply)
            await self._note_throttling(context, number, reply)
            await self.doubt.hear(self.name, number, reply, context.ledger, context.clock, context.events)

    def _reason_to_pause(self, number: str, reply: Reply, untrusted_limit: int) -> str:
        match reply.answer:
            case Misconfigured(reason):
                self._blamed = number
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

    # ------------------------------------------------------------------------------------------------- pause and probes

    async def _pause(self, context: Context, why: str, cause: Standing, *, probing: bool) -> None:
        now = context.clock.now()
        if self.paused_since is not None:
            if probing:
                self.probe_wait = min(self.probe_wait * 2, PROBE_MAX)
                self.probe_at = now + self.probe_wait
            return
        held_up = await self._held_up(context)
        kept = json.dumps({"since": now.isoformat(), "why": why, "for": cause.value})
        await context.ledger.set_mark(f"channel.paused.{self.name}", kept)
        again = self._resumed_at is not None and now - self._resumed_at < FLAPS_WITHIN
        self.probe_wait = min(self.probe_wait * 2, PROBE_MAX) if again else PROBE_FIRST
        self.probe_at = now + self.probe_wait
        self.paused_since, self.paused_why, self.paused_for = now, why, cause
        context.events.emit(
            ChannelPaused(channel=self.name, why=why, orders_waiting=held_up.orders if held_up else None)
        )

    async def _note_probe(self, context: Context, number: str, reply: Reply) -> None:
        """Resume on a probe that worked; on one that told nothing, wait for the next."""
        now = context.clock.now()
        if isinstance(reply.answer, Unavailable | Untrusted | Throttled):
            self.probe_at = now + self.probe_wait
            return
        since = self.paused_since or now
        if self._blamed is not None and self._blamed != number and len(self._odd) < ODD_MAX:
            self._odd.add(self._blamed)
        self._blamed = None
        held_up = await self._held_up(context)
        await context.ledger.set_mark(f"channel.paused.{self.name}", "")
        self.paused_since, self.paused_why, self._resumed_at = None, "", now
        self._untrusted.clear()
        self._rejected.clear()
        context.events.emit(
            ChannelResumed(
                channel=self.name,
                after=max(now - since, timedelta(0)),
                orders_held_up=held_up.orders if held_up else None,
                longest=_longest(held_up, since, now),
            )
        )

    # ------------------------------------------------------------------------------------------- what befalls a channel

    async def _note_reach(self, context: Context, reply: Reply) -> None:
        now = context.clock.now()
        if isinstance(reply.answer, Unavailable):
            if self.reach.failed(now):
                held_up = await self._held_up(context)
                orders = held_up.orders if held_up else None
                context.events.emit(
                    ChannelUnavailable(channel=self.name, why=reply.answer.reason, orders_waiting=orders)
                )
        elif not isinstance(reply.answer, Untrusted) and (since := self.reach.reached()) is not None:
            held_up = await self._held_up(context)
            context.events.emit(
                ChannelAvailable(
                    channel=self.name,
                    after=max(now - since, timedelta(0)),
                    orders_held_up=held_up.orders if held_up else None,
                    longest=_longest(held_up, since, now),
                )
            )

    async def _note_throttling(self, context: Context, number: str, reply: Reply) -> None:
        now = context.clock.now()
        match reply.answer:
            case Throttled():
                if self.throttling.throttled(number, now):
                    held_up = await self._held_up(context)
                    orders = held_up.orders if held_up else None
                    context.events.emit(ChannelThrottled(channel=self.name, orders_waiting=orders))
            case Paid() | Refunded() | Unpaid() | NotCreated() | Closed():
                if (over := self.throttling.answered(number, now)) is not None:
                    context.events.emit(
                        ChannelAtFullRate(
                            channel=self.name, after=over.after, orders_held_up=over.orders, longest=over.longest
                        )
                    )
            case Unavailable() | Untrusted() | Misconfigured() | Rejected() | Unrecognised():
                pass

    def _note_clock(self, context: Context, reply: Reply) -> None:
        off = reply.clock_off
        believe = isinstance(reply.answer, Misconfigured)
        if off is None or not self.clock.hear(off, context.clock.monotonic(), believe=believe):
            return
        if self.clock.is_off:
            context.events.emit(ChannelClockOff(channel=self.name, off_by=abs(off), ahead=side_ahead(off)))
        else:
            context.events.emit(ChannelClockRight(channel=self.name, off_by=abs(off)))

    def _clocks_reason(self, context: Context, reply: Reply) -> str:
        """Say what the clock has to do with a pause, or that it is a reason by itself; empty where it has nothing."""
        if reply.clock_off is None:
            return ""
        now_s = context.clock.monotonic()
        return self.clock.reason_to_pause(reply.clock_off, now_s, failed=isinstance(reply.answer, Misconfigured))

    async def _held_up(self, context: Context) -> HeldUp | None:
        """Count what a trouble means; None where the ledger cannot say: the line is said all the same."""
        try:
            return await context.ledger.held_up(self.name, context.clock.now())
        except LedgerUnavailable:
            return None


def _longest(held_up: HeldUp | None, since: datetime, now: datetime) -> timedelta | None:
    """Say how long an order was held up at most by a trouble that began at `since`."""
    if held_up is None or held_up.since is None:
        return None
    return max(now - max(since, held_up.since), timedelta(0))
