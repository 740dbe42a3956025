"""The guarded UPDATE: one statement per order, all or none, and no row that is not as it was read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, Update, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.databases import limits
from reconciler.domain.order import Order, OrderState
from reconciler.ports import LockLost, Move, RowBusy, ShopReadOnly, ShopUnavailable
from reconciler.shops.sql.bound import BoundShop, Template
from reconciler.shops.sql.columns import Column, bound
from reconciler.shops.sql.dialects import Dialect, dialect_of
from reconciler.shops.sql.engine import driver_errors, text_of_error
from reconciler.shops.sql.lock import Lock
from reconciler.shops.sql.moments import write_moment

_MOVABLE = (OrderState.PENDING, OrderState.CLOSED)


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written, and would not be by trying again."""

    why: str = ""
    """Empty where a row was not as it was read."""


def settling(shop: BoundShop, move: Move, now: datetime) -> list[Update] | Refused:
    """Build a move's statements; Refused where a value of it can never be written, or an order is not one to move.

    Raises ValueError for a move of nothing, and for a group where the mapping knows no shared payments.
    """
    orders = shop.orders
    if not move.orders or (len(move.orders) > 1 and not orders.is_shared_payment):
        raise ValueError(f"{len(move.orders)} orders in one move")
    if len({order.key for order in move.orders}) < len(move.orders):
        raise ValueError("an order twice in one move")
    values: dict[Column, object] = {orders.status: orders.settled_as}
    payment: list[tuple[Column, str]] = []
    if orders.write_transaction_id is not None:
        payment.append((orders.write_transaction_id, move.transaction_id))
    for column, value in orders.set:
        if isinstance(value, Template):
            payment.append((column, getattr(move, value.of)))
        else:
            values[column] = value
    for column, text in payment:
        try:
            values[column] = column.forms(text)[0]
        except ValueError as error:  # a database that is not strict would cut it off in silence
            return Refused(_misfit(column, text, error))
    if orders.write_paid_at is not None:
        values[orders.write_paid_at] = write_moment(orders.write_paid_at, move.paid_at, shop.zone)
    return _guarded(shop, move.orders, values, now)


def closing(shop: BoundShop, order: Order, now: datetime) -> list[Update] | Refused:
    """Build the statement that marks an order closed. Raises ValueError where the mapping has no `closed_as`."""
    if shop.orders.closed_as is None:
        raise ValueError("shop.orders.states.closed_as is not mapped")
    return _guarded(shop, [order], {shop.orders.status: shop.orders.closed_as}, now)


async def write(connection: AsyncConnection, statements: Sequence[Update], lock: Lock) -> Refused | None:
    """Run the statements in one transaction; Refused where one did not match exactly one row, or broke a rule.

    Raises RowBusy where another session was in the way, ShopReadOnly where no row could be written, ShopUnavailable
    where the database failed otherwise (nothing was written by any), LockLost where that cannot be known or the lock
    is not ours.
    """
    engine = connection.engine
    errors = driver_errors(engine)
    is_ours = True
    refused: Refused | None = None
    try:
        async with asyncio.timeout(limits.STATEMENT_TIMEOUT_S):
            await connection.begin()
            is_ours = await lock.holds()
            if not is_ours or not await _all_match(connection, statements):
                refused = Refused()
    except errors as error:
        if not _is_refusal(error, dialect_of(engine)):
            is_undone = await _undo(connection, lock)
            said = f"the shop's database did not take the update: {text_of_error(error, engine)}"
            raise _passing(error, said, connection, is_undone=is_undone) from error
        refused = Refused(text_of_error(error, engine))
    if refused is not None:
        await _undo(connection, lock)
        if not is_ours:
            raise LockLost("the shop's lock is not ours any more")
        return refused
    return await _commit(connection, lock)


async def _commit(connection: AsyncConnection, lock: Lock) -> Refused | None:
    """Commit. Only where the database itself says that nothing of it stayed, that is known."""
    engine = connection.engine
    try:
        async with asyncio.timeout(limits.STATEMENT_TIMEOUT_S):
            await connection.commit()
    except driver_errors(engine) as error:
        said, dialect = text_of_error(error, engine), dialect_of(engine)
        is_undone = await dialect.undo_commit(connection)
        is_refused = _is_refusal(error, dialect)  # a constraint that is checked no earlier
        is_undone |= is_refused or (isinstance(error, DBAPIError) and dialect.is_rolled_back(error))
        if is_undone and await _undo(connection, lock):
            if is_refused:
                return Refused(said)
            raise _passing(error, f"the shop's database did not commit: {said}", connection, is_undone=True) from error
        await lock.drop()
        raise LockLost(f"committing broke off, and what became of it is unknown: {said}") from error
    return None


async def _all_match(connection: AsyncConnection, statements: Sequence[Update]) -> bool:
    for statement in statements:
        if (await connection.execute(statement)).rowcount != 1:
            return False
    return True


def _passing(error: BaseException, said: str, connection: AsyncConnection, *, is_undone: bool) -> ShopUnavailable:
    """Say what kept us from writing for now; a connection that is gone is more than one row's trouble."""
    if not isinstance(error, DBAPIError) or not is_undone or connection.invalidated:
        return ShopUnavailable(said)
    dialect = dialect_of(connection.engine)
    return (RowBusy if dialect.is_busy(error) else ShopReadOnly if dialect.is_read_only(error) else ShopUnavailable)(
        said
    )


def _is_refusal(error: BaseException, dialect: Dialect) -> bool:
    """Whether the shop's own rules (a constraint, a trigger, a column's type) refuse it, and would again."""
    if not isinstance(error, DBAPIError) or error.orig is None or error.connection_invalidated:
        return False
    return isinstance(error, IntegrityError | DataError) or dialect.is_refusal(error)


def _misfit(column: Column, text: str, error: ValueError) -> str:
    if column.length is not None and len(text) > column.length:
        return f"{column.name}: {len(text)} characters are due, and the column takes {column.length}"
    return f"{column.name}: {error}"


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


def _guarded(
    shop: BoundShop, orders: Sequence[Order], values: dict[Column, object], now: datetime
) -> list[Update] | Refused:
    if any(order.state not in _MOVABLE for order in orders):
        return Refused()
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
