"""Where a walk begins that must meet every row created since a time, and where one that is to meet what comes next.

By time, an index range says so. By key it takes more, since not every integer key grows with time (those of a second
server or an import, random ones): where an index begins with `created_at`, the least key among the rows created since
then; where none does, the beginning of a small table. What is left is a search by halves over the key, which trusts
that keys and times grow together. There a row created since then may be missed if its key is lower than an older row's,
and `MARGIN` does not cover it; an index on `created_at` is the remedy. (A walk from `newest()` never meets a new row
under a lower key, in any table walked by key: that is what the full walk is for.)
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.shops.sql.axis import Axis, Place
from reconciler.shops.sql.columns import Column, Kind, bound
from reconciler.shops.sql.moments import LATEST, MomentError, read_moment, write_moment

PROBES_MAX = 72
"""Look-ups of a search by time: one bit of the key each, and a few rows without a readable time."""
UNREADABLE_RUN_MAX = 8
SMALL_ROWS_MAX = 200_000
"""Rows of a table that is as well walked whole."""
MARGIN = timedelta(minutes=10)
"""How far creation times may be out of the order of the keys, or commits late."""
OFFSETS_MARGIN = timedelta(hours=26)
"""Between the offsets that times kept as text may carry, compared as text."""
FAR_AHEAD = timedelta(days=2)
"""No clock and no zone makes an order's time so wrong: a row beyond it is made up, and says nothing of what is new."""


async def beginning(axis: Axis, connection: AsyncConnection, since: datetime) -> Place:
    """Give a place before every row created at or after `since`, as far as the table lets it be known.

    Looks `MARGIN` further back, more where clocks are put back around then or times are kept as text. A row
    without a readable time never moves the place forward. Without a time column: the newest place.
    """
    if axis.created_at is None:
        return await axis.newest(connection)
    since -= MARGIN + _fold(axis, since)
    if not axis.is_by_key:
        return await _by_time(axis, axis.created_at, connection, since)
    first = (await connection.execute(axis.ordered(axis.select()).limit(1))).scalar()
    last = await axis.newest(connection)
    if not isinstance(first, int) or last is None or not isinstance(last[0], int):
        return None
    if not axis.is_time_indexed and await _is_small(axis, connection):
        return None
    low = await _bisect(axis, axis.created_at, connection, since, (first, last[0]))
    least = await _least(axis, axis.created_at, connection, since) if axis.is_time_indexed else None
    if least is not None:
        low = min(low, least - 1)
    return (low,) if low >= first else None


async def latest(axis: Axis, connection: AsyncConnection, now: datetime) -> Place:
    """Give the newest place, as what is new comes after it: one row far in the future would hide all others for years.

    By key there is no telling. Where every row lies far ahead, the newest of them all the same.
    """
    newest, created_at = await axis.newest(connection), axis.created_at
    if newest is None or axis.is_by_key or created_at is None:
        return newest
    time = _time_of(axis, created_at, newest)
    if time is not None and time <= now + FAR_AHEAD:
        return newest
    near = await _by_time(axis, created_at, connection, now + FAR_AHEAD)
    if created_at.is_loose and near is not None and _time_of(axis, created_at, near) is None:
        near = await _last_below(axis, created_at, connection, int((now + FAR_AHEAD).timestamp()))  # of the numbers
    return near or newest


def _time_of(axis: Axis, created_at: Column, place: tuple[object, ...]) -> datetime | None:
    """Read a place's time; None where it is none."""
    try:
        return read_moment(created_at, place[0], axis.zone)
    except MomentError:
        return None


async def _is_small(axis: Axis, connection: AsyncConnection) -> bool:
    """Whether the table has so few rows that its keys need not be trusted; no more of them are counted."""
    some = select(axis.key.sql).select_from(axis.table).limit(SMALL_ROWS_MAX + 1).subquery()
    count = (await connection.execute(select(func.count()).select_from(some))).scalar()
    return isinstance(count, int) and count <= SMALL_ROWS_MAX


