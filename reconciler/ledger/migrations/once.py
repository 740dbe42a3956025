"""Steps of a migration that are taken once, however often the migration is begun.

SQLite and PostgreSQL take back what a crash has cut short. MySQL and MariaDB change tables outside of transactions:
there a migration that was cut short is begun again, and passes over what it finds done.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.sql.schema import SchemaItem


def create_table(name: str, *items: SchemaItem, sqlite_autoincrement: bool = False) -> None:
    """Make a table, in InnoDB where that is a question, unless it is there."""
    if not (_may_be_done() and _inspector().has_table(name)):
        op.create_table(name, *items, sqlite_autoincrement=sqlite_autoincrement, mysql_engine="InnoDB")


def create_index(name: str, table: str, columns: Sequence[str]) -> None:
    """Make an index, unless it is there."""
    if not (_may_be_done() and _inspector().has_index(table, name)):
        op.create_index(name, table, list(columns))


def add_column(table: str, column: sa.Column[object]) -> None:
    """Add a column, unless it is there."""
    if not (_may_be_done() and column.name in {found["name"] for found in _inspector().get_columns(table)}):
        op.add_column(table, column)


def _may_be_done() -> bool:
    return isinstance(op.get_bind().dialect, MySQLDialect)


def _inspector() -> sa.Inspector:
    """Look anew: an inspector remembers what it saw."""
    return sa.inspect(op.get_bind())
