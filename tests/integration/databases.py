"""The database servers that tests run on: for the shop's tests and the ledger's alike.

A server is taken from `RECONCILER_TEST_MYSQL` or `RECONCILER_TEST_POSTGRESQL` (URLs without a database, of a user that
may create some), else one is started for this run from the installed binaries: it need not wait for the disk, which is
most of what these tests would do. Else the one at the usual port on this machine is taken. Where there is none of these
the test is skipped and says what is missing; where CI is set it fails.

Each test has a database of its own in it, with a name nobody else has, and drops it. PostgreSQL takes its time to make
one: there a run empties those it has, and drops them when it ends.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from tests.integration.private_servers import PrivateServer, missing_binaries, start

KINDS: Final = ("sqlite", "mysql", "postgresql")
SERVERS: Final = ("mysql", "postgresql")
_USUAL: Final[Mapping[str, str]] = {
    "mysql": "mysql://root@127.0.0.1:3306",
    "postgresql": "postgresql://postgres@127.0.0.1:5432",
}
_MAINTENANCE: Final[Mapping[str, str]] = {"mysql": "mysql", "postgresql": "postgres"}
_DRIVERS: Final[Mapping[str, str]] = {"sqlite": "aiosqlite", "mysql": "asyncmy", "postgresql": "asyncpg"}
ANSWERS_WITHIN_S: Final = 10.0

_known: dict[str, str] = {}
_free: list[str] = []
_private: list[PrivateServer] = []


@dataclass(frozen=True, slots=True)
class Database:
    """One database, and a connection behind the program's back that commits each statement at once."""

    kind: str
    url: str
    """As the configuration has it: without a driver's name or a password."""
    connection: AsyncConnection

    async def execute(self, statement: str, **values: object) -> int:
        """Run a statement (`:name` stands for a value); give the number of rows it met."""
        return (await self.connection.execute(text(statement), values)).rowcount

    async def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Read rows."""
        return [tuple(row) for row in await self.connection.execute(text(statement), values)]

    async def script(self, *statements: str) -> None:
        """Run statements as they stand."""
        for statement in statements:
            await self.connection.exec_driver_sql(statement)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncConnection]:
        """Open another session with transactions of its own: the shop's code, or a rival."""
        async with connected(self.url, autocommit=False) as connection:
            yield connection

    def quoted(self, name: str) -> str:
        """Quote an identifier."""
        return f"`{name}`" if self.kind == "mysql" else f'"{name}"'


@asynccontextmanager
async def database(kind: str, directory: Path) -> AsyncIterator[Database]:
    """Make a database of this kind (SQLite: a file in the directory), and drop it at the end."""
    if kind == "sqlite":
        path = directory / "shop.db"
        path.touch()
        async with connected(f"sqlite:///{path}") as connection:
            await connection.exec_driver_sql("PRAGMA synchronous = OFF")
            yield Database(kind, f"sqlite:///{path}", connection)
        return
    place = await server(kind)
    if kind != "postgresql":
        async with database_on(kind, place) as made:
            yield made
        return
    name = _free.pop() if _free else await _created(place)
    try:
        async with connected(f"{place}/{name}") as connection:
            await _empty(connection)
            yield Database(kind, f"{place}/{name}", connection)
    finally:
        _free.append(name)


@asynccontextmanager
async def database_on(kind: str, place: str) -> AsyncIterator[Database]:
    """Make a database on a given server."""
    name = f"reconciler_test_{secrets.token_hex(8)}"
    async with connected(f"{place}/{_MAINTENANCE[kind]}") as admin:
        await admin.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            async with connected(f"{place}/{name}") as connection:
                yield Database(kind, f"{place}/{name}", connection)
        finally:
            force = " WITH (FORCE)" if kind == "postgresql" else ""
            await admin.exec_driver_sql(f"DROP DATABASE {name}{force}")


async def server(kind: str) -> str:
    """Give the URL of a server, without a database; skip the test (or fail, in CI) where there is none."""
    if kind not in _known:
        _known[kind] = await _found(kind)
    return _known[kind]


@asynccontextmanager
async def connected(url: str, *, autocommit: bool = True) -> AsyncIterator[AsyncConnection]:
    """Connect without anything of the program's in between."""
    target = make_url(url)
    engine = create_async_engine(
        target.set(drivername=f"{target.drivername}+{_DRIVERS[target.drivername]}"),
        poolclass=NullPool,
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
    )
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def _created(place: str) -> str:
    name = f"reconciler_test_{secrets.token_hex(8)}"
    async with connected(f"{place}/{_MAINTENANCE['postgresql']}") as admin:
        await admin.exec_driver_sql(f"CREATE DATABASE {name}")
    atexit.register(lambda: asyncio.run(_dropped(place, name)))
    return name


async def _dropped(place: str, name: str) -> None:
    async with connected(f"{place}/{_MAINTENANCE['postgresql']}") as admin:
        await admin.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _empty(connection: AsyncConnection) -> None:
    """Make it as it was when new, whoever is still at it."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    await connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608 # constants
    await connection.exec_driver_sql("DROP SCHEMA public CASCADE")
    await connection.exec_driver_sql("CREATE SCHEMA public")
    await connection.exec_driver_sql("GRANT USAGE ON SCHEMA public TO PUBLIC")


async def _found(kind: str) -> str:
    told = os.environ.get(f"RECONCILER_TEST_{kind.upper()}")
    if told:
        return told.rstrip("/")
    if not missing_binaries(kind):
        _private.append(await asyncio.to_thread(start, kind))
        atexit.register(_private[-1].stop)
        return _private[-1].url
    if await _answers(kind, _USUAL[kind]):
        return _USUAL[kind]
    why = (
        f"{kind}: nothing lets us in at {_USUAL[kind]}, and {missing_binaries(kind)} is not installed; "
        f"install it, or set RECONCILER_TEST_{kind.upper()} to a server's URL"
    )
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


async def _answers(kind: str, place: str) -> bool:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S), connected(f"{place}/{_MAINTENANCE[kind]}"):
            return True
    except (SQLAlchemyError, OSError):
        return False
    except Exception as error:  # asyncpg's own errors are raised bare while connecting
        if type(error).__module__.startswith("asyncpg"):
            return False
        raise
