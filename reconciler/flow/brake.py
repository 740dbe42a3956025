"""The brake: settling waits its turn, stops above what an hour may bring, and goes on when a person says so.

What was settled is counted in the ledger, and that settling stands still is a mark there: a restart forgets neither.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reconciler.domain.money import Money
from reconciler.domain.order import Order, OrderKey
from reconciler.events.settling import SettleBraked, SettlePaused, SettleQueued, SettleQueueOver, SettleResumed
from reconciler.flow.turns import MINUTE_S, Turns
from reconciler.ports import Batch, Clock, Entry, Events, Ledger, Mark, Settled

SETTLING_MARK: Final = "settling.paused"
RESUMED_MARK: Final = "settling.resumed"
THE_BRAKE: Final = "the brake"
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What settling may come to. Defaults are those of the configuration."""

    per_minute: int = 120
    per_hour: int = 1000
    fen_per_hour: int = 20_000_000


@dataclass(frozen=True, slots=True)
class Go:
    """Settle now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not before then: others come first."""

    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Held:
    """Not before a person says so."""

    why: str


Leave = Go | Wait | Held


@dataclass(frozen=True, slots=True)
class Stopped:
    """That settling stands still: since when, by whose hand, why."""

    since: str
    by: str
    why: str
    order_key: str = ""
    """The order that would have been next, where it was the brake."""

    def __str__(self) -> str:
        return f"settling is paused since {self.since} by {self.by}: {self.why}"


