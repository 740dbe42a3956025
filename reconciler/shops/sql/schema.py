"""What the database itself says of a table: columns, types, what is unique."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, TableClause, column, inspect, table
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import SAWarning
from sqlalchemy.sql import quoted_name

from reconciler.databases.zone import zone_of
from reconciler.shops.sql.columns import Column
from reconciler.shops.sql.dialects import dialect_of

NAMES_SHOWN_MAX = 60


@dataclass(frozen=True, slots=True, eq=False)
class Reflected:
    """A table (or view) as it is."""

    name: str
    schema: str | None
    """As the configuration names it; None: the session's own."""
    home: str | None
    """The schema it is really in."""
    sql: TableClause
    columns: Mapping[str, Column]
    unique: frozenset[str]
    """Columns that are the primary key, or unique, by themselves."""
    indexed: frozenset[str] = frozenset()
    """Columns that an index over every row begins with, so that a range of them is an index range."""
    is_transactional: bool = True


def reflect(connection: Connection, name: str) -> Reflected | str:
    """Read a table's schema, by its name or "schema.table"; what is wrong with the name where there is none."""
    inspector, dialect = inspect(connection), dialect_of(connection)
    schema: str | None = None
    bare = name
    if not inspector.has_table(name) and "." in name:
        schema, _, bare = name.partition(".")
    if not (inspector.has_table(bare, schema=schema) if schema in {None, *inspector.get_schema_names()} else False):
        known = [*inspector.get_table_names(), *inspector.get_view_names()]
        return f"no table `{name}`; there are: {among(name, known)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # an exotic type of a column that we may not even read
        columns = inspector.get_columns(bare, schema=schema)
        unique = _unique(inspector, bare, schema)
        indexed = _indexed(inspector, bare, schema)
        is_transactional = dialect.is_transactional(inspector, bare, schema)
    sql = table(_quoted(bare), *(column(_quoted(c["name"])) for c in columns), schema=schema and _quoted(schema))
    zone = zone_of(connection)
    described = {c["name"]: dialect.column(c["name"], sql.c[c["name"]], c["type"], zone) for c in columns}
    home = schema or inspector.default_schema_name
    return Reflected(bare, schema, home, sql, described, unique, indexed, is_transactional)


def among(name: str, known: list[str]) -> str:
    """List what there is, and the nearest name first of all."""
    nearest = get_close_matches(name, known, n=1)
    names = ", ".join(known[:NAMES_SHOWN_MAX]) + (", …" if len(known) > NAMES_SHOWN_MAX else "")
    return (names or "none") + (f"; did you mean `{nearest[0]}`?" if nearest else "")


def _quoted(name: str) -> quoted_name:
    return quoted_name(name, quote=True)


def _unique(inspector: Inspector, name: str, schema: str | None) -> frozenset[str]:
    keys: list[Any] = [inspector.get_pk_constraint(name, schema=schema).get("constrained_columns") or []]
    keys += [constraint["column_names"] for constraint in inspector.get_unique_constraints(name, schema=schema)]
    keys += [
        index["column_names"]
        for index in _indexes(inspector, name, schema)
        if index["unique"] and not any(option.endswith(("_where", "_length")) for option in _options(index))
    ]
    return frozenset(columns[0] for columns in keys if len(columns) == 1 and columns[0] is not None)


def _indexed(inspector: Inspector, name: str, schema: str | None) -> frozenset[str]:
    keys: list[Any] = [inspector.get_pk_constraint(name, schema=schema).get("constrained_columns") or []]
    keys += [constraint["column_names"] for constraint in inspector.get_unique_constraints(name, schema=schema)]
    keys += [index["column_names"] for index in _indexes(inspector, name, schema) if _serves_ranges(index)]
    return frozenset(columns[0] for columns in keys if columns and columns[0] is not None)


def _indexes(inspector: Inspector, name: str, schema: str | None) -> list[Any]:
    """Give the indexes; SQLite's own among them (`PRAGMA index_list`), which stand for what is UNIQUE in a column.

    Its constraints are read off the text of CREATE TABLE otherwise, which a type with brackets defeats.
    """
    return [*inspector.get_indexes(name, schema=schema, include_auto_indexes=True)]


def _serves_ranges(index: Any) -> bool:  # noqa: ANN401 # SQLAlchemy's own open dictionary
    if any(option.endswith("_where") for option in _options(index)):
        return False
    kinds = {index.get("type"), index.get("dialect_options", {}).get("postgresql_using")}
    return not kinds & {"FULLTEXT", "SPATIAL", "hash", "gin", "gist", "spgist"}


def _options(index: Any) -> list[str]:  # noqa: ANN401 # SQLAlchemy's own open dictionary
    return [name for name, value in index.get("dialect_options", {}).items() if value is not None and value != {}]
