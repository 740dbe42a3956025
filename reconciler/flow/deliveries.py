"""What is being told to the shop's own code: one task at most per order, and a limit to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from reconciler.domain.money import Money
from reconciler.domain.order import OrderKey
from reconciler.flow.reach import Reach
from reconciler.ports import Intention, IntentionId, OpenIntention

AT_ONCE_MAX: Final = 8
"""Messages on the wire at one time."""
IN_HAND_MAX: Final = 64
"""With those that wait for their turn on the wire, or for the row to show it."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A settlement that was begun and told of in vain, until it is decided anew."""

    id: IntentionId
    intention: Intention

    def as_open(self) -> OpenIntention:
        """Give it as the ledger would."""
        intention = self.intention
        return OpenIntention(
            id=self.id,
            order_keys=tuple(order.key for order in intention.orders),
            order_no=intention.orders[0].order_no,
            channel=intention.channel,
            out_trade_no=intention.out_trade_no,
            transaction_id=intention.transaction_id,
            begun_at=intention.paid_at,
        )


@dataclass(slots=True)
class Deliveries:
    """The deliveries of one process. What one of them fails with is kept for whoever leads."""

    reach: Reach = field(default_factory=Reach)
    """Whether the shop's own code can be reached."""
    ending: bool = False
    """Nothing new goes on the wire, and nobody waits for a row any more."""
    on_the_wire: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_MAX))
    _tasks: dict[OrderKey, asyncio.Task[None]] = field(default_factory=dict)
    _amounts: dict[OrderKey, Money] = field(default_factory=dict)
    _waiting: set[OrderKey] = field(default_factory=set)
    _failure: BaseException | None = None

    @property
    def amounts(self) -> Sequence[Money]:
        """What is being settled now, and is not in the ledger as settled yet."""
        return tuple(self._amounts.values())

    def has(self, key: OrderKey) -> bool:
        """Whether this order is in hand: nobody else decides about it meanwhile."""
        return key in self._tasks

    def has_room(self) -> bool:
        """Whether one more may be taken in hand."""
        return len(self._tasks) < IN_HAND_MAX

    def take(self, key: OrderKey, amount: Money, work: Coroutine[object, object, None]) -> None:
        """Take an order in hand. Raises RuntimeError where it is already: two messages of one order never overlap."""
        if key in self._tasks:
            work.close()
            raise RuntimeError(f"order {key} is in hand")
        self._amounts[key] = amount
        self._tasks[key] = task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: self._done(key, done))

    def settled(self, key: OrderKey) -> None:
        """Hear that the ledger has it now."""
        self._amounts.pop(key, None)

    def waits(self, key: OrderKey, *, now: bool) -> None:
        """Hear that an order only waits now (or no longer): such a one may be dropped at any moment."""
        (self._waiting.add if now else self._waiting.discard)(key)

    def raise_failure(self) -> None:
        """Raise what one of them has failed with, if any has."""
        if self._failure is not None:
            raise self._failure

    async def finish(self, keys: Iterable[OrderKey] | None = None) -> None:
        """Wait for them (or those of these orders) to end, and raise what one has failed with."""
        tasks = list(self._tasks.values()) if keys is None else [t for k in keys if (t := self._tasks.get(k))]
        if tasks:
            await asyncio.wait(tasks)
        self.raise_failure()

    async def wind_up(self) -> None:
        """End early what only waits, and let the rest come to its end. What is left open is decided anew later."""
        self.ending = True
        for key in self._waiting & self._tasks.keys():
            self._tasks[key].cancel()
        await self.finish()

    async def drop(self) -> None:
        """End all of it now, wherever it is, and forget what failed. What is left open is decided anew later."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._failure, self.ending = None, False

    def _done(self, key: OrderKey, task: asyncio.Task[None]) -> None:
        del self._tasks[key]
        self._amounts.pop(key, None)
        self._waiting.discard(key)
        if not task.cancelled() and (failure := task.exception()) is not None and self._failure is None:
            self._failure = failure
