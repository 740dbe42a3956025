"""The shop's own code in memory: the double of `Receiver`, which stores ids in the transaction that moves the order.

receiver = MemoryReceiver(shop.table)
receiver.will("A1", Undelivered("it answers 503"), moves=False)  # from now on, for this number
receiver.then("A1", Accepted())  # and after that
receiver.on_tell = lambda move: shop.change("1", state=OrderState.PAID)  # the callback arrives first
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from reconciler.domain.order import OrderKey, OrderState
from reconciler.ports import Accepted, Clock, Move, Told
from reconciler.shops.webhook.signing import message_id
from reconciler.testing.shop import MemoryOrder, MemoryTable

SHOP = "shop orders"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How it takes one message."""

    answer: Told = dataclasses.field(default_factory=Accepted)
    moves: bool = True


class MemoryReceiver:
    """Moves an order once, whatever it answers, as far as it is not told otherwise."""

    def __init__(self, table: MemoryTable, clock: Clock | None = None, latency: timedelta = timedelta(0)) -> None:
        """Wait on the clock between message and answer, if there is one."""
        self.table = table
        self.stored: set[str] = set()
        """The ids of the messages that moved an order."""
        self.ids: dict[OrderKey, set[str]] = defaultdict(set)
        """Every id that an order was told of under."""
        self.told: list[Move] = []
        """Every message, in order."""
        self.moved: Counter[OrderKey] = Counter()
        """How often each order was moved."""
        self.in_flight_max = 0
        self.in_flight_per_order_max = 0
        self.is_closed = False
        self.on_tell: Callable[[Move], object] | None = None
        """Called when a message arrives, before anything is done about it."""
        self._clock = clock
        self._latency_s = latency.total_seconds()
        self._script: dict[str, deque[Behaviour]] = {}
        self._in_flight: Counter[OrderKey] = Counter()

    def will(self, out_trade_no: str, answer: Told, *, moves: bool = True) -> None:
        """Set how messages about a number are taken from now on."""
        self._script[out_trade_no] = deque([Behaviour(answer, moves)])

    def then(self, out_trade_no: str, answer: Told, *, moves: bool = True) -> None:
        """Add how the messages after those are taken; the last one counts for ever."""
        self._script[out_trade_no].append(Behaviour(answer, moves))

    async def tell(self, move: Move) -> Told:
        """Take a message."""
        (order,) = move.orders
        self.told.append(move)
        self.ids[order.key].add(message_id(SHOP, order.key))
        self._in_flight[order.key] += 1
        self.in_flight_max = max(self.in_flight_max, self._in_flight.total())
        self.in_flight_per_order_max = max(self.in_flight_per_order_max, self._in_flight[order.key])
        try:
            return await self._take(move, order.key)
        finally:
            self._in_flight[order.key] -= 1

    async def close(self) -> None:
        """Remember it."""
        self.is_closed = True

    async def _take(self, move: Move, key: OrderKey) -> Told:
        if self.on_tell is not None:
            self.on_tell(move)
        behaviour = self._next(move.out_trade_no)
        if behaviour.moves:
            self.move(key, move)
        if self._clock is not None:
            await self._clock.sleep(self._latency_s)
        return behaviour.answer

    def move(self, key: OrderKey, move: Move) -> None:
        """Store the id and move the order, in one transaction; not a second time, nor what was closed once paid."""
        row, message = self.table.rows.get(key), message_id(SHOP, key)
        if row is None or message in self.stored or not _waits(row):
            return
        self.stored.add(message)
        self.moved[key] += 1
        self.table.rows[key] = dataclasses.replace(
            row, state=OrderState.PAID, transaction_id=move.transaction_id, paid_at=move.paid_at
        )

    def _next(self, number: str) -> Behaviour:
        script = self._script.get(number)
        if script is None:
            return Behaviour()
        return script.popleft() if len(script) > 1 else script[0]


def _waits(row: MemoryOrder) -> bool:
    """Whether a shop's code completes it: unpaid, or closed without ever having been paid."""
    return row.state is OrderState.PENDING or (row.state is OrderState.CLOSED and not row.transaction_id)
