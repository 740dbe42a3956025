"""From a ledger's URL to the two engines that serve it: one connection that writes, a few that read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.ports import LedgerUnavailable

DRIVERS = {
    "postgresql": ("postgresql+asyncpg", "postgres"),
    "mysql": ("mysql+asyncmy", "mysql"),
    "mariadb": ("mariadb+asyncmy", "mysql"),
}
"""Our URL scheme to SQLAlchemy's driver, and the extra that brings it."""

READERS_MAX = 4
BUSY_TIMEOUT_S = 5.0
POOL_TIMEOUT_S = 10.0
WAL_BYTES_MAX = 64 * 1024 * 1024

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
    f"PRAGMA journal_size_limit={WAL_BYTES_MAX}",
)


@dataclass(frozen=True, slots=True)
class Engines:
    """The way into one ledger."""

    write: AsyncEngine
    read: AsyncEngine
    where: str
    """The ledger's place in words, without the password."""

    async def close(self) -> None:
        """Close every connection."""
        await self.write.dispose()
        await self.read.dispose()


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what a database or its network can fail with into LedgerUnavailable; our own mistakes stay what they are."""
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise
    except DBAPIError as error:
        raise LedgerUnavailable(f"ledger {where}: {error.orig}") from error
    except PoolTimeout as error:
        raise LedgerUnavailable(f"ledger {where}: no connection came free in {POOL_TIMEOUT_S:g} s") from error
    except OSError as error:
        raise LedgerUnavailable(f"ledger {where}: {error}") from error


def open_engines(url: str, password: bytes | None, *, create: bool) -> Engines:
    """Build the engines; for SQLite also make (or, without `create`, demand) the file. Nothing else is touched.

    Raises LedgerUnavailable, ValueError for a URL that is none of ours.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(
            "the ledger's URL is not one; write it like sqlite:////var/lib/reconciler/ledger.db"
        ) from error
    if parsed.drivername == "sqlite":
        return _sqlite(parsed, create=create)
    if parsed.drivername not in DRIVERS:
        raise ValueError(f"a ledger is kept in sqlite, postgresql or mysql, not in {parsed.drivername!r}")
    driver, extra = DRIVERS[parsed.drivername]
    target = parsed.set(drivername=driver)
    if password is not None:
        target = target.set(password=password.decode())
    where = parsed.set(query={}).render_as_string(hide_password=True)
    try:
        return Engines(
            write=create_async_engine(
                target,
                pool_size=1,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                pool_pre_ping=True,
                hide_parameters=True,
            ),
            read=create_async_engine(
                target,
                pool_size=READERS_MAX,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                pool_pre_ping=True,
                hide_parameters=True,
            ),
            where=where,
        )
    except ModuleNotFoundError as error:
        raise LedgerUnavailable(
            f"ledger {where}: the driver is not installed; install payment-reconciler[{extra}]"
        ) from error


def _sqlite(url: URL, *, create: bool) -> Engines:
    if not url.database or url.database == ":memory:" or url.query or url.host:
        raise ValueError("a SQLite ledger is a file: write sqlite:////var/lib/reconciler/ledger.db")
    path = Path(url.database).absolute()
    if create:
        _make_file(path)
    elif not path.is_file():
        raise LedgerUnavailable(f"ledger {path}: there is no such file; the daemon makes it when it first starts")
    # mode=rw: a file that has gone meanwhile is an error, never an empty ledger.
    target = URL.create("sqlite+aiosqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
    return Engines(
        write=_sqlite_engine(target, "BEGIN IMMEDIATE", 1),
        read=_sqlite_engine(target, "BEGIN", READERS_MAX),
        where=str(path),
    )


def _make_file(path: Path) -> None:
    """Make the file (0600) and the directory it is in (0700), but no more than that one directory."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            if not path.is_file():
                raise LedgerUnavailable(f"ledger {path}: is not a file") from None
    except OSError as error:
        raise LedgerUnavailable(f"ledger {path}: cannot be made: {error.strerror}") from error


def _sqlite_engine(url: URL, begin: str, size: int) -> AsyncEngine:
    """Build an engine whose transactions begin where SQLAlchemy says so, not where sqlite3 guesses."""
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_S},
    )

    def prepare(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", start)
    return engine