@dataclass(slots=True)
class Brake:
    """Who may settle now. To be asked under `Context.applying`."""

    ledger: Ledger
    clock: Clock
    events: Events
    limits: Limits
    stopped: Stopped | None = None
    _counts_from: datetime | None = None
    """When a person said to go on: what was settled before is not counted any more."""
    _waved_through: str = ""
    """The order that he said it about: the brake does not stop for it twice."""
    _turns: Turns = field(init=False)
    _restored: bool = False
    _queue_since_s: float | None = None
    _queued: set[OrderKey] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._turns = Turns(self.limits.per_minute)

    @property
    def lets_finish(self) -> bool:
        """Whether what was given leave may still go on the wire: the brake has counted it, a person stops it."""
        return self.stopped is None or self.stopped.by == THE_BRAKE

    async def restore(self) -> None:
        """Take up what an earlier leader left; say once that settling stands still."""
        resumed = await self.ledger.mark(RESUMED_MARK)
        if resumed:
            kept = json.loads(resumed)
            self._counts_from, self._waved_through = datetime.fromisoformat(kept["at"]), kept["order_key"]
        kept_stop = await self.ledger.mark(SETTLING_MARK)
        was, self.stopped = self.stopped, Stopped(**json.loads(kept_stop)) if kept_stop else None
        if self.stopped is not None and was is None:
            self.events.emit(SettlePaused(by=self.stopped.by, why=self.stopped.why))
        if not self._restored:
            lately = await self.ledger.settled(self.clock.now() - timedelta(seconds=MINUTE_S))
            self._turns.note(self.clock.monotonic(), lately.orders)
            self._restored = True

    async def leave(self, orders: Sequence[Order], amount: Money, under_way: Sequence[Money]) -> Leave:
        """Say whether these orders may be settled now by one payment of that amount.

        `under_way` are payments that are being settled and are not in the ledger as settled yet.
        """
        if self.stopped is not None:
            return Held(str(self.stopped))
        spent = await self.spent()
        spent = Settled(spent.orders + len(under_way), spent.fen + sum(each.fen for each in under_way))
        if self._is_too_much(spent, orders, amount):
            return Held(str(await self._stop(spent, orders[0], amount)))
        key, now_s = orders[0].key, self.clock.monotonic()
        turn_s = self._turns.take(key, now_s)
        if turn_s is None:
            self.note_queue()
            return Go()
        if self._queue_since_s is None:
            self._queue_since_s = now_s
            self.events.emit(SettleQueued(max_per_minute=self.limits.per_minute))
        self._queued.add(key)
        until = self.clock.now() + timedelta(seconds=turn_s - now_s)
        return Wait(until, f"paid, and waits its turn: settle.max_per_minute is {self.limits.per_minute}")

    def note_queue(self) -> None:
        """Say that the queue has ended, if it has."""
        now_s = self.clock.monotonic()
        if self._queue_since_s is None or self._turns.waiting(now_s):
            return
        after = timedelta(seconds=round(now_s - self._queue_since_s))
        self.events.emit(SettleQueueOver(orders=len(self._queued), after=after))
        self._queue_since_s = None
        self._queued.clear()

    async def pause(self, by: str) -> bool:
        """Stop settling by a person's hand; False where it stands still already."""
        if self.stopped is not None:
            return False
        stopped = Stopped(self._now_text(), by, "paused by hand")
        await self._write(stopped, {"by": by, "why": stopped.why})
        self.events.emit(SettlePaused(by=by, why=stopped.why))
        return True

    async def resume(self, by: str) -> bool:
        """Go on by a person's hand: count anew, and ask again about what was kept. False where nothing stood still."""
        stopped, now = self.stopped, self.clock.now()
        if stopped is None:
            return False
        again = {"at": now.isoformat(), "by": by, "order_key": stopped.order_key}
        marks = (Mark(SETTLING_MARK, ""), Mark(RESUMED_MARK, json.dumps(again)))
        entry = Entry("settling_resumed", body={"by": by, "paused_by": stopped.by, "why": stopped.why})
        await self.ledger.record(Batch(entries=(entry,), marks=marks), now)
        self.stopped, self._counts_from, self._waved_through = None, now, stopped.order_key
        await self.ledger.wake_would_settle(now)
        after = max(now - datetime.fromisoformat(stopped.since), timedelta(0))
        self.events.emit(SettleResumed(by=by, after=after))
        return True

    # ------------------------------------------------------------------------------------------------------- the hour

    async def spent(self) -> Settled:
        """Give what was settled since it counts: an hour ago, or when a person said that it may go on."""
        return await self.ledger.settled(self._since())

    def _since(self) -> datetime:
        now = self.clock.now()
        if self._counts_from is None or self._counts_from > now:  # a clock that was set back counts the whole hour
            return now - HOUR
        return max(now - HOUR, self._counts_from)

    def _is_too_much(self, spent: Settled, orders: Sequence[Order], amount: Money) -> bool:
        if any(order.key == self._waved_through for order in orders):
            return False
        return spent.orders + len(orders) > self.limits.per_hour or spent.fen + amount.fen > self.limits.fen_per_hour

    async def _stop(self, spent: Settled, order: Order, amount: Money) -> Stopped:
        lately = Money(spent.fen, amount.currency)
        limit = Money(self.limits.fen_per_hour, amount.currency)
        why = (
            f"{spent.orders} orders of {lately} settled within the hour; the next, {order.order_no} of {amount}, goes "
            f"over settle.brake_per_hour {self.limits.per_hour} or settle.brake_yuan_per_hour {limit}"
        )
        stopped = Stopped(self._now_text(), THE_BRAKE, why, order.key)
        figures = {"settled": spent.orders, "fen": spent.fen, "next_order_no": order.order_no, "next_fen": amount.fen}
        await self._write(stopped, {"by": THE_BRAKE, "why": why, **figures})
        self.events.emit(
            SettleBraked(
                settled=spent.orders,
                amount=lately,
                brake_per_hour=self.limits.per_hour,
                brake_yuan_per_hour=limit,
                order_no=order.order_no,
                next_amount=amount,
            )
        )
        return stopped

    async def _write(self, stopped: Stopped, body: dict[str, object]) -> None:
        """Keep that settling stands still, with the entry that says why, in one transaction."""
        mark = Mark(SETTLING_MARK, json.dumps(asdict(stopped)))
        await self.ledger.record(Batch(entries=(Entry("settling_paused", body=body),), marks=(mark,)), self.clock.now())
        self.stopped = stopped

    def _now_text(self) -> str:
        return self.clock.now().isoformat(timespec="seconds")
