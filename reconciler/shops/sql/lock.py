"""The lock where harm would be done, and the connection that writes under it.

One strategy per database. Whatever it is, the connection that `take` opens is the only one that ever writes: once it is
gone the lock is gone, and it is not opened again behind anybody's back.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import stat
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciler.databases import limits
from reconciler.ports import LockLost, ShopUnavailable
from reconciler.shops.sql.dialects import dialect_of
from reconciler.shops.sql.dialects.sqlite import identity_of, opened_file
from reconciler.shops.sql.engine import driver_errors, unavailable, writing

FILE_NAME_LENGTH_MAX = 255
RETAKES_MAX = 3


class Lock(Protocol):
    """One shop table's lock."""

    async def take(self) -> bool:
        """Try; False while somebody else holds it. Idempotent. Raises ShopUnavailable."""
        ...

    async def holds(self) -> bool:
        """Whether it is ours now, asked of whoever keeps it, within the writer's transaction if one is open."""
        ...

    def writer(self) -> AsyncConnection:
        """Give the connection to write on. Raises LockLost where there is none."""
        ...

    async def drop(self) -> None:
        """Give the lock back and close its connection. Never raises."""
        ...


class _Writer:
    """The connection that writes, while there is one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.connection: AsyncConnection | None = None

    async def open(self) -> AsyncConnection:
        with unavailable(self.engine):
            self.connection = writing(await self.engine.connect())
        return self.connection

    def is_open(self) -> bool:
        return self.connection is not None and not self.connection.closed and not self.connection.invalidated

    def get(self) -> AsyncConnection:
        if self.connection is None or not self.is_open():
            raise LockLost("the connection that held the shop's lock is gone")
        return self.connection

    async def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(*driver_errors(self.engine)):
                await connection.invalidate()  # not back into the pool: a server's lock would live on in there
            with contextlib.suppress(*driver_errors(self.engine)):
                await connection.close()


class FileLock:
    """SQLite: a file beside the database, `.shop.db.orders.reconciler-lock`, held by flock(2) and never deleted."""

    def __init__(self, engine: AsyncEngine, database: Path, table: str) -> None:
        self._writer = _Writer(engine)
        self._database = database
        self._table = table
        self._path = self._beside()
        self._file: int | None = None

    async def take(self) -> bool:
        """Try to take it."""
        if self._file is not None:
            if await self.holds():
                return True
            await self.drop()
        self._path = self._beside()
        try:
            self._file = self._locked()
        except OSError as error:
            raise ShopUnavailable(f"the lock file {self._path} cannot be opened: {error.strerror}") from error
        if self._file is None:
            return False
        try:
            await self._writer.open()
        except ShopUnavailable:
            await self.drop()
            raise
        return True

    async def holds(self) -> bool:
        """Whether lock and database are still the files that others would open, and the connection lives."""
        if self._file is None or not self._writer.is_open():
            return False
        opened = opened_file(self._writer.get())
        return opened is not None and opened == identity_of(self._database) and _is_same(self._file, self._path)

    def writer(self) -> AsyncConnection:
        """Give the connection to write on."""
        return self._writer.get()

    async def drop(self) -> None:
        """Give it back."""
        await self._writer.close()
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _beside(self) -> Path:
        database = self._database.resolve()  # every path to one database leads to one lock
        return database.parent / _file_name(database.name, self._table)

    def _locked(self) -> int | None:
        for _ in range(RETAKES_MAX):
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _hand_over(file, self._database)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return None
            except OSError:
                os.close(file)
                raise
            if _is_same(file, self._path):
                return file
            os.close(file)  # somebody deleted it between our opening and locking: what we locked is nobody's file
        return None


class ServerLock:
    """A server's advisory lock, of the session that writes."""

    def __init__(self, engine: AsyncEngine, schema: str | None, table: str) -> None:
        self._writer = _Writer(engine)
        self._is_taken = False
        self._statements = dialect_of(engine).lock(engine.url.database or "", schema, table)

    async def take(self) -> bool:
        """Try to take it."""
        if self._is_taken:
            if await self.holds():
                return True
            await self.drop()
        try:
            with unavailable(self._writer.engine):
                async with asyncio.timeout(limits.STATEMENT_TIMEOUT_S):
                    self._is_taken = await self._taken(await self._writer.open())
        finally:
            if not self._is_taken:
                await self.drop()
        return self._is_taken

    async def holds(self) -> bool:
        """Whether the server says that this very session holds it. A server that does not answer says no."""
        if not self._is_taken or not self._writer.is_open():
            return False
        try:
            connection = self._writer.get()
            was_idle = not connection.in_transaction()
            async with asyncio.timeout(limits.LOCK_TIMEOUT_S):
                result = await connection.execute(text(self._statements.holds), self._statements.key)
                held = bool(result.scalar())
                if was_idle:
                    await connection.rollback()
        except driver_errors(self._writer.engine):
            await self.drop()
            return False
        return held

    def writer(self) -> AsyncConnection:
        """Give the connection to write on."""
        return self._writer.get()

    async def drop(self) -> None:
        """Give it back, by closing the session."""
        self._is_taken = False
        await self._writer.close()

    async def _taken(self, connection: AsyncConnection) -> bool:
        for statement in self._statements.prepare:
            await connection.execute(text(statement))
        result = await connection.execute(text(self._statements.take), self._statements.key)
        is_taken = bool(result.scalar())
        await connection.rollback()  # the lock is the session's, not the transaction's
        return is_taken


def lock_of(engine: AsyncEngine, database: Path | None, schema: str | None, table: str) -> Lock:
    """Choose the lock for this database; the schema is the one that the table is really in."""
    if database is None:
        return ServerLock(engine, schema, table)
    return FileLock(engine, database, table if schema in {None, "main"} else f"{schema}.{table}")


def _file_name(database: str, table: str) -> str:
    """Name the file by database and table, as SQLite sees them: table names differ by more than case."""
    bare = table.lower()
    name = f".{database}.{quote(bare, safe='')}.reconciler-lock"
    if len(name.encode()) <= FILE_NAME_LENGTH_MAX:
        return name
    return f".{hashlib.sha256(f'{database}/{bare}'.encode()).hexdigest()}.reconciler-lock"


def _hand_over(file: int, database: Path) -> None:
    """Give a lock file that root has made to whom the database belongs: it must not shut out the service's own user.

    Only an empty file with one name: in a directory of somebody else's it could be any file of root's.
    """
    if os.geteuid() != 0:
        return
    ours = os.fstat(file)
    if ours.st_uid != 0 or ours.st_size or ours.st_nlink != 1 or not stat.S_ISREG(ours.st_mode):
        return
    with contextlib.suppress(OSError):  # a root that may not chown (a container's) keeps it, and can lock all the same
        owner = database.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)
        os.fchmod(file, 0o600 | (owner.st_mode & 0o060 if owner.st_mode & stat.S_IWGRP else 0))


def _is_same(file: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except OSError:
        return False
    return os.path.samestat(os.fstat(file), there)
