"""The guarded UPDATE: one statement per order, all or none, and no row that is not as it was read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BindParameter, Update, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.order import Order, OrderState
from reconciler.ports import LockLost, Move, ShopUnavailable
from reconciler.shops.sql.bound import BoundShop, Template
from reconciler.shops.sql.columns import Column, bound
from reconciler.shops.sql.engine import driver_errors, text_of_error
from reconciler.shops.sql.lock import Lock
from reconciler.shops.sql.moments import write_moment

_MOVABLE = (OrderState.PENDING, OrderState.CLOSED)


def settling(shop: BoundShop, move: Move, now: datetime) -> list[Update] | None:
    """Build a move's statements; None where a value of it can never be written, or an order is not one to move.

    Raises ValueError for a move of nothing, and for a group where the mapping knows no shared payments.
    """
    orders = shop.orders
    if not move.orders or (len(move.orders) > 1 and not orders.is_shared_payment):
        raise ValueError(f"{len(move.orders)} orders in one move")
    if len({order.key for order in move.orders}) < len(move.orders):
        raise ValueError("an order twice in one move")
    values: dict[Column, object] = {orders.status: orders.settled_as}
    try:
        if orders.write_transaction_id is not None:
            values[orders.write_transaction_id] = orders.write_transaction_id.forms(move.transaction_id)[0]
        for column, value in orders.set:
            values[column] = column.forms(getattr(move, value.of))[0] if isinstance(value, Template) else value
    except ValueError:
        return None  # longer than its column: a database that is not strict would cut it off in silence
    if orders.write_paid_at is not None:
        values[orders.write_paid_at] = write_moment(orders.write_paid_at, move.paid_at, shop.zone)
    return _guarded(shop, move.orders, values, now)


def closing(shop: BoundShop, order: Order, now: datetime) -> list[Update] | None:
    """Build the statement that marks an order closed. Raises ValueError where the mapping has no `closed_as`."""
    if shop.orders.closed_as is None:
        raise ValueError("shop.orders.states.closed_as is not mapped")
    return _guarded(shop, [order], {shop.orders.status: shop.orders.closed_as}, now)


async def write(connection: AsyncConnection, statements: Sequence[Update], lock: Lock) -> bool:
    """Run the statements in one transaction; False where one did not match exactly one row: nothing is written then.

    Raises ShopUnavailable where nothing was written, LockLost where that cannot be known or the lock is not ours.
    """
    errors = driver_errors(connection.engine)
    is_ours = True
    try:
        await connection.begin()
        is_ours = await lock.holds()
        matched = is_ours and await _all_match(connection, statements)
    except (IntegrityError, DataError):
        matched = False  # the shop's own rules refuse it, and would again
    except errors as error:
        await _undo(connection, lock)
        raise ShopUnavailable(f"the shop's database did not take the update: {text_of_error(error)}") from error
    if not matched:
        await _undo(connection, lock)
        if not is_ours:
            raise LockLost("the shop's lock is not ours any more")
        return False
    try:
        await connection.commit()
    except errors as error:
        if await _is_still_open(connection) and await _undo(connection, lock):
            raise ShopUnavailable(f"the shop's database did not commit: {text_of_error(error)}") from error
        await lock.drop()
        raise LockLost(f"committing broke off, and what became of it is unknown: {text_of_error(error)}") from error
    return True


async def _all_match(connection: AsyncConnection, statements: Sequence[Update]) -> bool:
    for statement in statements:
        if (await connection.execute(statement)).rowcount != 1:
            return False
    return True


async def _undo(connection: AsyncConnection, lock: Lock) -> bool:
    """Roll back. A connection that cannot even do that holds neither lock nor transaction any more."""
    try:
        await connection.rollback()
    except driver_errors(connection.engine):
        await lock.drop()
        return False
    if connection.invalidated:
        await lock.drop()
    return True


async def _is_still_open(connection: AsyncConnection) -> bool:
    """Roll back a transaction that SQLite still holds open after a failed COMMIT (a reader was in the way).

    SQLAlchemy thinks it ended, and its own rollback would do nothing. Elsewhere nobody knows what the server did.
    """
    if connection.dialect.name != "sqlite" or connection.invalidated:
        return False
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None or not driver.in_transaction:
        return False
    await driver.rollback()
    return not driver.in_transaction


def _guarded(
    shop: BoundShop, orders: Sequence[Order], values: dict[Column, object], now: datetime
) -> list[Update] | None:
    if any(order.state not in _MOVABLE for order in orders):
        return None
    touched = {column: write_moment(column, now, shop.zone) for column in shop.orders.touch}
    assignments = {column.name: bound(value) for column, value in (touched | values).items()}
    return [_statement(shop, order, assignments) for order in orders]


def _statement(shop: BoundShop, order: Order, assignments: dict[str, BindParameter[object]]) -> Update:
    as_read = dict(order.as_read)
    needed = {shop.orders.key.name, shop.orders.status.name, shop.orders.amount.name}
    if not needed <= as_read.keys():
        raise ValueError(f"order {order.key} was not read from this shop")
    guard = [column.guard(as_read[name]) for name, column in shop.orders.guarded.items() if name in as_read]
    statement = update(shop.orders.target).where(*guard).values(assignments)
    return statement.where(shop.orders.where) if shop.orders.where is not None else statement
