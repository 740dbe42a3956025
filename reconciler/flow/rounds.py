"""Rounds: recover, take the lead, then turn: due asks continuously, finding at its interval.

The whole program in one page: a standby waits for the shop's lock; a leader looks at what a crash left behind,
then finds and asks until it is told to stop, or until shop or ledger fail, when it waits and begins again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.events.orders import SettleRecovered
from reconciler.events.running import LeadLost, LeadTaken, LeadWaiting
from reconciler.flow.ask import Asker
from reconciler.flow.away import WAIT_FIRST_S, Away
from reconciler.flow.bell import Bell, pause
from reconciler.flow.channel import Channel
from reconciler.flow.clock_set_back import ClockSteps
from reconciler.flow.context import Context, Tally
from reconciler.flow.find import Finder, FindPolicy
from reconciler.flow.judged import shows_payment
from reconciler.flow.learning import learn, take_up
from reconciler.flow.summary import summary_of
from reconciler.flow.together import together
from reconciler.ports import (
    Batch,
    EndCases,
    LedgerUnavailable,
    LockLost,
    OpenIntention,
    Outcome,
    PortError,
    ReplicaUnavailable,
    ShopUnavailable,
)

SHOP_MARK = "shop"
IDLE_MIN_S = 0.02
ROOM_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Tempo:
    """How long to wait, in seconds, where nothing wakes us."""

    lock_every: float = 2.0
    """Between two looks at the lock: whether it is still ours, or free."""
    idle_max: float = 5.0
    """Until a channel looks again for what is due, however far off that seems."""


@dataclass(slots=True)
class Rounds:
    """The leader's day, and the standby's."""

    context: Context
    channels: Sequence[Channel]
    find: FindPolicy
    who: str
    """Host and process, for the ledger and `status`."""
    whose: str = ""
    """The shop that the ledger belongs to from the first lead on: `shop.db orders`."""
    tempo: Tempo = Tempo()
    leading: bool = False
    standby: bool = False
    """Another process was found to hold the shop's lock: it leads, and ours is to wait."""
    beat: float = 0.0
    """Monotonic time of the last sign of life: what the watchdog is fed by."""
    found_at: datetime | None = None
    walked_at: datetime | None = None
    asked_at: datetime | None = None
    """When finding, its walk of the whole window, and asking last came through."""
    due_by: datetime | None = None
    """What was due by then, one pass has asked about."""
    _stop: Bell = field(default_factory=Bell)
    _work: list[Bell] = field(init=False)
    """One for each channel, since each silences its own: they ring when there may be something to ask."""
    _walk_wanted: bool = True
    _has_opened: bool = False
    """Whether the books were opened in this lead: what is leased then is our own, and an outage has interrupted it."""
    _away: Away = field(init=False)
    _steps: ClockSteps = field(default_factory=ClockSteps)
    _named: set[str] = field(default_factory=set)
    """Channels that are nobody's, and were told of."""

    def __post_init__(self) -> None:
        self._away = Away(self.context.clock, self.context.events)
        self._work = [Bell() for _ in self.channels]

    # ------------------------------------------------------------------------------------------------------ the daemon

    async def run(self) -> None:
        """Wait for the lead, take it, turn; until `stop`. Raises Overtaken, and faults of ours."""
        while not self._stop.rings:
            if not await self._take_the_lead():
                return
            try:
                await self._lead()
            except LockLost as lost:
                self.context.events.emit(LeadLost(why=str(lost)))
                self.context.ledger.may_still_write()  # who found out may have been cancelled before it could say so
                await self._pause(WAIT_FIRST_S)
            finally:
                self.leading = False

    def stop(self) -> None:
        """Begin nothing more. What is in flight is finished, or left as an open intention."""
        self._stop.ring()

    def walk_soon(self) -> None:
        """Walk the whole window at the next turn of finding."""
        self._walk_wanted = True

    def troubles(self) -> tuple[str, ...]:
        """Say why the work, or some of it, is not being done now, if it is not; a standby's work is to wait."""
        return (*self._away.told(), *self.context.block.told())

    @property
    def away(self) -> frozenset[type[PortError]]:
        """What cannot be reached now, as the port's own error says it."""
        return self._away.kinds

    # -------------------------------------------------------------------------------------------------------- one pass

    async def once(self) -> bool:
        """Find, ask what is due, settle, and end; False where another process holds the lock."""
        context = self.context
        if not await self.take_charge():
            return False
        try:
            await Finder(context, self.find).walk()
            await learn(context)
        except ReplicaUnavailable as away:  # what is watched is asked about all the same
            self._away.note(away)
        self.due_by = due_by = context.clock.now()
        try:
            await together(self._ask_all_due(Asker(context, channel), due_by) for channel in self.channels)
            await context.deliveries.finish()
            for channel in self.channels:
                await channel.doubt.keep(context.ledger, channel.name)
        finally:
            await context.deliveries.drop()
        return True

    async def take_charge(self, *, by_hand: bool = False) -> bool:
        """Take lock and pen for one pass, or for one thing done by hand; False where another process holds the lock."""
        if not await self.context.shop.take_lock():
            return False
        await self._take_the_pen(by_hand=by_hand)
        await self._open_the_books()
        return True

    async def _ask_all_due(self, asker: Asker, due_by: datetime) -> None:
        while not self._stop.rings and await asker.turn(due_by):
            self._beat()

    # ------------------------------------------------------------------------------------------------------- the lead

    async def _take_the_lead(self) -> bool:
        """Wait until the shop's lock is ours; False where told to stop meanwhile."""
        context = self.context
        since: datetime | None = None
        while not self._stop.rings:
            self._beat()
            try:
                taken = await context.shop.take_lock()
            except ShopUnavailable as away:
                await self._bear(away)
                continue
            self._away.over(ShopUnavailable)
            self.standby = not taken
            if taken:
                return True
            if since is None:
                since = context.clock.now()
                self._away.forget()
                context.block.forget()
                context.events.emit(LeadWaiting(why="another process holds the shop's lock"))
            await self._pause(self.tempo.lock_every)
        return False

    async def _lead(self) -> None:
        """Turn for as long as the lead is ours; wait out a shop or a ledger that is away."""
        while not self._stop.rings:
            try:
                if not self.leading:
                    await self._take_the_pen()
                await self._open_the_books()
                await self._turn_together()
            except (ShopUnavailable, LedgerUnavailable) as away:
                await self._bear(away)
                if not await self._still_locked():
                    raise LockLost("the lock was lost while shop or ledger were away") from away

    async def _take_the_pen(self, *, by_hand: bool = False) -> None:
        """Raise the ledger's epoch, once for each time the lock was taken: whoever wrote before writes no more."""
        context = self.context
        now = context.clock.now()
        self._has_opened = False
        epoch = await context.ledger.lead(self.who, now)
        self.leading = True
        context.events.emit(LeadTaken(epoch=epoch))
        leader = {"who": self.who, "since": now.isoformat(), "mode": "enforce" if context.enforcing else "observe"}
        if not by_hand:
            await context.ledger.set_mark("leader", json.dumps(leader))
        await context.ledger.set_mark(SHOP_MARK, self.whose)

    async def _open_the_books(self) -> None:
        """Look at what a crash or an outage left behind, before anything else."""
        context = self.context
        now = context.clock.now()
        for channel in self.channels:
            await channel.restore(context)
        await context.brake.restore()
        await take_up(context)
        await context.ledger.free_leases(lives=self._has_opened)
        self._has_opened = True
        await self._steps.look_at_the_books(context)
        await self._recover()
        if context.writes:
            await self._look_at_the_block(at_once=True)
        if context.enforcing and context.brake.stopped is None:
            await context.ledger.wake_would_settle(now)

    async def _recover(self) -> None:
        """Look at each settlement that was begun and has no outcome: never replayed, always decided anew."""
        context = self.context
        context.recovering.clear()
        await context.deliveries.drop()
        for intention in await context.ledger.open_intentions():
            if any(key in context.unfinished for key in intention.order_keys):
                continue  # it is known, and has its time
            rows = await context.shop.read(intention.order_keys)
            now = context.clock.now()
            if all(shows_payment(rows.get(key), intention.transaction_id) for key in intention.order_keys):
                await self._close_the_book(intention, Outcome.SETTLED, "found moved at start", now)
            elif not context.enforcing:
                await self._close_the_book(intention, Outcome.SUPERSEDED, "found open in mode observe", now)
            else:
                await context.ledger.wake(intention.order_keys, now)
                context.recovering.update(dict.fromkeys(intention.order_keys, intention))
                self._tell(intention, "found open: the gateway is asked again, then it is decided anew")

    async def _close_the_book(self, intention: OpenIntention, outcome: Outcome, why: str, now: datetime) -> None:
        answered = intention.order_keys if outcome is Outcome.SETTLED else ()
        ends = tuple(EndCases(key, f"done: {why}", intention.out_trade_no) for key in answered)
        await self.context.ledger.conclude(intention.id, outcome, why, Batch(ends=ends), now)
        self._tell(intention, f"{outcome.value}: {why}")

    def _tell(self, intention: OpenIntention, outcome: str) -> None:
        self.context.events.emit(
            SettleRecovered(
                order_no=intention.order_no,
                channel=intention.channel,
                transaction_id=intention.transaction_id,
                outcome=outcome,
            )
        )

    # ------------------------------------------------------------------------------------------------------- the turns

    async def _turn_together(self) -> None:
        """Find and ask side by side, each channel on its own."""
        asking = (
            self._keep_asking(Asker(self.context, channel), channel, work)
            for channel, work in zip(self.channels, self._work, strict=True)
        )
        try:
            await together([self._keep_finding(), self._keep_the_lock(), self._keep_settling(), *asking])
        finally:
            await self.context.deliveries.drop()

    async def _keep_finding(self) -> None:
        finder = Finder(self.context, self.find, self._steps, self._named, self._note_found)
        while not self._stop.rings:
            walks, self._walk_wanted = self._walk_wanted, False  # who wants one from here on wants another
            try:
                new = await (finder.walk() if walks else finder.quick())
            except ReplicaUnavailable as away:
                self._walk_wanted |= walks
                await self._find_later(away)
                continue
            except BaseException:  # cut short by whatever it was, the walk is still to be made
                self._walk_wanted |= walks
                raise
            if walks:
                await learn(self.context)
            self._away.over(ReplicaUnavailable, ShopUnavailable, LedgerUnavailable)
            self._note_found()
            self.walked_at = self.found_at if walks else self.walked_at
            if new:
                self._ring()
            await self._pause(self.find.every.total_seconds())

    def _note_found(self) -> None:
        """Hear that what is new has been looked at, whatever else finding is at."""
        self._beat()
        self.found_at = self.context.clock.now()

    async def _find_later(self, away: ReplicaUnavailable) -> None:
        """Let finding alone wait for its replica. Raises ShopUnavailable where the primary does not answer either."""
        await self.context.shop.read(())
        self._away.over(ShopUnavailable, LedgerUnavailable)
        self._beat()
        await self._pause(self._away.note(away))

    async def _keep_asking(self, asker: Asker, channel: Channel, work: Bell) -> None:
        while not self._stop.rings:
            await self._look_at_the_clock()  # first: what is planned by a wrong clock is to leave a trace
            work.silence()  # before the look, not after it: what it rings for meanwhile is not slept through
            handled = await asker.turn()
            self._beat()
            self.asked_at = self.context.clock.now()
            if not handled:
                await self._pause(await self._idle_s(channel), work)

    def _ring(self) -> None:
        """Have every channel look for something to ask."""
        for bell in self._work:
            bell.ring()

    async def _idle_s(self, channel: Channel) -> float:
        due = await self.context.ledger.next_due(channel.name)
        now = self.context.clock.now()
        if due is None:
            return self.tempo.idle_max
        if channel.room(now) <= 0:
            return self.tempo.idle_max if channel.paused_since else ROOM_AGAIN_S
        return min(max((due - now).total_seconds(), IDLE_MIN_S), self.tempo.idle_max)

    async def _keep_the_lock(self) -> None:
        while not self._stop.rings:
            if not await self.context.shop.holds_lock():
                raise LockLost("the lock is gone: its connection broke, its database was replaced, or another has it")
            await self._look_at_the_clock()
            await self._pause(self.tempo.lock_every)

    async def _look_at_the_clock(self) -> None:
        if await self._steps.look(self.context):
            self._ring()

    async def _keep_settling(self) -> None:
        """Look after what was handed over to the shop's own code, the queue of settlements, and what blocks them."""
        deliveries = self.context.deliveries
        while not self._stop.rings:
            deliveries.raise_failure()
            self.context.brake.note_queue()
            await self._look_at_the_block()
            await self._pause(self.tempo.lock_every)
        await deliveries.wind_up()

    async def _look_at_the_block(self, *, at_once: bool = False) -> None:
        context = self.context
        if waiting := await context.block.look(at_once=at_once):
            await context.ledger.wake(waiting, context.clock.now())
            self._ring()

    # -------------------------------------------------------------------------------------------------------- troubles

    async def _bear(self, away: ShopUnavailable | LedgerUnavailable) -> None:
        """Say once that shop or ledger is away, and wait."""
        self._beat()  # waiting is a sign of life, too: the watchdog is for a loop that hangs
        await self._pause(self._away.note(away))

    async def _still_locked(self) -> bool:
        try:
            return await self.context.shop.holds_lock()
        except ShopUnavailable:
            return False

    # ------------------------------------------------------------------------------------------------------- the clock

    async def summarise(self) -> None:
        """Say what was done since the last summary, and begin counting anew."""
        context = self.context
        now, tally = context.clock.now(), context.tally
        context.tally = Tally(since=now)
        context.events.emit(await summary_of(context, tally, now))

    def _beat(self) -> None:
        self.beat = self.context.clock.monotonic()

    async def _pause(self, seconds: float, *bells: Bell) -> None:
        """Sleep on the clock, but wake at once when told to stop, or when one of these bells rings."""
        await pause(self.context.clock, seconds, self._stop, *bells)
