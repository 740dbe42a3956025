"""The port, put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciler.domain.order import Order, OrderKey, OrderState, Row
from reconciler.ports import (
    Clock,
    Found,
    Glimpse,
    LockLost,
    Move,
    Moved,
    NotMoved,
    Page,
    Position,
    ReplicaUnavailable,
    ShopReadOnly,
    ShopUnavailable,
)
from reconciler.shops.sql import explain, lookups, rights
from reconciler.shops.sql.binding import bind
from reconciler.shops.sql.bound import BoundShop
from reconciler.shops.sql.engine import driver_errors, open_engine, reading, sqlite_path
from reconciler.shops.sql.lock import Lock, lock_of
from reconciler.shops.sql.mapping import ShopMapping
from reconciler.shops.sql.settle import Refused, closing, settling, write
from reconciler.shops.sql.walk import CANDIDATES, Walk

_T = TypeVar("_T")
PAID = (OrderState.PAID,)


async def open_shop(mapping: ShopMapping) -> SqlShop:
    """Connect, reflect and bind. Raises MappingError with every misfit, ShopUnavailable where nobody answers."""
    access = mapping.access(mapping.url, "shop.url")
    primary = open_engine(access)
    replica = primary
    try:
        if mapping.read_url is not None:
            replica = open_engine(mapping.access(mapping.read_url, "shop.read_url"))
        async with reading(primary) as connection:
            shop = await connection.run_sync(bind, mapping)
        explain.listen(primary)
    except BaseException:
        await _dispose(primary, replica)
        raise
    lock = lock_of(primary, sqlite_path(access), *shop.orders.table)
    return SqlShop(primary, replica, shop, lock, mapping.clock, lambda: open_engine(access))


class SqlShop:
    """A shop whose orders are one mapped table. Built by `open_shop`; for one event loop."""

    def __init__(  # what `open_shop` puts together
        self,
        primary: AsyncEngine,
        replica: AsyncEngine,
        shop: BoundShop,
        lock: Lock,
        clock: Clock,
        another: Callable[[], AsyncEngine],
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._shop = shop
        self._walk = Walk(shop)
        self._paid = Walk(shop, PAID, by_orders_alone=True)
        self._lock = lock
        self._clock = clock
        self._another = another
        self._turn = asyncio.Lock()

    async def take_lock(self) -> bool:
        """Try to take the lock."""
        async with self._turn:
            return await self._lock.take()

    async def holds_lock(self) -> bool:
        """Whether the lock is ours now."""
        async with self._turn:
            return await self._lock.holds()

    async def release(self) -> None:
        """Give the lock back and close the connections."""
        async with self._turn:
            await self._lock.drop()
        await _dispose(self._primary, self._replica)

    async def newest(self) -> Position:
        """Give the position of the newest row."""
        async with self._finding() as connection:
            return await self._walk.newest(connection, self._clock.now())

    async def before(self, since: datetime) -> Position:
        """Give a position before the first row created since then."""
        async with self._finding() as connection:
            return await self._walk.before(connection, since)

    async def candidates(self, after: Position, limit: int, known: Collection[Glimpse] = ()) -> Page:
        """Read the next candidates: on the replica where there is one, and what it shows again on the primary."""
        async with self._finding() as connection:
            page = await self._walk.page(connection, after, limit, known)
        return page if self._replica is self._primary or not page.found else await self._confirmed(page, CANDIDATES)

    async def paid(self, after: Position, limit: int) -> Page:
        """Read the next paid rows: likewise."""
        async with self._finding() as connection:
            page = await self._paid.page(connection, after, limit)
        return page if self._replica is self._primary or not page.found else await self._confirmed(page, PAID)

    async def resting(self, statuses: Collection[str], after: Position, limit: int) -> Page:
        """Read the next rows that have one of these statuses: likewise."""
        async with self._finding() as connection:
            page = await self._paid.resting(connection, statuses, after, limit)
        if self._replica is self._primary or not page.found:
            return page
        fresh = await self.read([found.row.key for found in page.found])
        return replace(page, found=tuple(Found(row) for row in fresh.values() if row.status in statuses))

    async def read(self, keys: Sequence[OrderKey]) -> Mapping[OrderKey, Row]:
        """Read these rows from the primary: one statement per 500 keys."""
        async with reading(self._primary) as connection:
            rows = await lookups.by_keys(connection, self._shop, keys)
        return {key: read.row for key, read in rows.items()}

    async def holders(self, out_trade_nos: Sequence[str]) -> Mapping[str, tuple[Row, ...]]:
        """Read every row that carries one of these numbers, on itself or through an attempt."""
        async with reading(self._primary) as connection:
            return await lookups.holders(connection, self._shop, out_trade_nos)

    async def look_up(self, number: str) -> tuple[Found, ...]:
        """Find orders by order_no or out_trade_no."""
        async with reading(self._primary) as connection:
            return await lookups.look_up(connection, self._shop, number)

    async def settle(self, move: Move) -> Moved | NotMoved:
        """Move the orders, all or none."""
        return await self._apply(settling(self._shop, move, self._clock.now()), move.orders)

    async def close_order(self, order: Order) -> Moved | NotMoved:
        """Mark one order closed."""
        return await self._apply(closing(self._shop, order, self._clock.now()), [order])

    async def obstacle(self) -> str:
        """Say why no order can be written, with the remedy."""
        async with self._turn:
            obstacle = await _to_its_end(rights.obstacle(self._lock.writer(), self._shop))
            if obstacle is None:
                return ""
            if await _to_its_end(rights.obstacle_to_newcomers(self._another(), self._shop)) is not None:
                return str(obstacle)
            await self._lock.drop()
            await _dispose(self._primary)  # whoever idles in the pool is as old
        raise LockLost("the right to write was given, and counts for new connections only: the lock is taken anew")

    @contextlib.asynccontextmanager
    async def _finding(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with reading(self._replica) as connection:
                yield connection
        except ShopUnavailable as away:
            if self._replica is self._primary:
                raise
            raise ReplicaUnavailable(f"shop.read_url: {away}") from away

    async def _confirmed(self, page: Page, states: Sequence[OrderState]) -> Page:
        """Leave out what has moved on: a replica that lags shows an order waiting that is long settled."""
        fresh = await self.read([found.row.key for found in page.found])
        found = (replace(each, row=fresh[each.row.key]) for each in page.found if each.row.key in fresh)
        return replace(page, found=tuple(each for each in found if each.row.state in states))

    async def _apply(self, statements: Sequence[Update] | Refused, orders: Sequence[Order]) -> Moved | NotMoved:
        refused = statements if isinstance(statements, Refused) else None
        async with self._turn:
            connection = self._lock.writer()
            if not isinstance(statements, Refused):
                try:
                    refused = await _to_its_end(write(connection, statements, self._lock))
                except ShopReadOnly as read_only:  # with the remedy, where it is known
                    raise await _to_its_end(rights.obstacle(connection, self._shop)) or read_only from read_only
        if refused is None:
            return Moved()
        return NotMoved(await self.read([order.key for order in orders]), refused.why)


async def _to_its_end(work: Coroutine[object, object, _T]) -> _T:
    """Await work that a cancellation must not cut in two: a transaction ends before its caller does."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _dispose(*engines: AsyncEngine) -> None:
    for engine in dict.fromkeys(engines):
        with contextlib.suppress(*driver_errors(engine)):
            await engine.dispose()
