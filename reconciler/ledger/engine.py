"""From a ledger's URL to the two engines that serve it: one connection that writes, a few that read."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.databases import ALIASES, SERVERS, Access, AccessError, Pool, Server, limits
from reconciler.databases.sqlite import ClosingConnection
from reconciler.domain.personal import without_persons
from reconciler.ports import LedgerUnavailable

if TYPE_CHECKING:
    import aiosqlite

READERS_MAX = 4
BUSY_TIMEOUT_S = 5.0
BUSY_AGAIN_S = 0.05
POOL_TIMEOUT_S = 10.0
WAL_BYTES_MAX = 64 * 1024 * 1024
ERROR_TEXT_LENGTH_MAX = 300
ERROR_RAW_LENGTH_MAX = 10_000

_PRAGMAS = (
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
    server: Server | None = None
    """None for a file."""

    def errors(self) -> tuple[type[BaseException], ...]:
        """Name all that the database or its network can fail with; drivers raise their own while connecting."""
        return (SQLAlchemyError, OSError, *(self.server.errors() if self.server is not None else ()))

    def deadline(self) -> asyncio.Timeout:
        """Bound what is asked of a server; a file answers, and its locks are waited for as long as SQLite is told."""
        return asyncio.timeout(limits.STATEMENT_TIMEOUT_S if self.server is not None else None)

    def is_rolled_back(self, error: BaseException) -> bool:
        """Whether the server says by it that a COMMIT did not happen."""
        return self.server is not None and isinstance(error, DBAPIError) and self.server.is_rolled_back(error)

    def unavailable(self, error: BaseException) -> LedgerUnavailable:
        """Say what happened, in one short line, without statement or values."""
        words = self.server.in_words(error, self.write.url, "ledger") if self.server is not None else None
        if words is None and isinstance(error, PoolTimeout):
            words = f"no connection came free in {POOL_TIMEOUT_S:g} s"
        if words is None and isinstance(error, TimeoutError):
            words = f"no answer within {limits.STATEMENT_TIMEOUT_S} s"
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        said = without_persons(" ".join((words or str(cause))[:ERROR_RAW_LENGTH_MAX].split()))
        return LedgerUnavailable(f"ledger {self.where}: {said[:ERROR_TEXT_LENGTH_MAX] or type(cause).__name__}")

    def is_our_mistake(self, error: BaseException) -> bool:
        """Whether it is none of the database's: the statement was wrong, or what it would have written."""
        if isinstance(error, ProgrammingError):
            return self.server is None or not self.server.is_denied(error)
        return isinstance(error, IntegrityError) or (
            isinstance(error, SQLAlchemyError) and not isinstance(error, DBAPIError | PoolTimeout)
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.write.dispose()
        await self.read.dispose()


@contextmanager
def translated(engines: Engines) -> Iterator[None]:
    """Turn what a database or its network can fail with into LedgerUnavailable; our own mistakes stay what they are."""
    try:
        yield
    except engines.errors() as error:
        if engines.is_our_mistake(error):
            raise
        raise engines.unavailable(error) from error


def open_engines(
    url: str, password: bytes | None, *, create: bool, tls: str | None = None, tls_ca: bytes | None = None
) -> Engines:
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
    parsed = parsed.set(drivername=ALIASES.get(parsed.drivername, parsed.drivername))
    if parsed.drivername not in SERVERS:
        raise ValueError(f"a ledger is kept in sqlite, postgresql or mysql, not in {parsed.drivername!r}")
    return _on_server(parsed, Access(url, password, tls, tls_ca, "ledger.url", ZoneInfo("UTC")))


def _on_server(url: URL, access: Access) -> Engines:
    """Build the engines for a server. Each read is one snapshot; a writer sees what is there once it has its turn."""
    server = SERVERS[url.drivername]
    where = url.set(query={}).render_as_string(hide_password=True)
    writer = Pool(1, 0, POOL_TIMEOUT_S, server.fencing, limits.IDLE_MAX_S)
    readers = Pool(READERS_MAX, 0, POOL_TIMEOUT_S, "REPEATABLE READ")
    try:
        return Engines(server.connect(url, access, writer), server.connect(url, access, readers), where, server)
    except AccessError as error:
        raise LedgerUnavailable(str(error)) from error
    except ModuleNotFoundError as error:
        raise LedgerUnavailable(f"ledger {where}: the driver is not installed; install {server.package}") from error


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


async def _prepare(connection: aiosqlite.Connection) -> None:
    """Set a connection up; of processes that begin a file at once all but one hear that it is locked, and try again."""
    for pragma in _PRAGMAS:
        await connection.execute_fetchall(pragma)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + BUSY_TIMEOUT_S
    while True:
        try:
            await connection.execute_fetchall("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if loop.time() >= until_s or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            await asyncio.sleep(BUSY_AGAIN_S)
        else:
            return


def _sqlite_engine(url: URL, begin: str, size: int) -> AsyncEngine:
    """Build an engine whose transactions begin where SQLAlchemy says so, not where sqlite3 guesses."""
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_S, "factory": ClosingConnection},
    )

    def prepare(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
        connection.run_async(_prepare)

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", start)
    return engine
