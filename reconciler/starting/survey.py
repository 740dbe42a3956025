"""What is in the shop's database, as far as a proposal needs it: some tables, and their newest rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, inspect, select

from reconciler.shops.sql.columns import Column, Kind
from reconciler.shops.sql.inspection import Inspection
from reconciler.shops.sql.schema import Reflected, reflect
from reconciler.starting.words import NOT_TABLES, TABLES, rank

TABLES_MAX: Final = 40
ROWS_MAX: Final = 2000
SMALL_ROWS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One table, and some of its rows."""

    table: Reflected
    comments: Mapping[str, str]
    key: str | None
    """Its primary key, where that is one column."""
    rows: tuple[Mapping[str, object], ...] = ()
    """Newest first, where the key says so."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.table.name

    @property
    def columns(self) -> Mapping[str, Column]:
        """Its columns, in their order."""
        return self.table.columns

    def values(self, column: str) -> list[str | None]:
        """Give a column's values as text."""
        return [self.columns[column].text(row[column]) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen."""

    tables: tuple[Surveyed, ...]
    names: tuple[str, ...]
    """Of every table there is."""


async def survey(inspection: Inspection) -> Survey:
    """Look at the tables whose names speak of orders and payments, forty at most. Raises ShopUnavailable."""

    def look(connection: Connection) -> Survey:
        names = tuple(inspect(connection).get_table_names())
        surveyed = [_surveyed(connection, name) for name in sorted(names, key=_interest)[:TABLES_MAX]]
        return Survey(tuple(each for each in surveyed if each is not None), names)

    async with inspection.session() as connection:
        return await connection.run_sync(look)


def _interest(name: str) -> tuple[int, bool, bool, str]:
    place = rank(TABLES, name)
    is_part = re.search(NOT_TABLES, name, re.IGNORECASE) is not None
    return (len(TABLES) if place is None else place, is_part, "pay" not in name.lower(), name)


def _surveyed(connection: Connection, name: str) -> Surveyed | None:
    table = reflect(connection, name)
    if isinstance(table, str):
        return None
    inspector = inspect(connection)
    comments = {each["name"]: str(each.get("comment") or "") for each in inspector.get_columns(name)}
    keys = inspector.get_pk_constraint(name).get("constrained_columns") or []
    key = keys[0] if len(keys) == 1 else None
    is_wanted = rank(TABLES, name) is not None or "pay" in name.lower()
    rows = _rows(connection, table, key) if is_wanted else ()
    return Surveyed(table, comments, key, rows)


def _rows(connection: Connection, table: Reflected, key: str | None) -> tuple[Mapping[str, object], ...]:
    """Read the newest rows, short columns only: what is long says nothing about its role."""
    wanted: Sequence[Column] = [each for each in table.columns.values() if _is_short(each)]
    statement: Select[*tuple[Any, ...]] = select(*(each.sql for each in wanted)).select_from(table.sql).limit(ROWS_MAX)
    if key is not None and table.columns[key].kind is Kind.INTEGER:
        statement = statement.order_by(table.columns[key].sql.desc())
    read = connection.execute(statement).all()
    names = [each.name for each in wanted]
    blank: dict[str, object] = dict.fromkeys(table.columns)
    return tuple(blank | dict(zip(names, row, strict=True)) for row in read)


def _is_short(column: Column) -> bool:
    return column.kind is not Kind.BINARY and not (column.kind is Kind.TEXT and (column.length or 0) > 1000)  # noqa: PLR2004 # characters
