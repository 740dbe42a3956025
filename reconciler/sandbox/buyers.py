"""The buyers: they order, pay after a while, and lose their callbacks."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from reconciler.ports import Clock
from reconciler.sandbox.book import Book
from reconciler.sandbox.shop import Shop, Status
from reconciler.sandbox.trade import Trade
from reconciler.sandbox.visit import Visit

LOOK_EVERY_S = 0.2

_Step = Callable[[], Awaitable[None]]


class Buyers:
    """Plays visits against a shop and the gateways' book, and keeps what the buyers see."""

    def __init__(self, shop: Shop, book: Book, clock: Clock) -> None:
        self._shop = shop
        self._book = book
        self._clock = clock
        self._steps: list[tuple[float, int, _Step]] = []
        self._planned = 0
        self.visits: list[Visit] = []
        """Those who have ordered so far."""
        self.called_back: set[str] = set()
        """The order_nos that the shop's own callback moved."""
        self.expired: set[str] = set()
        """The order_nos that the shop closed itself."""
        self.seen_paid_at: dict[str, datetime] = {}
        """When a buyer first saw an order paid, to LOOK_EVERY_S."""

    async def play(self, visits: Iterable[Visit]) -> None:
        """Play these visits from now on, until each has had its last step."""
        started = self._clock.monotonic()
        for visit in visits:
            self._plan(visit.at_s, self._ordering(visit, started))
        while self._steps:
            due, _, step = heapq.heappop(self._steps)
            wait = started + due - self._clock.monotonic()
            if wait > 0:
                await self._clock.sleep(wait)
            await step()

    async def look(self) -> None:
        """Look at the orders' pages again and again, as buyers do who wait; ends by being cancelled."""
        while True:
            await self.look_once()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look_once(self) -> None:
        """Note the orders that have become paid since the last look."""
        rows = await asyncio.to_thread(self._shop.rows)
        now = self._clock.now()
        for row in rows:
            if row.status in {Status.PAID, Status.DELIVERED}:
                self.seen_paid_at.setdefault(row.order_no, now)

    def _plan(self, due: float, step: _Step) -> None:
        self._planned += 1
        heapq.heappush(self._steps, (due, self._planned, step))

    def _ordering(self, visit: Visit, started: float) -> _Step:
        async def order() -> None:
            now = self._clock.now()
            ordered_s = self._clock.monotonic() - started  # later steps count from the order as it happened
            trade = trade_of_visit(visit, now)
            if trade is not None:
                self._book.put(trade)
            await asyncio.to_thread(self._shop.order, visit.order_no, visit.amount_fen, visit.pay_channel, now)
            self.visits.append(visit)
            if trade is not None and visit.pays_s is not None and visit.callback_s is not None:
                self._plan(ordered_s + visit.pays_s + visit.callback_s, self._calling_back(trade))
            if visit.expires_s is not None:
                self._plan(ordered_s + visit.expires_s, self._expiring(visit))
            if visit.deletes_s is not None:
                self._plan(ordered_s + visit.deletes_s, self._deleting(visit))

        return order

    def _calling_back(self, trade: Trade) -> _Step:
        async def call_back() -> None:
            now = self._clock.now()
            moved = await asyncio.to_thread(
                self._shop.callback,
                *(trade.out_trade_no, trade.amount_fen, trade.transaction_id, trade.paid_at or now, now),
            )
            if moved:
                self.called_back.add(trade.out_trade_no)

        return call_back

    def _expiring(self, visit: Visit) -> _Step:
        async def expire() -> None:
            if await asyncio.to_thread(self._shop.expire, visit.order_no, self._clock.now()):
                self.expired.add(visit.order_no)

        return expire

    def _deleting(self, visit: Visit) -> _Step:
        async def delete() -> None:
            await asyncio.to_thread(self._shop.delete, visit.order_no)

        return delete


def trade_of_visit(visit: Visit, ordered_at: datetime) -> Trade | None:
    """Give the trade that a visit leads to; None where neither gateway ever hears of it."""
    if visit.gateway is None:
        return None

    def moment(seconds: float | None) -> datetime | None:
        return None if seconds is None else ordered_at + timedelta(seconds=seconds)

    return Trade(
        gateway=visit.gateway,
        out_trade_no=visit.order_no,
        amount_fen=visit.charge_fen,
        opened_at=moment(visit.opens_s),
        paid_at=moment(visit.pays_s),
        refunded_at=moment(visit.refunds_s),
        closed_at=moment(visit.closes_s),
        twist=visit.twist,
        trouble=visit.trouble,
        trouble_asks=visit.trouble_asks,
        slow_seconds=visit.slow_s,
    )
