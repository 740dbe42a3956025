"""Where a walk begins that must meet every row created since a time.

By time, an index range says so. By key it takes more, since not every integer key grows with time (keys that a second
server or an import gave out, random ones): where an index begins with `created_at`, the least key among the rows created
since then; where none does, the beginning of a small table. What is left is a search by halves over the key, which
trusts that keys and times grow together: a row that was created since, under a key lower than one that was there before,
may then be missed (and a new row under such a key is nothing that a walk from `newest()` sees, in any table).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.shops.sql.axis import Axis, Place
from reconciler.shops.sql.columns import Column, Kind, bound
from reconciler.shops.sql.moments import LATEST, MomentError, read_moment, write_moment

PROBES_MAX = 72
"""Look-ups of a search by time: one bit of the key each, and a few rows without a readable time."""
UNREADABLE_RUN_MAX = 8
SMALL_SPAN_MAX = 200_000
"""Keys from the first to the last of a table that is as well walked whole."""
MARGIN = timedelta(minutes=10)
"""How far creation times may be out of the order of the keys, or commits late."""
OFFSETS_MARGIN = timedelta(hours=26)
"""Between the offsets that times kept as text may carry, compared as text."""


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
    if not axis.is_time_indexed and last[0] - first <= SMALL_SPAN_MAX:
        return None
    searched = await _bisect(axis, axis.created_at, connection, since, (first, last[0]))
    if not axis.is_time_indexed or searched is None:
        return searched
    least = await _least(axis, axis.created_at, connection, since)
    return min(searched, least - 1) if least is not None else searched