async def _by_time(axis: Axis, created_at: Column, connection: AsyncConnection, since: datetime) -> Place:
    """Give the last place before `since`; of SQLite's numbers, which come before its texts, if any is as young."""
    first = _ranges(axis, created_at, since)[-1][0]
    for low, high in _ranges(axis, created_at, since)[:-1]:
        within = axis.select().where(created_at.sql >= bound(low), created_at.sql < bound(high)).limit(1)
        if (await connection.execute(within)).first() is not None:
            first = low
    return await _last_below(axis, created_at, connection, first)


async def _last_below(axis: Axis, created_at: Column, connection: AsyncConnection, limit: object) -> Place:
    backwards = [column.sql.desc() for column in axis.columns]
    below = axis.select().where(*axis.after(None), created_at.sql < bound(limit)).order_by(*backwards).limit(1)
    row = (await connection.execute(below)).first()
    return tuple(row) if row else None


async def _least(axis: Axis, created_at: Column, connection: AsyncConnection, since: datetime) -> int | None:
    """Give the least key among the rows created since, from the index; None where there is no such row."""
    # a sum, for otherwise planners walk the key's own index from its start, in the hope of an early match
    key: ColumnElement[object] = axis.key.sql + literal_column("0")
    leasts: list[int] = []
    for low, high in _ranges(axis, created_at, since):
        statement = select(func.min(key)).select_from(axis.table).where(created_at.sql >= bound(low))
        if high is not None:
            statement = statement.where(created_at.sql < bound(high))
        least = (await connection.execute(statement)).scalar()
        if isinstance(least, int):
            leasts.append(least)
    return min(leasts, default=None)


def _ranges(axis: Axis, created_at: Column, since: datetime) -> list[tuple[object, object]]:
    """Give what the column may hold from `since` on, as ranges; an open end is None.

    SQLite's columns hold unix seconds and texts side by side, whatever they are declared as; numbers come before texts.
    """
    if not created_at.is_loose and created_at.kind is not Kind.TEXT:
        return [(write_moment(created_at, since, axis.zone), None)]
    texts = _text(since - OFFSETS_MARGIN, axis), _text(LATEST, axis)
    return [(int(since.timestamp()), ""), texts] if created_at.is_loose else [texts]


def _text(moment: datetime, axis: Axis) -> str:
    return moment.astimezone(axis.zone).replace(tzinfo=None, microsecond=0).isoformat(" ")


async def _bisect(
    axis: Axis, created_at: Column, connection: AsyncConnection, since: datetime, span: tuple[int, int]
) -> int:
    """Give a key at or below which every row is older than `since`, if times grow with keys."""
    low, high = span[0] - 1, span[1]
    # every row at or below `low` is older than `since`; above `high` none needs to be looked at again
    for _ in range(PROBES_MAX):
        if low >= high:
            break
        middle = low + (high - low + 1) // 2
        is_older, seen = await _probe(axis, created_at, connection, middle, since)
        if is_older:
            low = max(middle, seen)
        else:
            high = middle - 1
    return low


async def _probe(
    axis: Axis, created_at: Column, connection: AsyncConnection, at: int, since: datetime
) -> tuple[bool, int]:
    """Whether the first row from this key on is older than `since`, and its key."""
    key = at
    comparison = axis.key.sql >= bound(key)
    for _ in range(UNREADABLE_RUN_MAX):
        statement = axis.ordered(select(axis.key.sql, created_at.sql).where(comparison)).limit(1)
        row = (await connection.execute(statement)).first()
        if row is None or not isinstance(row[0], int):
            return False, at
        key = row[0]
        try:
            return read_moment(created_at, row[1], axis.zone) < since, key
        except MomentError:
            comparison = axis.key.sql > bound(key)
    return False, at


def _fold(axis: Axis, since: datetime) -> timedelta:
    """Say how much local times may go back around then: an hour where summer time ends."""
    offsets = [(since + timedelta(days=day)).astimezone(axis.zone).utcoffset() for day in (-1, 0, 1)]
    known = [offset for offset in offsets if offset is not None]
    return max(known) - min(known)
