"""SQLite: a file. Any column holds anything; the lock is a file beside it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import ColumnElement
from sqlalchemy.engine import URL
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.type_api import TypeEngine

from reconciler.databases import Access, AccessError, limits
from reconciler.databases.sqlite import ClosingConnection
from reconciler.ports import ShopUnavailable
from reconciler.shops.sql.columns import (
    Column,
    Kind,
    bound,
    declared_as,
    is_canonical_integer,
    kind_of,
    length_of,
    members_of,
)
from reconciler.shops.sql.dialects.dialect import POOL, LockStatements

WRITES = "reconciler_writes"
"""Execution option of a connection whose transactions begin with the write lock in hand."""
_FILE = "reconciler_file"
_BUSY = frozenset({5, 6})
"""SQLITE_BUSY and SQLITE_LOCKED: the low byte of every code of theirs."""

_CANNOT_WRITE = 8
_READ_ONLY = frozenset({_CANNOT_WRITE, 13})
"""SQLITE_READONLY and SQLITE_FULL."""

FileIdentity = tuple[int, int]
"""Device and inode."""


class SqliteColumn(Column):
    """Whatever it is declared as, it may hold texts, numbers and bytes side by side."""

    __slots__ = ()

    def forms(self, value: str | float) -> tuple[object, ...]:
        """Give the value as text and, where an integer would read the same, as that."""
        (form,) = super().forms(value)
        if self.kind is Kind.OTHER and isinstance(form, str) and is_canonical_integer(form):
            return (form, int(form))
        return (form,)

    def lookup(self, text: str) -> tuple[object, ...]:
        """Give the forms of a text that came from elsewhere: a column of numbers keeps it as text."""
        if self.kind is Kind.INTEGER and not is_canonical_integer(text) and text.isprintable():
            return (text,)
        return super().lookup(text)

    def _exactly(self, raw: str) -> ColumnElement[bool] | None:
        return self.sql == bound(raw).collate("BINARY")  # a column may be COLLATE NOCASE or RTRIM

    def _number(self, text: str) -> Decimal | int | str:
        number = Decimal(super()._number(text))
        return int(number) if number == int(number) and abs(number) < 1 << 63 else text


@dataclass(frozen=True, slots=True)
class SqliteDialect:
    """A file."""

    driver: str = "aiosqlite"
    package: str = "aiosqlite"
    whoami: str | None = None

    def open(self, url: URL, access: Access) -> AsyncEngine:
        """Build the engine over a file that is there."""
        if not url.database or url.database == ":memory:":
            raise AccessError(f"{access.setting}: sqlite:// needs a file, like sqlite:////var/lib/shop/shop.db")
        path = Path(url.database).absolute()
        _must_be_file(path, access.setting)
        engine = create_async_engine(
            URL.create(
                # mode=rw: a file that went missing meanwhile is an error, never created
                "sqlite+aiosqlite",
                database=f"file:{quote(str(path))}",
                query={"mode": "rw", "uri": "true"},
            ),
            pool_size=POOL.size,
            hide_parameters=True,
            connect_args={"timeout": limits.BUSY_TIMEOUT_S, "isolation_level": None, "factory": ClosingConnection},
        )
        _watch_file(engine, path)
        sqlalchemy.event.listen(engine.sync_engine, "connect", _prepare)
        sqlalchemy.event.listen(engine.sync_engine, "begin", _begin)
        return engine

    def errors(self) -> tuple[type[BaseException], ...]:
        """Name nothing more: SQLAlchemy wraps them all."""
        return ()

    def in_words(self, error: BaseException, url: URL, table: str) -> str | None:
        """Leave it to SQLite, but for what it says of a file that only the system lets nobody write."""
        del url, table
        if isinstance(error, DBAPIError) and _code_of(error) == _CANNOT_WRITE:
            return "the database's file is read-only: the user that this runs as must be able to write it"
        return None

    def is_refusal(self, error: DBAPIError) -> bool:
        """Constraints and triggers are IntegrityError already."""
        del error
        return False

    def is_busy(self, error: DBAPIError) -> bool:
        """Tell by the code. It is the file that is locked: no row of it can be written meanwhile."""
        return _code_of(error) in _BUSY

    def is_denied(self, error: DBAPIError) -> bool:
        """Never: a file knows no rights but its modes."""
        del error
        return False

    def is_read_only(self, error: DBAPIError) -> bool:
        """Tell by the code."""
        return _code_of(error) in _READ_ONLY

    def is_rolled_back(self, error: DBAPIError) -> bool:
        """Never by its text alone: the connection knows."""
        del error
        return False

    async def undo_commit(self, connection: AsyncConnection) -> bool:
        """Roll back a transaction that is still open after a failed COMMIT (a reader was in the way).

        SQLAlchemy thinks it ended, and its own rollback would do nothing.
        """
        if connection.invalidated:
            return False
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None or not driver.in_transaction:
            return False
        await driver.rollback()
        return not driver.in_transaction

    async def begin_reading(self, connection: AsyncConnection) -> None:
        """Do nothing: every transaction is one snapshot."""
        del connection

    def lock(self, database: str, schema: str | None, table: str) -> LockStatements:
        """Raise: there is no server to keep one. The lock is a file."""
        raise NotImplementedError(f"{database}, {schema}, {table}: no server keeps a lock for SQLite")

    def column(self, name: str, sql: ColumnElement[object], type_: TypeEngine[Any], zone: tzinfo) -> Column:
        """Describe a column."""
        del zone
        kind = kind_of(type_)
        kind = Kind.OTHER if kind is Kind.BINARY else kind  # a BLOB holds whatever it is given
        length = length_of(type_) if kind is Kind.TEXT else None
        return SqliteColumn(name, sql, kind, declared_as(type_), length, members_of(type_), is_loose=True)

    def is_transactional(self, inspector: Inspector, table: str, schema: str | None) -> bool:
        """Every table is."""
        del inspector, table, schema
        return True


def _code_of(error: DBAPIError) -> int | None:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def identity_of(path: Path) -> FileIdentity | None:
    """Say which file a path leads to now; None where it leads to none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def opened_file(connection: AsyncConnection) -> FileIdentity | None:
    """Say which file a connection to SQLite has opened."""
    identity: FileIdentity | None = connection.info.get(_FILE)
    return identity


