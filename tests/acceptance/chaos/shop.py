"""The shop's database on a server of the test's own: its tables, the witness, and a hand that is not put off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

Result = TypeVar("Result")

WITHIN_S: Final = 180.0
AGAIN_AFTER_S: Final = 0.1
HANDS: Final = 8
DRIVERS: Final = {"mysql": "mysql+asyncmy", "postgresql": "postgresql+asyncpg"}
LEFT_ALONE, BY_CALLBACK, BY_CODE = "as it was", "callback", "shop's code"
"""What stands in a row's note: who moved it. Our UPDATE does not touch it."""

TABLES: Final = (
    """CREATE TABLE orders (
      id {id}, order_no VARCHAR(64) NOT NULL UNIQUE, amount DECIMAL(10,2), status INTEGER NOT NULL,
      pay_channel VARCHAR(20), transaction_id VARCHAR(64), created_at {time} NOT NULL, paid_at {time}, note VARCHAR(20)
    )""",
    "CREATE TABLE moves (id {id}, order_no VARCHAR(64), was INTEGER, became INTEGER, note VARCHAR(20))",
    "CREATE TABLE webhook_ids (id VARCHAR(64) PRIMARY KEY, order_no VARCHAR(64) NOT NULL)",
    "CREATE INDEX order_times ON orders (created_at)",
)
TYPES: Final = {
    "mysql": {"id": "BIGINT PRIMARY KEY AUTO_INCREMENT", "time": "DATETIME"},
    "postgresql": {"id": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "time": "TIMESTAMP"},
}
WITNESS: Final = {
    "mysql": (
        """CREATE TRIGGER every_move AFTER UPDATE ON orders FOR EACH ROW
        INSERT INTO moves (order_no, was, became, note) VALUES (old.order_no, old.status, new.status, new.note)""",
    ),
    "postgresql": (
        """CREATE FUNCTION witness() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO moves (order_no, was, became, note) VALUES (old.order_no, old.status, new.status, new.note);
        RETURN NULL; END $$""",
        "CREATE TRIGGER every_move AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION witness()",
    ),
}
"""It sees each UPDATE of a row, whoever makes it, even one that changes nothing."""
STORE: Final = {
    "mysql": "INSERT IGNORE INTO webhook_ids VALUES (:message, :order_no)",
    "postgresql": "INSERT INTO webhook_ids VALUES (:message, :order_no) ON CONFLICT DO NOTHING",
}


@dataclass(frozen=True)
class Seen:
    """One move, as the witness saw it."""

    order_no: str
    was: int
    became: int
    note: str


@dataclass
class ShopDatabase:
    """What the shop's own code, its buyers and the test do in the database. It waits for a server that is away."""

    kind: str
    url: str
    engine: AsyncEngine

    async def execute(self, statement: str, **values: object) -> int:
        """Run a statement; give the number of rows it met. It may be run twice where a commit's answer was lost."""

        async def work() -> int:
            async with self.engine.begin() as shop:
                return (await shop.execute(text(statement), values)).rowcount

        return await self._insist(work)

    async def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Read rows."""

        async def work() -> list[tuple[Any, ...]]:
            async with self.engine.connect() as shop:
                return [tuple(row) for row in await shop.execute(text(statement), values)]

        return await self._insist(work)

    async def all_or_none(self, *statements: str, **values: object) -> bool:
        """Run them in one transaction; where one meets no row, undo them all and give False."""

        async def work() -> bool:
            async with self.engine.connect() as shop:
                for statement in statements:
                    if not (await shop.execute(text(statement), values)).rowcount:
                        await shop.rollback()
                        return False
                await shop.commit()
                return True

        return await self._insist(work)

    async def moves(self) -> list[Seen]:
        """Read what the witness saw."""
        return [Seen(*row) for row in await self.rows("SELECT order_no, was, became, note FROM moves ORDER BY id")]

    async def statuses(self) -> dict[str, int]:
        """Read every order's status."""
        found = await self.rows("SELECT order_no, status FROM orders")
        return {number: status for number, status in found}  # noqa: C416 # mypy takes no dict() of open tuples

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncConnection]:
        """Open a session whose statements commit at once, and which is not tried again."""
        async with self.engine.connect() as plain:
            yield await plain.execution_options(isolation_level="AUTOCOMMIT")

    async def _insist(self, work: Callable[[], Awaitable[Result]]) -> Result:
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    return await work()
                except IntegrityError:
                    raise
                except (SQLAlchemyError, OSError):
                    await asyncio.sleep(AGAIN_AFTER_S)
                except Exception as error:  # asyncpg's own errors are raised bare while connecting
                    if not type(error).__module__.startswith("asyncpg"):
                        raise
                    await asyncio.sleep(AGAIN_AFTER_S)


@contextlib.asynccontextmanager
async def shop_database(kind: str, url: str) -> AsyncIterator[ShopDatabase]:
    """Make the shop's tables and the witness in an empty database."""
    target = make_url(url).set(drivername=DRIVERS[kind])
    engine = create_async_engine(target, pool_size=HANDS, max_overflow=HANDS, pool_pre_ping=True)
    try:
        async with engine.begin() as shop:
            for statement in (*(each.format(**TYPES[kind]) for each in TABLES), *WITNESS[kind]):
                await shop.exec_driver_sql(statement)
        yield ShopDatabase(kind, url, engine)
    finally:
        await engine.dispose()
