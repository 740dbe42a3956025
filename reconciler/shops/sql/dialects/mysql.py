"""MySQL and MariaDB, as the shop's adapter sees them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from sqlalchemy import ColumnElement, cast, types
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.type_api import TypeEngine

from reconciler.databases import Access, Mysql, limits
from reconciler.databases.mysql import code_of
from reconciler.shops.sql.columns import Column, Kind, bound, declared_as, kind_of, length_of, members_of
from reconciler.shops.sql.dialects.dialect import POOL, LockStatements

_INTEGERS = (-(1 << 63), (1 << 64) - 1)
"""Signed or not: reflection does not always say."""
_REFUSING = frozenset({1292, 1366, 1644, 3819, 4025})
"""Wrong value (twice), SIGNAL of a trigger, CHECK of MySQL and of MariaDB: OperationalError to the driver."""
_BUSY = frozenset({1020, 1205, 1213, 3101})
"""Changed since it was read (MariaDB, where snapshots are strict), lock wait, deadlock, a cluster's certification."""
_NO_ROLLBACK = {"myisam", "aria", "memory", "csv"}


class MysqlColumn(Column):
    """Texts are equal by a collation here: often without regard to case, nearly always to trailing blanks."""

    __slots__ = ()

    def _exactly(self, raw: str) -> ColumnElement[bool] | None:
        if self.kind is not Kind.TEXT:
            return None
        unicode = cast(self.sql, mysql.CHAR(charset="utf8mb4"))  # whatever the column's own character set
        return cast(unicode, mysql.BINARY) == bound(raw.encode())


@dataclass(frozen=True, slots=True)
class MysqlDialect(Mysql):
    """A server that a shop is kept on."""

    whoami: str | None = (
        "SELECT CONCAT(QUOTE(LEFT(who, CHAR_LENGTH(who) - CHAR_LENGTH(host) - 1)), '@', QUOTE(host))"
        " FROM (SELECT CURRENT_USER() AS who, SUBSTRING_INDEX(CURRENT_USER(), '@', -1) AS host) AS me"
    )

    def open(self, url: URL, access: Access) -> AsyncEngine:
        """Build the engine."""
        return self.connect(url, access, POOL)

    def is_refusal(self, error: DBAPIError) -> bool:
        """Tell by the number."""
        return code_of(error.orig) in _REFUSING

    def is_busy(self, error: DBAPIError) -> bool:
        """Tell by the number."""
        return not error.connection_invalidated and code_of(error.orig) in _BUSY

    async def undo_commit(self, connection: AsyncConnection) -> bool:
        """Nobody knows what the server did."""
        del connection
        return False

    async def begin_reading(self, connection: AsyncConnection) -> None:
        """Do nothing: the session is set to it."""
        del connection

    def lock(self, database: str, schema: str | None, table: str) -> LockStatements:
        """Name it by database and table, in 64 characters; case folded, since some servers fold it too."""
        name = f"reconciler:{schema or database}:{table}".lower()
        key = f"reconciler:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        return LockStatements(
            key={"key": key},
            take="SELECT GET_LOCK(:key, 0)",
            holds="SELECT IS_USED_LOCK(:key) = CONNECTION_ID()",
            prepare=(f"SET SESSION wait_timeout = {limits.IDLE_MAX_S}",),
        )

    def column(self, name: str, sql: ColumnElement[object], type_: TypeEngine[Any], zone: tzinfo) -> Column:
        """Describe a column."""
        kind = kind_of(type_)
        return MysqlColumn(
            name,
            sql,
            kind,
            declared_as(type_),
            length_of(type_) if kind is Kind.TEXT else None,
            members_of(type_),
            integers=(0, (1 << (type_.length or 1)) - 1) if isinstance(type_, mysql.BIT) else _INTEGERS,
            zone=zone if isinstance(type_, types.TIMESTAMP) else None,
        )

    def is_transactional(self, inspector: Inspector, table: str, schema: str | None) -> bool:
        """Tell by the engine."""
        options = inspector.get_table_options(table, schema=schema)
        return str(options.get("mysql_engine", options.get("mariadb_engine", ""))).lower() not in _NO_ROLLBACK
