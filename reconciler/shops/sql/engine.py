"""From `shop.url` to an engine, and what its failures are called."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciler.databases import ALIASES, Access, AccessError, limits
from reconciler.domain.personal import without_persons
from reconciler.ports import ShopUnavailable
from reconciler.shops.sql.dialects import DIALECTS, dialect_of
from reconciler.shops.sql.dialects.sqlite import WRITES
from reconciler.shops.sql.mapping import MappingError

ERROR_TEXT_LENGTH_MAX = 300
ERROR_RAW_LENGTH_MAX = 10_000


def open_engine(access: Access) -> AsyncEngine:
    """Build the engine; nothing is connected yet. Raises MappingError."""
    url = _parse(access)
    try:
        return DIALECTS[url.drivername].open(url, access)
    except AccessError as error:
        raise MappingError([str(error)]) from error


def sqlite_path(access: Access) -> Path | None:
    """Give the path of the database file, as configured; None for a server."""
    url = _parse(access)
    return Path(url.database or "").absolute() if url.drivername == "sqlite" else None


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Read on one snapshot. Whatever fails is ShopUnavailable, and so is a statement that takes half a minute."""
    with unavailable(engine):
        async with asyncio.timeout(limits.STATEMENT_TIMEOUT_S), engine.connect() as connection:
            await dialect_of(engine).begin_reading(connection)
            yield connection


def writing(connection: AsyncConnection) -> AsyncConnection:
    """Mark a connection's transactions as writing ones: on SQLite they begin with the write lock in hand."""
    connection.sync_connection.execution_options(**{WRITES: True})  # type: ignore[union-attr] # it is open
    return connection


class unavailable:  # noqa: N801 # used as a context manager: `with unavailable(engine)`
    """Turn what the driver raises into ShopUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, driver_errors(self._engine)):
            raise ShopUnavailable(
                f"the shop's database cannot be asked: {text_of_error(error, self._engine)}"
            ) from error


def driver_errors(engine: AsyncEngine) -> tuple[type[BaseException], ...]:
    """Name all that a driver may raise, wrapped by SQLAlchemy or (while connecting) not."""
    return (SQLAlchemyError, OSError, *dialect_of(engine).errors())


def text_of_error(error: BaseException, bind: AsyncEngine | Connection) -> str:
    """Say what happened, in one short line, without statement or values."""
    url = bind.url if isinstance(bind, AsyncEngine) else bind.engine.url
    words = dialect_of(bind).in_words(error, url, "shop")
    if words is None and isinstance(error, TimeoutError):
        words = f"no answer within {limits.STATEMENT_TIMEOUT_S} s"
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = without_persons(" ".join((words or str(cause))[:ERROR_RAW_LENGTH_MAX].split()))
    return said[:ERROR_TEXT_LENGTH_MAX] or type(cause).__name__


def _parse(access: Access) -> URL:
    try:
        url = make_url(access.url)
    except (ArgumentError, ValueError) as error:
        raise MappingError([f"{access.setting}: not a database URL"]) from error
    name = ALIASES.get(url.drivername, url.drivername)
    dialect = DIALECTS.get(name)
    if dialect is None:
        raise MappingError([f"{access.setting}: {name}:// is not one of sqlite://, mysql://, postgresql://"])
    if importlib.util.find_spec(dialect.driver) is None:
        raise MappingError(
            [f"{access.setting}: {name}:// needs the driver {dialect.driver}; install {dialect.package}"]
        )
    return url.set(drivername=name)
