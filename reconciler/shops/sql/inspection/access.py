"""The way in: an engine whose sessions cannot write, and what is asked over it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciler.databases import Access
from reconciler.domain.order import OrderKey
from reconciler.ports import Clock, Found
from reconciler.shops.sql import explain, lookups
from reconciler.shops.sql.attempts import found
from reconciler.shops.sql.axis import Axis, axis_of
from reconciler.shops.sql.binding import bind
from reconciler.shops.sql.bound import BoundShop
from reconciler.shops.sql.engine import driver_errors, open_engine, reading, sqlite_path
from reconciler.shops.sql.inspection.examiner import Examiner, Holding, Rights, ServerZone, Use, naive_or_aware
from reconciler.shops.sql.inspection.mysql import MysqlExaminer
from reconciler.shops.sql.inspection.plans import Unserved, unserved
from reconciler.shops.sql.inspection.postgresql import PostgresqlExaminer
from reconciler.shops.sql.inspection.sqlite import SqliteExaminer
from reconciler.shops.sql.mapping import ShopMapping
from reconciler.shops.sql.rows import ReadRow, read_row, selection
from reconciler.shops.sql.schema import Reflected, reflect

SAMPLE_ROWS_MAX: Final = 20_000
TIMELESS_MAX: Final = 1000

EXAMINERS: Final[Mapping[str, Examiner]] = {
    "sqlite": SqliteExaminer(),
    "mysql": MysqlExaminer(),
    "postgresql": PostgresqlExaminer(),
}
"""By SQLAlchemy's name."""


@contextlib.asynccontextmanager
async def inspecting(access: Access) -> AsyncIterator[Inspection]:
    """Open a way in for as long as it is needed. Raises MappingError for a URL, ShopUnavailable for a missing file."""
    engine = open_engine(access)
    examiner = EXAMINERS[engine.dialect.name]
    examiner.make_read_only(engine)
    explain.listen(engine)
    try:
        yield Inspection(engine, examiner, sqlite_path(access))
    finally:
        with contextlib.suppress(*driver_errors(engine)):
            await engine.dispose()


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest orders, newest first, those that the mapping's `where` leaves out excepted."""

    rows: tuple[ReadRow, ...]
    is_whole: bool
    """Whether the table has no more."""


