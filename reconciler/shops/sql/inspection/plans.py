"""Each statement of the adapter, tried: its plan first, and it itself only where an index serves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import sqlalchemy
from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import TableClause

from reconciler.ports import Position
from reconciler.shops.sql.bound import BoundShop
from reconciler.shops.sql.columns import Column
from reconciler.shops.sql.explain import EXPLAINS
from reconciler.shops.sql.inspection.examiner import Examiner
from reconciler.shops.sql.rows import selection
from reconciler.shops.sql.walk import PAGE_ROWS_MAX, Walk

LARGE_ROWS_MIN: Final = 20_000
"""From here on reading a table whole is felt by the shop."""
COUNTED_ROWS_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Unserved:
    """Something the daemon does again and again, for which an index is missing."""

    purpose: str
    table: str
    columns: tuple[str, ...]
    """What the index has to begin with."""
    rows: int
    """Rows of the table, a million at most: so many are read each time."""

    @property
    def is_felt(self) -> bool:
        """Whether that hurts today."""
        return self.rows >= LARGE_ROWS_MIN

    @property
    def remedy(self) -> str:
        """The statement that adds the index."""
        name = "idx_" + "_".join((*self.columns,))
        return f"CREATE INDEX {name} ON {self.table} ({', '.join(self.columns)});"


@dataclass(frozen=True, slots=True)
class _Reading:
    """One statement by the values of a column."""

    purpose: str
    table: TableClause
    column: Column
    statement: Select[*tuple[Any, ...]]


async def unserved(
    connection: AsyncConnection, shop: BoundShop, examiner: Examiner, since: datetime
) -> tuple[Unserved, ...]:
    """Try every statement that finding, reading and settling issue; name those that no index serves."""
    if examiner.begin_explaining:
        await connection.execute(text(examiner.begin_explaining))
    rehearsal = _Rehearsal(connection, examiner)
    found: dict[tuple[str, tuple[str, ...]], Unserved] = {}
    for reading in _readings(shop):
        for table in await rehearsal.explained(reading.statement):
            rows = await _size(connection, reading.table)
            found.setdefault(
                (table, (reading.column.name,)), Unserved(reading.purpose, table, (reading.column.name,), rows)
            )
    for table in await _walked(rehearsal, shop, since):
        which = shop.orders if table == shop.orders.source.name or shop.attempts is None else shop.attempts
        if which.created_at is None:
            continue
        columns = (which.created_at.name, which.key.name)
        rows = await _size(connection, which.source)
        found.setdefault((table, columns), Unserved("finding new orders, all the time", table, columns, rows))
    return tuple(found.values())


async def _walked(rehearsal: _Rehearsal, shop: BoundShop, since: datetime) -> tuple[str, ...]:
    walk, connection = Walk(shop), cast("AsyncConnection", rehearsal)
    newest = await walk.newest(connection, since)
    position: Position = await walk.before(connection, since)
    await walk.page(connection, newest, PAGE_ROWS_MAX)
    await walk.page(connection, position, PAGE_ROWS_MAX)
    return tuple(rehearsal.scanned)


def _readings(shop: BoundShop) -> Iterator[_Reading]:
    orders, attempts = shop.orders, shop.attempts
    purposes = (
        ("reading an order again, before each ask and each settlement", orders.key),
        ("looking for other orders with a number, before each settlement", orders.out_trade_no),
        ("finding an order by the name that people know it by", orders.order_no),
    )
    for purpose, column in purposes:
        if column is not None:
            statement = selection(orders).where(column.is_one_of(_some(column)))
            yield _Reading(purpose, orders.source, column, statement)
    if attempts is not None:
        for purpose, column in (
            ("reading the attempts of each order that is found", attempts.order),
            ("looking for the order of a number, before each settlement", attempts.out_trade_no),
        ):
            by_value = select(attempts.key.sql, attempts.order.sql, attempts.out_trade_no.sql)
            statement = by_value.where(column.is_one_of(_some(column)))
            yield _Reading(purpose, attempts.source, column, statement)


def _some(column: Column) -> list[object]:
    """Give values that the column could hold: the plan goes by their type."""
    wanted = ("1", "2", "00000000-0000-4000-8000-000000000000")
    return [form for each in wanted for form in column.lookup(each)] or ["1"]


async def _size(connection: AsyncConnection, table: TableClause) -> int:
    some = select(sqlalchemy.literal(1)).select_from(table).limit(COUNTED_ROWS_MAX).subquery()
    return int((await connection.execute(select(func.count()).select_from(some))).scalar() or 0)


class _Rehearsal:
    """Stands where the walk expects a connection."""

    def __init__(self, connection: AsyncConnection, examiner: Examiner) -> None:
        self._connection = connection
        self._examiner = examiner
        self.scanned: dict[str, None] = {}

    async def execute(self, statement: Select[*tuple[Any, ...]]) -> Any:  # noqa: ANN401 # a result, or what looks like one
        """Run a statement that an index serves, or whose table is small; of any other give nothing."""
        scanned = await self.explained(statement)
        self.scanned |= dict.fromkeys(scanned)
        return _NOTHING if scanned else await self._connection.execute(statement)

    async def explained(self, statement: Select[*tuple[Any, ...]]) -> Sequence[str]:
        """Name the tables that a statement would read whole."""
        # nothing compiled is kept: what a plan looks like must not be taken for the statement's own rows
        options = {EXPLAINS: self._examiner.explain, "compiled_cache": None}
        rows = (await self._connection.execute(statement, execution_options=options)).all()
        written = str(statement.compile(dialect=self._connection.dialect))
        return [scan.table for scan in self._examiner.scans(rows, written)]


class _Nothing:
    """A result without rows."""

    def mappings(self) -> _Nothing:
        return self

    def all(self) -> list[Any]:
        return []

    def first(self) -> None:
        return None

    def scalar(self) -> None:
        return None


_NOTHING: Final = _Nothing()
