"""What is special to a kind of database, in one module each. Nothing else compares names of databases."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciler.databases import Access
from reconciler.shops.sql.dialects.dialect import Dialect, LockStatements
from reconciler.shops.sql.dialects.mysql import MysqlDialect
from reconciler.shops.sql.dialects.postgresql import PostgresqlDialect
from reconciler.shops.sql.dialects.sqlite import SqliteDialect

DIALECTS: Mapping[str, Dialect] = {
    "sqlite": SqliteDialect(),
    "mysql": MysqlDialect(),
    "postgresql": PostgresqlDialect(),
}
"""By the scheme of the URL, which is SQLAlchemy's name too."""


def dialect_of(bind: AsyncEngine | AsyncConnection | Connection) -> Dialect:
    """Give the dialect that an engine or a connection of ours speaks."""
    return DIALECTS[bind.dialect.name]


__all__ = ["DIALECTS", "Access", "Dialect", "LockStatements", "dialect_of"]
