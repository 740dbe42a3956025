"""The walk over the order table, page by page, never by OFFSET.

First the orders themselves, then, where attempts have a table of their own, the orders of the attempts that are newer
than the position: a buyer who comes back to an old order makes a new attempt, and the order's own place is long passed.
So a walk from `newest()` sees what is new in either table, and a walk from `before(since)` sees every candidate order
created since then with all its attempts, and every candidate order, however old, with an attempt made since then. Where
attempts have neither an integer key nor a time, or no time to search by, new attempts of orders before `since` are seen
only by a walk that goes back to those orders.

A position that cannot be read is the beginning of the table: too much is read, not too little.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.order import OrderKey, OrderState
from reconciler.ports import Found, Glimpse, Page, Position
from reconciler.shops.sql.attempts import found
from reconciler.shops.sql.axis import Axis, Place, axis_of
from reconciler.shops.sql.beginning import beginning, latest
from reconciler.shops.sql.bound import BoundOrders, BoundShop
from reconciler.shops.sql.lookups import by_keys
from reconciler.shops.sql.rows import GLIMPSED, ReadRow, glimpse_of, read_row, selection

PAGE_ROWS_MAX = 5000
GLANCES_MAX = 1000
"""Rows glanced at in one statement: one or two milliseconds of the server's, with what lies between them."""
CANDIDATES = (OrderState.PENDING, OrderState.CLOSED)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the walk is in each table; `orders_done` once only attempts are left."""

    orders: Place
    attempts: Place
    orders_done: bool = False
    reach: Place = None
    """Where the stretch of the order table ends that a page broke off in: not to be looked for once more."""


class Walk:
    """The walk of one shop, over the orders in some states; along the order table alone where `by_orders_alone`."""

    def __init__(
        self, shop: BoundShop, states: Sequence[OrderState] = CANDIDATES, *, by_orders_alone: bool = False
    ) -> None:
        orders, attempts = shop.orders, None if by_orders_alone else shop.attempts
        self._shop = shop
        self._states = states
        self._values = orders.candidate_values if states is CANDIDATES else _values(orders, states)
        self._orders = Axis(orders.source, orders.key, orders.created_at, shop.zone, orders.is_time_indexed)
        self._attempts: Axis | None = None
        if attempts is not None:
            self._attempts = axis_of(attempts, shop.zone)
        self._are_rows_enough = attempts is None or self._attempts is not None
        """New attempts are on the row, or are walked by themselves: a row that is the same has none."""

    async def newest(self, connection: AsyncConnection, now: datetime) -> Position:
        """Give the position of the newest row of each table, but for rows whose time is far ahead of `now`."""
        attempts = await latest(self._attempts, connection, now) if self._attempts else None
        return _written(_Places(await latest(self._orders, connection, now), attempts))

    async def before(self, connection: AsyncConnection, since: datetime) -> Position:
        """Give a position at or before the first row created since then, as far as `beginning` can know it."""
        attempts = await beginning(self._attempts, connection, since) if self._attempts else None
        return _written(_Places(await beginning(self._orders, connection, since), attempts))

    async def page(
        self, connection: AsyncConnection, after: Position, limit: int, known: Collection[Glimpse] = ()
    ) -> Page:
        """Read the next candidates that are not known: `limit` at most, and fewer where they are sparse."""
        places = self._read(after)
        limit = max(1, min(limit, PAGE_ROWS_MAX))
        if not places.orders_done:
            rows, following = await self._order_rows(connection, places, limit, known)
            ends = following is None
            if following is None:
                reached = await self._orders.newest(connection) if self._attempts else None
                following = _Places(reached, places.attempts, orders_done=True)
            if rows or not ends or self._attempts is None:
                last = ends and not await self._has_attempts(connection, places.attempts)
                met = await found(connection, self._shop, rows)
                if self._are_rows_enough:
                    met = tuple(replace(each, glimpse=read.glimpse) for each, read in zip(met, rows, strict=True))
                return Page(met, None if last else _written(following))
            places = following
        rows, place = await self._attempt_rows(connection, places.attempts, limit)
        following = _Places(places.orders, place, orders_done=True)
        return Page(await found(connection, self._shop, rows), _written(following) if place is not None else None)

    async def resting(
        self, connection: AsyncConnection, statuses: Collection[str], after: Position, limit: int
    ) -> Page:
        """Read the next orders of these statuses, along the order table alone, without their attempts."""
        status = self._shop.orders.status
        values = list(dict.fromkeys(form for text in statuses for form in status.lookup(text)))
        if not values:
            return Page((), None)
        limit = max(1, min(limit, PAGE_ROWS_MAX))
        rows, following = await self._stretch(connection, replace(self._read(after), attempts=None), limit, values)
        # a collation may let through more than was asked for
        found = tuple(Found(read.row) for read in rows if read.row.status in statuses)
        return Page(found, None if following is None else _written(following))

    def _read(self, position: Position) -> _Places:
        """Read a position; one that is none of this walk's is the beginning."""
        places = _read(position)
        known = self._orders.knows(places.orders) and self._orders.knows(places.reach)
        if self._attempts is not None:
            known = known and self._attempts.knows(places.attempts)
        return places if known else _Places(None, None)

    async def _order_rows(
        self, connection: AsyncConnection, places: _Places, limit: int, known: Collection[Glimpse]
    ) -> tuple[list[ReadRow], _Places | None]:
        """Read candidates in the next stretch of the order table, and say where the next stretch begins."""
        if known:
            rows, following = await self._unknown(connection, places, limit, known)
        else:
            rows, following = await self._stretch(connection, places, limit, self._values)
        return [read for read in rows if read.row.state in self._states], following

    async def _stretch(
        self, connection: AsyncConnection, places: _Places, limit: int, values: Sequence[object]
    ) -> tuple[list[ReadRow], _Places | None]:
        """Read rows of these statuses in the next stretch of the order table, and say where the next one begins."""
        orders = self._shop.orders
        raws, following = await self._raws(connection, places, limit, values, selection(orders))
        return [read_row(orders, self._shop.zone, raw) for raw in raws], following

    async def _unknown(
        self, connection: AsyncConnection, places: _Places, limit: int, known: Collection[Glimpse]
    ) -> tuple[list[ReadRow], _Places | None]:
        """Glance at the rows of the next stretch, and read those that are not known."""
        orders, glances = self._shop.orders, selection(self._shop.orders, GLIMPSED)
        raws, following = await self._raws(connection, places, GLANCES_MAX, self._values, glances)
        news = [raw for raw in raws if glimpse_of(raw) not in known]
        if len(news) > limit:
            news = news[:limit]
            place = self._place(news[-1])
            following = replace(places, orders=place, reach=(following or places).reach)
        keys = [OrderKey(orders.key.text(raw["key"]) or "") for raw in news]
        rows = await by_keys(connection, self._shop, keys)
        return [rows[key] for key in keys if key in rows], following

    async def _raws(
        self,
        connection: AsyncConnection,
        places: _Places,
        limit: int,
        values: Sequence[object],
        what: Select[*tuple[Any, ...]],
    ) -> tuple[Sequence[RowMapping], _Places | None]:
        """Select from rows of these statuses in the next stretch, and say where the next one begins."""
        axis = self._orders
        reach = places.reach or await axis.reach(connection, places.orders)
        if reach is None:
            return [], None
        statement = what.add_columns(
            *(column.sql.label(f"place_{at}") for at, column in enumerate(axis.columns))
        ).where(*axis.after(places.orders), *axis.until(reach), self._shop.orders.status.is_one_of(values))
        raws = (await connection.execute(axis.ordered(statement).limit(limit))).mappings().all()
        if len(raws) == limit:
            return raws, replace(places, orders=self._place(raws[-1]), reach=reach)
        going = await axis.goes_on(connection, reach)
        return raws, replace(places, orders=reach, reach=None) if going else None

    def _place(self, raw: RowMapping) -> Place:
        return tuple(raw[f"place_{at}"] for at in range(len(self._orders.columns)))

    async def _attempt_rows(self, connection: AsyncConnection, place: Place, limit: int) -> tuple[list[ReadRow], Place]:
        """Read candidates that the next attempts belong to."""
        attempts, axis, orders = self._shop.attempts, self._attempts, self._shop.orders
        if attempts is None or axis is None:
            return [], None
        statement = select(*(column.sql for column in axis.columns), attempts.order.sql.label("order"))
        owners = (await connection.execute(axis.ordered(statement.where(*axis.after(place))).limit(limit))).all()
        if not owners:
            return [], None
        keys = [form for owner in owners for form in orders.key.lookup(attempts.order.text(owner[-1]) or "")]
        rows: Sequence[ReadRow] = ()
        if keys:
            by_key = selection(orders).where(
                orders.key.is_one_of(dict.fromkeys(keys)), orders.status.is_one_of(self._values)
            )
            raws = (await connection.execute(by_key)).mappings().all()
            rows = [read_row(orders, self._shop.zone, raw) for raw in raws]
        following: Place = tuple(owners[-1][:-1])
        going = len(owners) == limit and await axis.goes_on(connection, following)
        return [read for read in rows if read.row.state in self._states], following if going else None

    async def _has_attempts(self, connection: AsyncConnection, place: Place) -> bool:
        return self._attempts is not None and await self._attempts.goes_on(connection, place)


