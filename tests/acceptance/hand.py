"""A test's own hand in the shop's database, beside the program: the shop's code, the gateway's callback, the witness.

Plain calls, on SQLite and on MariaDB alike: they come from callbacks and threads, too. Each commits before it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from tests.integration.databases import database

Result = TypeVar("Result")

WITHIN_S: Final = 30.0
OTHERS: Final = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"

SCHEMA: Final = {
    "sqlite": """
CREATE TABLE orders (
  id INTEGER PRIMARY KEY, order_no TEXT NOT NULL UNIQUE, amount DECIMAL(10,2), status INTEGER NOT NULL,
  pay_channel TEXT, transaction_id TEXT, created_at TEXT NOT NULL, paid_at TEXT, note TEXT
);
CREATE TABLE moves (id INTEGER PRIMARY KEY, order_no TEXT, was INTEGER, became INTEGER);
CREATE TABLE webhook_ids (id TEXT PRIMARY KEY, order_no TEXT NOT NULL);
CREATE TRIGGER every_move AFTER UPDATE OF status ON orders
  BEGIN INSERT INTO moves (order_no, was, became) VALUES (old.order_no, old.status, new.status); END;
""",
    "mysql": """
CREATE TABLE orders (
  id BIGINT PRIMARY KEY AUTO_INCREMENT, order_no VARCHAR(64) NOT NULL UNIQUE, amount DECIMAL(10,2),
  status TINYINT NOT NULL, pay_channel VARCHAR(20), transaction_id VARCHAR(64), created_at DATETIME NOT NULL,
  paid_at DATETIME, note TEXT, KEY created_at (created_at)
) ENGINE=InnoDB;
CREATE TABLE moves (id BIGINT PRIMARY KEY AUTO_INCREMENT, order_no VARCHAR(64), was INTEGER, became INTEGER);
CREATE TABLE webhook_ids (id VARCHAR(64) PRIMARY KEY, order_no VARCHAR(64) NOT NULL);
CREATE TRIGGER every_move AFTER UPDATE ON orders FOR EACH ROW
  INSERT INTO moves (order_no, was, became) VALUES (old.order_no, old.status, new.status);
""",
}
"""The trigger is the tests' witness: it sees each move, whoever makes it."""


class Hand(Protocol):
    """What a test does in the shop's database."""

    @property
    def kind(self) -> str:
        """`sqlite` or `mysql`."""
        ...

    @property
    def url(self) -> str:
        """As the configuration has it."""
        ...

    def execute(self, statement: str, **values: object) -> int:
        """Run a statement (`:name` stands for a value); give the number of rows it met."""
        ...

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read rows."""
        ...

    def all_or_none(self, *statements: str, **values: object) -> bool:
        """Run them in one transaction; where one meets no row, undo them all and give False."""
        ...


class SqliteHand:
    """A file."""

    kind: Final = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"
        with self._connected() as shop:
            shop.execute("PRAGMA journal_mode=WAL")
            shop.executescript(SCHEMA[self.kind])

    def execute(self, statement: str, **values: object) -> int:
        """Run a statement; give the number of rows it met."""
        with self._connected() as shop:
            return shop.execute(statement, values).rowcount

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read rows."""
        with self._connected() as shop:
            return shop.execute(statement).fetchall()

    def all_or_none(self, *statements: str, **values: object) -> bool:
        """Run them in one transaction, which takes the write lock first."""
        with self._connected() as shop:
            shop.execute("BEGIN IMMEDIATE")
            is_whole = all(shop.execute(statement, values).rowcount for statement in statements)
            shop.execute("COMMIT" if is_whole else "ROLLBACK")
            return is_whole

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=WITHIN_S, isolation_level=None)) as shop:
            yield shop


class ServerHand:
    """MariaDB: its driver wants a loop, so it has one of its own, in a thread."""

    kind: Final = "mysql"

    def __init__(self, url: str) -> None:
        self.url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._engine = create_async_engine(make_url(url).set(drivername="mysql+asyncmy"), pool_pre_ping=True)
        self._wait(self._script(SCHEMA[self.kind]))

    def execute(self, statement: str, **values: object) -> int:
        """Run a statement; give the number of rows it met."""
        return self._wait(self._execute(statement, values))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read rows."""
        return self._wait(self._rows(statement))

    def all_or_none(self, *statements: str, **values: object) -> bool:
        """Run them in one transaction."""
        return self._wait(self._all_or_none(statements, values))

    def kill_sessions(self) -> None:
        """Have the server end every session in this database: the program's, and what the hand itself keeps."""
        self._wait(self._kill_sessions())

    def close(self) -> None:
        """Let go of it."""
        self._wait(self._engine.dispose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN_S)
        self._loop.close()

    def _wait(self, work: Coroutine[object, object, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)

    async def _script(self, script: str) -> None:
        async with self._engine.begin() as shop:
            for statement in script.split(";\n"):
                if statement.strip():
                    await shop.exec_driver_sql(statement)

    async def _execute(self, statement: str, values: dict[str, object]) -> int:
        async with self._engine.begin() as shop:
            return (await shop.execute(text(statement), values)).rowcount

    async def _kill_sessions(self) -> None:
        async with self._engine.connect() as shop:
            for (session,) in (await shop.execute(text(OTHERS))).all():
                with contextlib.suppress(OperationalError):  # it ended by itself meanwhile
                    await shop.exec_driver_sql(f"KILL {session:d}")

    async def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        async with self._engine.connect() as shop:
            return [tuple(row) for row in await shop.execute(text(statement))]

    async def _all_or_none(self, statements: tuple[str, ...], values: dict[str, object]) -> bool:
        async with self._engine.connect() as shop:
            for statement in statements:
                if not (await shop.execute(text(statement), values)).rowcount:
                    await shop.rollback()
                    return False
            await shop.commit()
            return True


@contextlib.asynccontextmanager
async def hand(kind: str, directory: Path) -> AsyncIterator[Hand]:
    """Make a shop's database of this kind, with its tables, and a hand in it."""
    if kind == "sqlite":
        yield SqliteHand(directory / "shop.db")
        return
    async with database(kind, directory) as tables:
        made = await asyncio.to_thread(ServerHand, tables.url)
        try:
            yield made
        finally:
            await asyncio.to_thread(made.close)