class Inspection:
    """What can be asked. Every method reads in a transaction of its own, and raises ShopUnavailable."""

    def __init__(self, engine: AsyncEngine, examiner: Examiner, path: Path | None) -> None:
        self._engine = engine
        self._examiner = examiner
        self.path = path
        """The file, of a database that is one."""

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncConnection]:
        """Read on one snapshot."""
        async with reading(self._engine) as connection:
            yield connection

    async def bind(self, mapping: ShopMapping) -> BoundShop:
        """Bind the mapping to the tables. Raises MappingError with every misfit."""
        async with self.session() as connection:
            return await connection.run_sync(bind, mapping)

    async def reflected(self, name: str) -> Reflected | str:
        """Describe a table; say what is wrong with its name where there is none."""
        async with self.session() as connection:
            return await connection.run_sync(reflect, name)

    async def holdings(self, name: str, schema: str | None) -> Mapping[str, Holding]:
        """Say what each column of a table takes."""

        def ask(connection: Connection) -> dict[str, Holding]:
            columns = inspect(connection).get_columns(name, schema=schema)
            return {
                each["name"]: self._examiner.holding(each["type"], is_nullable=bool(each["nullable"]))
                for each in columns
            }

        async with self.session() as connection:
            return await connection.run_sync(ask)

    async def rights(self, tables: Sequence[Use]) -> Rights:
        """Say what the user may do. The first table is the one that is written."""
        async with self.session() as connection:
            return await self._examiner.rights(connection, tables, self.path)

    async def unserved(self, shop: BoundShop, since: datetime) -> tuple[Unserved, ...]:
        """Name what no index serves."""
        async with self.session() as connection:
            return await unserved(connection, shop, self._examiner, since)

    async def sample(self, shop: BoundShop) -> Sample:
        """Read the newest orders, 20,000 at most: an index range."""
        orders = shop.orders
        axis = Axis(orders.source, orders.key, orders.created_at, shop.zone, orders.is_time_indexed)
        backwards = [column.sql.desc() for column in axis.columns]
        async with self.session() as connection:
            has_place = axis.after(None)
            newest = axis.select().where(*has_place).order_by(*backwards).limit(SAMPLE_ROWS_MAX + 1).subquery()
            first = select(*newest.c).order_by(*newest.c).limit(1)
            place = (await connection.execute(first)).first()
            statement = selection(orders).where(*has_place).order_by(*backwards).limit(SAMPLE_ROWS_MAX + 1)
            if place is not None:
                statement = statement.where(axis.columns[0].sql >= sqlalchemy.bindparam(None, place[0], unique=True))
            raws = (await connection.execute(statement)).mappings().all()
            counted = (await connection.execute(select(sqlalchemy.func.count()).select_from(newest))).scalar()
        rows = tuple(read_row(orders, shop.zone, raw) for raw in raws[:SAMPLE_ROWS_MAX])
        return Sample(rows, is_whole=int(counted or 0) <= SAMPLE_ROWS_MAX)

    async def timeless(self, shop: BoundShop) -> int:
        """Count the candidates that finding never meets, `TIMELESS_MAX` at most: walked by a time that they lack.

        Not counted where no index begins with the time, which is a fault of its own, nor where a channel is ignored.
        """
        orders = shop.orders
        axis = Axis(orders.source, orders.key, orders.created_at, shop.zone, orders.is_time_indexed)
        if axis.is_by_key or not orders.is_time_indexed:
            return 0
        time = orders.created_at
        unreadable = [sqlalchemy.not_(sqlalchemy.and_(*time.readable()))] if time.readable() else []
        missing = (sqlalchemy.or_(time.sql.is_(None), *unreadable), orders.status.is_one_of(orders.candidate_values))
        async with self.session() as connection:
            raws = (await connection.execute(selection(orders).where(*missing).limit(TIMELESS_MAX))).mappings().all()
        rows = [read_row(orders, shop.zone, raw) for raw in raws]
        return sum((row.channel_value or "NULL") not in shop.ignored for row in rows)

    async def numbers(self, shop: BoundShop) -> tuple[str, ...]:
        """Read the numbers of the newest attempts, where those have a table of their own."""
        attempts = shop.attempts
        axis = axis_of(attempts, shop.zone) if attempts is not None else None
        if attempts is None or axis is None:
            return ()
        statement = select(attempts.out_trade_no.sql).order_by(*(column.sql.desc() for column in axis.columns))
        async with self.session() as connection:
            rows = (await connection.execute(statement.limit(SAMPLE_ROWS_MAX))).all()
        return tuple(number for row in rows if (number := attempts.out_trade_no.text(row[0])))

    async def with_attempts(self, shop: BoundShop, keys: Sequence[OrderKey]) -> tuple[Found, ...]:
        """Read orders with their attempts."""
        async with self.session() as connection:
            rows = await lookups.by_keys(connection, shop, keys)
            return await found(connection, shop, [rows[key] for key in keys if key in rows])

    async def zone(self) -> ServerZone | None:
        """Say which zone the server's sessions have unless they say otherwise."""
        async with self.session() as connection:
            return await self._examiner.zone(connection)

    async def clock_off(self, clock: Clock) -> timedelta | None:
        """Say how far the server's clock is ahead of ours (behind: negative); None where it is ours."""
        if self._examiner.now is None:
            return None
        async with self.session() as connection:
            before = clock.now()
            theirs = naive_or_aware((await connection.execute(text(self._examiner.now))).scalar())
            after = clock.now()
        if theirs is None:
            return None
        aware = theirs if theirs.tzinfo is not None else theirs.replace(tzinfo=UTC)
        return aware - (before + (after - before) / 2)