def _values(orders: BoundOrders, states: Sequence[OrderState]) -> tuple[object, ...]:
    """Give what these states are in the status column."""
    texts = (text for text, state in orders.states.items() if state in states)
    return tuple(dict.fromkeys(value for text in texts for value in orders.status.lookup(text)))


def _written(places: _Places) -> Position:
    content: list[object] = [_encoded(places.orders), _encoded(places.attempts), int(places.orders_done)]
    if places.reach is not None:
        content.append(_encoded(places.reach))
    return Position(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def _read(position: Position) -> _Places:
    try:
        orders, attempts, done, *reach = json.loads(position)
        return _Places(_decoded(orders), _decoded(attempts), bool(done), *map(_decoded, reach))
    except (ValueError, TypeError, KeyError, ArithmeticError):
        return _Places(None, None)


def _encoded(place: Place) -> object:
    return None if place is None else [_encoded_value(value) for value in place]


def _encoded_value(value: object) -> object:
    match value:
        case int() | str() | float():
            return value
        case datetime():
            return {"moment": value.isoformat()}
        case Decimal():
            return {"number": str(value)}
        case bytes():
            return {"bytes": value.hex()}
        case _:
            return str(value)


def _decoded(place: object) -> Place:
    if place is None:
        return None
    if not isinstance(place, list) or not place:
        raise ValueError("no place")
    return tuple(_decoded_value(value) for value in place)


def _decoded_value(value: object) -> object:
    match value:
        case {"moment": str(text)}:
            return datetime.fromisoformat(text)
        case {"number": str(text)}:
            return Decimal(text)
        case {"bytes": str(text)}:
            return bytes.fromhex(text)
        case int() | str() | float():
            return value
        case _:
            raise ValueError("no value")
