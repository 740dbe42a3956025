"""One table as a line to walk along: by its integer key, or by (created_at, key). Every look is an index range.

A place on the line is the tuple of raw values there: `(key,)`, or `(created_at, key)`; None is before the first row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, TableClause, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.shops.sql.columns import Column, Kind, bound
from reconciler.shops.sql.moments import MomentError, read_moment, write_moment

Place = tuple[object, ...] | None

SCAN_ROWS_MAX = 20_000
"""Rows that one statement of the walk passes over at most: the shop's writers are never held up for long."""
PROBES_MAX = 72
"""Look-ups of a search by time: one bit of the key each, and a few rows without a readable time."""
UNREADABLE_RUN_MAX = 8
MARGIN = timedelta(minutes=10)
"""How far creation times may be out of the order of the keys, or commits late."""
OFFSETS_MARGIN = timedelta(hours=26)
"""Between the offsets that times kept as text may carry, compared as text."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The line through one table."""

    table: TableClause
    key: Column
    created_at: Column | None
    zone: ZoneInfo

    @property
    def is_by_key(self) -> bool:
        """Whether the key alone orders the rows by time, roughly: an integer that grows."""
        return self.key.kind is Kind.INTEGER

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns a place is made of."""
        if self.is_by_key or self.created_at is None:
            return (self.key,)
        return (self.created_at, self.key)

    def ordered(self, statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        """Order a statement along the line."""
        return statement.order_by(*(column.sql for column in self.columns))

    def after(self, place: Place) -> tuple[ColumnElement[bool], ...]:
        """Keep what comes after a place; the leading column is always a plain range, for the index."""
        if place is None:
            return ()
        if len(self.columns) == 1:
            return (self.key.sql > bound(place[0]),)
        time, key = (column.sql for column in self.columns)
        return (time >= bound(place[0]), or_(time > bound(place[0]), key > bound(place[1])))

    def until(self, place: Place) -> tuple[ColumnElement[bool], ...]:
        """Keep what comes at or before a place."""
        if place is None:
            return ()
        if len(self.columns) == 1:
            return (self.key.sql <= bound(place[0]),)
        time, key = (column.sql for column in self.columns)
        return (time <= bound(place[0]), or_(time < bound(place[0]), key <= bound(place[1])))

    async def newest(self, connection: AsyncConnection) -> Place:
        """Give the last place."""
        backwards = [column.sql.desc() for column in self.columns]
        result = await connection.execute(self._select().order_by(*backwards).limit(1))
        row = result.first()
        return tuple(row) if row else None

    async def reach(self, connection: AsyncConnection, place: Place) -> Place:
        """Give the place that one statement may go to from here; None at the end."""
        scan = self.ordered(self._select().where(*self.after(place))).limit(SCAN_ROWS_MAX).subquery()
        if len(self.columns) == 1:
            key = (await connection.execute(select(func.max(scan.c[0])))).scalar()
            return None if key is None else (key,)
        farthest = select(*scan.c).order_by(*(column.desc() for column in scan.c)).limit(1)
        row = (await connection.execute(farthest)).first()
        return tuple(row) if row else None

    async def goes_on(self, connection: AsyncConnection, place: Place) -> bool:
        """Whether a row comes after this place."""
        result = await connection.execute(self.ordered(self._select().where(*self.after(place))).limit(1))
        return result.first() is not None

    async def before(self, connection: AsyncConnection, since: datetime) -> Place:
        """Give a place before every row created at or after `since`, as far as times and keys grow together.

        Looks `MARGIN` further back, more where clocks are put back around then or times are kept as text. A row
        without a readable time never moves the place forward. Without a time column: the newest place.
        """
        if self.created_at is None:
            return await self.newest(connection)
        since -= MARGIN + self._fold(since)
        if not self.is_by_key:
            if self.created_at.dialect == "sqlite" or self.created_at.kind is Kind.TEXT:
                since -= OFFSETS_MARGIN
            lowest = [column.sql for column in self.columns]
            first = write_moment(self.created_at, since, self.zone)
            found = select(*lowest).where(lowest[0] < bound(first)).order_by(*(c.desc() for c in lowest)).limit(1)
            row = (await connection.execute(found)).first()
            return tuple(row) if row else None
        return await self._bisect(connection, since)

    async def _bisect(self, connection: AsyncConnection, since: datetime) -> Place:
        first = (await connection.execute(self.ordered(self._select()).limit(1))).scalar()
        last = await self.newest(connection)
        if not isinstance(first, int) or last is None or not isinstance(last[0], int):
            return None
        low, high = first - 1, last[0]
        # every row at or below `low` is older than `since`; above `high` none needs to be looked at again
        for _ in range(PROBES_MAX):
            if low >= high:
                break
            middle = low + (high - low + 1) // 2
            is_older, seen = await self._probe(connection, middle, since)
            if is_older:
                low = max(middle, seen)
            else:
                high = middle - 1
        return (low,) if low >= first else None

    async def _probe(self, connection: AsyncConnection, at: int, since: datetime) -> tuple[bool, int]:
        """Whether the first row from this key on is older than `since`, and its key."""
        assert self.created_at is not None  # noqa: S101 # before() saw to it
        key: object = at
        comparison = self.key.sql >= bound(key)
        for _ in range(UNREADABLE_RUN_MAX):
            statement = self.ordered(select(self.key.sql, self.created_at.sql).where(comparison)).limit(1)
            row = (await connection.execute(statement)).first()
            if row is None or not isinstance(row[0], int):
                return False, at
            key = row[0]
            try:
                return read_moment(self.created_at, row[1], self.zone) < since, row[0]
            except MomentError:
                comparison = self.key.sql > bound(key)
        return False, at

    def _select(self) -> Select[*tuple[Any, ...]]:
        return select(*(column.sql for column in self.columns)).select_from(self.table)

    def _fold(self, since: datetime) -> timedelta:
        """Say how much local times may go back around then: an hour where summer time ends."""
        offsets = [(since + timedelta(days=day)).astimezone(self.zone).utcoffset() for day in (-1, 0, 1)]
        known = [offset for offset in offsets if offset is not None]
        return max(known) - min(known)


def axis_of(table: TableClause, key: Column, created_at: Column | None, zone: ZoneInfo) -> Axis | None:
    """Give the line through a table; None where neither key nor time orders it."""
    if key.kind is not Kind.INTEGER and created_at is None:
        return None
    return Axis(table, key, created_at, zone)
