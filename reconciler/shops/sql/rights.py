"""Whether orders can be written at all: asked of the database without writing, and the statement that mends it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from sqlalchemy import Update, null, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciler.databases import limits
from reconciler.ports import ShopReadOnly
from reconciler.shops.sql.bound import BoundOrders, BoundShop
from reconciler.shops.sql.columns import Column
from reconciler.shops.sql.dialects import dialect_of
from reconciler.shops.sql.engine import driver_errors, text_of_error, unavailable, writing
from reconciler.shops.sql.explain import EXPLAINS, listen
from reconciler.shops.sql.grants import granted
from reconciler.shops.sql.inspection import Use

EXPLAIN: Final = "EXPLAIN "
"""Needs the rights of what is explained, on every server, and runs none of it: no trigger, no row, no log."""


async def obstacle(connection: AsyncConnection, shop: BoundShop) -> ShopReadOnly | None:
    """Say why this session could write no order; None where nothing shows.

    What only writing itself shows is not seen: a right that a trigger needs, or (PostgreSQL) a server that is
    read-only. Nor is what another trouble hides; that shows where it is in the way.
    """
    engine = connection.engine
    errors = driver_errors(engine)
    try:
        async with asyncio.timeout(limits.STATEMENT_TIMEOUT_S):
            await connection.begin()
            await connection.execute(
                _rehearsed(shop.orders), execution_options={EXPLAINS: EXPLAIN, "compiled_cache": None}
            )
    except errors as error:
        return await in_words(connection, shop, error) if is_read_only(error, engine) else None
    finally:
        with unavailable(engine):
            await connection.rollback()
    return None


async def obstacle_to_newcomers(engine: AsyncEngine, shop: BoundShop) -> ShopReadOnly | None:
    """Say it of a session that begins now: some rights count for no older one. Raises ShopUnavailable.

    The engine is one that nobody else uses, and is disposed of.
    """
    listen(engine)
    try:
        with unavailable(engine):
            async with asyncio.timeout(limits.STATEMENT_TIMEOUT_S):
                connection = writing(await engine.connect())
        try:
            return await obstacle(connection, shop)
        finally:
            await connection.close()
    finally:
        with contextlib.suppress(*driver_errors(engine)):
            await engine.dispose()


def is_read_only(error: BaseException, engine: AsyncEngine) -> bool:
    """Whether it says that nothing can be written, by whomever's row."""
    return isinstance(error, DBAPIError) and dialect_of(engine).is_read_only(error)


async def in_words(connection: AsyncConnection, shop: BoundShop, error: BaseException) -> ShopReadOnly:
    """Say what the database said, and the remedy. Ends the transaction."""
    said = text_of_error(error, connection.engine)
    dialect = dialect_of(connection.engine)
    if not (dialect.whoami and isinstance(error, DBAPIError) and dialect.is_denied(error)):
        return ShopReadOnly(said)
    with unavailable(connection.engine):
        await connection.rollback()
        who = str((await connection.execute(text(dialect.whoami))).scalar())
        await connection.rollback()
    return ShopReadOnly(f"{said}; run there: {_grant(connection, shop.orders, who)}")


def _grant(connection: AsyncConnection, orders: BoundOrders, who: str) -> str:
    schema, table = orders.table
    use = Use(table, schema, tuple(column.name for column in _written(orders)))
    return granted([use], who, connection.dialect.identifier_preparer.quote)


def _rehearsed(orders: BoundOrders) -> Update:
    """Build an update that needs what every settlement needs, and meets no row."""
    meets_none = [column.sql.is_(None) for column in orders.guarded.values()]
    statement = update(orders.target).where(*meets_none).values({column.name: null() for column in _written(orders)})
    return statement.where(orders.where) if orders.where is not None else statement


def _written(orders: BoundOrders) -> tuple[Column, ...]:
    """Give every column that settling sets, each once."""
    maybe = (orders.status, orders.write_transaction_id, orders.write_paid_at, *orders.touch)
    columns = [column for column in maybe if column is not None] + [column for column, _ in orders.set]
    return tuple({column.name: column for column in columns}.values())
