"""One table as a line to walk along: by its integer key, or by (created_at, key). Every look is an index range.

A place on the line is the tuple of raw values there: `(key,)`, or `(created_at, key)`; None is before the first row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, TableClause, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.shops.sql.bound import BoundAttempts
from reconciler.shops.sql.columns import Column, Kind, bound

Place = tuple[object, ...] | None

SCAN_ROWS_MAX = 20_000
"""Rows that one statement of the walk passes over at most: the shop's writers are never held up for long."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The line through one table."""

    table: TableClause
    key: Column
    created_at: Column | None
    zone: ZoneInfo
    is_time_indexed: bool
    """Whether an index begins with `created_at`."""

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
        if len(self.columns) == 1:
            return () if place is None else (self.key.sql > bound(place[0]),)
        if place is None:
            # a row without a time has no place here, not even a last one
            return (self.columns[0].sql.is_not(None), *self.columns[0].readable())
        time, key = (column.sql for column in self.columns)
        after = or_(time > bound(place[0]), key > bound(place[1]))
        return (time >= bound(place[0]), after, *self.columns[0].readable())

    def knows(self, place: Place) -> bool:
        """Whether a place may be one of this line: what was kept may be another mapping's, or another version's."""
        if place is None:
            return True
        if len(place) != len(self.columns) or None in place or "None" in place:
            return False
        first, column = place[0], self.columns[0]
        needed = int if self.is_by_key else datetime if column.kind is Kind.MOMENT else object
        return column.is_loose or isinstance(first, needed)

    def until(self, place: Place) -> tuple[ColumnElement[bool], ...]:
        """Keep what comes at or before a place."""
        if place is None:
            return ()
        if len(self.columns) == 1:
            return (self.key.sql <= bound(place[0]),)
        time, key = (column.sql for column in self.columns)
        return (time <= bound(place[0]), or_(time < bound(place[0]), key <= bound(place[1])))

    async def newest(self, connection: AsyncConnection, after: Place = None) -> Place:
        """Give the last place; None where no row comes after this one."""
        backwards = [column.sql.desc() for column in self.columns]
        result = await connection.execute(self.select().where(*self.after(after)).order_by(*backwards).limit(1))
        row = result.first()
        return tuple(row) if row else None

    async def reach(self, connection: AsyncConnection, place: Place) -> Place:
        """Give the place that one statement may go to from here; None at the end."""
        if place is not None and self.is_by_key and isinstance(place[0], int):
            newest = await self.newest(connection, place)
            if newest is None or (isinstance(newest[0], int) and newest[0] - place[0] <= SCAN_ROWS_MAX):
                return newest  # no more rows than keys: nothing to count
        scan = self.ordered(self.select().where(*self.after(place))).limit(SCAN_ROWS_MAX).subquery()
        if len(self.columns) == 1:
            key = (await connection.execute(select(func.max(scan.c[0])))).scalar()
            return None if key is None else (key,)
        farthest = select(*scan.c).order_by(*(column.desc() for column in scan.c)).limit(1)
        row = (await connection.execute(farthest)).first()
        return tuple(row) if row else None

    async def goes_on(self, connection: AsyncConnection, place: Place) -> bool:
        """Whether a row comes after this place."""
        result = await connection.execute(self.ordered(self.select().where(*self.after(place))).limit(1))
        return result.first() is not None

    def select(self) -> Select[*tuple[Any, ...]]:
        """Select places."""
        return select(*(column.sql for column in self.columns)).select_from(self.table)


def axis_of(attempts: BoundAttempts, zone: ZoneInfo) -> Axis | None:
    """Give the line through the attempts' table; None where neither key nor time orders it."""
    if attempts.key.kind is not Kind.INTEGER and attempts.created_at is None:
        return None
    return Axis(attempts.source, attempts.key, attempts.created_at, zone, attempts.is_time_indexed)
