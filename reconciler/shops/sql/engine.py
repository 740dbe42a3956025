"""From `shop.url` to an engine: the driver, the session's settings, and what its failures are called."""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.ports import ShopUnavailable
from reconciler.shops.sql.mapping import MappingError

BUSY_TIMEOUT_S = 5
"""How long a statement waits for somebody else's lock on a row or a file."""
STATEMENT_TIMEOUT_S = 30
POOL_SIZE = 4
ERROR_TEXT_LENGTH_MAX = 300

_DRIVERS = {"sqlite": "aiosqlite", "mysql": "asyncmy", "postgresql": "asyncpg"}
_EXTRAS = {"mysql": "mysql", "postgresql": "postgres"}
_WRITES = "reconciler_writes"
_FILE = "reconciler_file"

FileIdentity = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a database is reached."""

    url: str
    password: bytes | None
    tls: str | None
    tls_ca: bytes | None
    setting: str
    """The configuration's name of the URL, for errors."""


def open_engine(access: Access) -> AsyncEngine:
    """Build the engine; nothing is connected yet. Raises MappingError."""
    url = _parse(access)
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url, access.setting)
    if access.password is not None:
        url = url.set(password=access.password.decode())
    backend = url.get_backend_name()
    arguments: dict[str, Any] = _mysql_arguments() if backend == "mysql" else _postgresql_arguments()
    context = _tls(url, access)
    if context is not None:
        arguments["ssl"] = context
    url = url.set(drivername=f"{backend}+{_DRIVERS[backend]}")
    return create_async_engine(
        url, pool_size=POOL_SIZE, pool_pre_ping=True, hide_parameters=True, connect_args=arguments
    )


def sqlite_path(access: Access) -> Path | None:
    """Give the path of the database file, as configured; None for a server."""
    url = _parse(access)
    return Path(url.database or "").absolute() if url.get_backend_name() == "sqlite" else None


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


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Read on one snapshot. Whatever fails is ShopUnavailable, and so is a statement that takes half a minute."""
    with unavailable(engine):
        async with asyncio.timeout(STATEMENT_TIMEOUT_S), engine.connect() as connection:
            yield connection


def writing(connection: AsyncConnection) -> AsyncConnection:
    """Mark a connection's transactions as writing ones: on SQLite they begin with the write lock in hand."""
    connection.sync_connection.execution_options(**{_WRITES: True})  # type: ignore[union-attr] # it is open
    return connection


class unavailable:  # noqa: N801 # used as a context manager: `with unavailable(engine)`
    """Turn what the driver raises into ShopUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, driver_errors(self._engine)):
            raise ShopUnavailable(f"the shop's database cannot be asked: {text_of_error(error)}") from error


def driver_errors(engine: AsyncEngine) -> tuple[type[BaseException], ...]:
    """Name all that a driver may raise, wrapped by SQLAlchemy or (while connecting) not."""
    errors: list[type[BaseException]] = [SQLAlchemyError, OSError]
    if engine.dialect.driver == "asyncpg":
        import asyncpg  # type: ignore[import-untyped] # it ships no types  # noqa: PLC0415 # an optional extra

        errors += [asyncpg.PostgresError, asyncpg.InterfaceError]
    elif engine.dialect.driver == "asyncmy":
        import asyncmy.errors  # noqa: PLC0415 # an optional extra

        errors += [asyncmy.errors.MySQLError]
    return tuple(errors)


def text_of_error(error: BaseException) -> str:
    """Say what the driver said, in one short line, without statement or values."""
    if isinstance(error, TimeoutError):
        return f"no answer within {STATEMENT_TIMEOUT_S} s"
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split())[:ERROR_TEXT_LENGTH_MAX] or type(cause).__name__


def _parse(access: Access) -> URL:
    try:
        url = make_url(access.url)
    except (ArgumentError, ValueError) as error:
        raise MappingError([f"{access.setting}: not a database URL"]) from error
    aliases = {"mariadb": "mysql", "postgres": "postgresql"}
    name = aliases.get(url.drivername, url.drivername)
    if name not in _DRIVERS:
        raise MappingError([f"{access.setting}: {name}:// is not one of sqlite://, mysql://, postgresql://"])
    if importlib.util.find_spec(_DRIVERS[name]) is None:
        extra = _EXTRAS.get(name)
        package = f"payment-reconciler[{extra}]" if extra else _DRIVERS[name]
        raise MappingError([f"{access.setting}: {name}:// needs the driver {_DRIVERS[name]}; install {package}"])
    return url.set(drivername=name)


def _open_sqlite(url: URL, setting: str) -> AsyncEngine:
    if not url.database or url.database == ":memory:":
        raise MappingError([f"{setting}: sqlite:// needs a file, like sqlite:////var/lib/shop/shop.db"])
    path = Path(url.database).absolute()
    _must_be_file(path, setting)
    engine = create_async_engine(
        URL.create(
            # mode=rw: a file that went missing meanwhile is an error, never created
            "sqlite+aiosqlite",
            database=f"file:{quote(str(path))}",
            query={"mode": "rw", "uri": "true"},
        ),
        pool_size=POOL_SIZE,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None},
    )
    _watch_file(engine, path)
    sqlalchemy.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sqlalchemy.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _must_be_file(path: Path, setting: str) -> None:
    """Let a missing file be waited for (a mount may come late); what is there and no file is a mistake."""
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError as error:
        raise ShopUnavailable(f"the shop's database file {path} does not exist") from error
    except OSError as error:
        raise ShopUnavailable(f"the shop's database file {path} cannot be reached: {error.strerror}") from error
    if not is_file:
        raise MappingError([f"{setting}: {path} is no file"])


def _watch_file(engine: AsyncEngine, path: Path) -> None:
    """Never hand out a connection to a file that was replaced since: `mv new.db shop.db` leaves the old one open."""

    def note(_dialect: object, record: ConnectionPoolEntry, _args: object, _options: object) -> None:
        record.info[_FILE] = identity_of(path)  # before it is opened: a wrong guess is then found out, and opened again

    def compare(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info.get(_FILE) != identity_of(path):
            raise DisconnectionError(f"{path} is another file than the one that was opened")

    sqlalchemy.event.listen(engine.sync_engine, "do_connect", note)
    sqlalchemy.event.listen(engine.sync_engine, "checkout", compare)


def _prepare_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
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


def _begin_sqlite(connection: sqlalchemy.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _mysql_arguments() -> dict[str, Any]:
    # UTC for TIMESTAMP columns; strict, so that nothing is ever truncated in silence
    return {
        "charset": "utf8mb4",
        "connect_timeout": 10,
        "init_command": "SET SESSION time_zone = '+00:00', sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES'),"
        f" innodb_lock_wait_timeout = {BUSY_TIMEOUT_S}",
    }


def _postgresql_arguments() -> dict[str, Any]:
    return {
        "timeout": 10,
        "server_settings": {
            "application_name": "reconciler",
            "timezone": "UTC",
            "lock_timeout": f"{BUSY_TIMEOUT_S}s",
            "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
        },
    }


def _tls(url: URL, access: Access) -> ssl.SSLContext | None:
    mode = access.tls or ("off" if _is_local(url.host) else "verify")
    if mode == "off":
        return None
    return ssl.create_default_context(cadata=access.tls_ca.decode() if access.tls_ca else None)


def _is_local(host: str | None) -> bool:
    if host is None or host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