def _must_be_file(path: Path, setting: str) -> None:
    """Let a missing file be waited for (a mount may come late); what is there and no file is a mistake."""
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError as error:
        raise ShopUnavailable(f"the shop's database file {path} does not exist") from error
    except OSError as error:
        raise ShopUnavailable(f"the shop's database file {path} cannot be reached: {error.strerror}") from error
    if not is_file:
        raise AccessError(f"{setting}: {path} is no file")


def _watch_file(engine: AsyncEngine, path: Path) -> None:
    """Never hand out a connection to a file that was replaced since: `mv new.db shop.db` leaves the old one open."""

    def note(_dialect: object, record: ConnectionPoolEntry, _args: object, _options: object) -> None:
        record.info[_FILE] = identity_of(path)  # before it is opened: a wrong guess is then found out, and opened again

    def compare(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info.get(_FILE) != identity_of(path):
            raise DisconnectionError(f"{path} is another file than the one that was opened")

    sqlalchemy.event.listen(engine.sync_engine, "do_connect", note)
    sqlalchemy.event.listen(engine.sync_engine, "checkout", compare)


def _prepare(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
    connection.driver_connection.text_factory = _text
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")  # a settle that was reported must survive a power cut
    cursor.close()


def _text(stored: bytes) -> str | bytes:
    """Read text that is no UTF-8 as bytes: one broken row must not stop the page it is on."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _begin(connection: sqlalchemy.Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
