"""Which attempts a row has: from the row itself, or from the attempts' own table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.money import AmountError, Money
from reconciler.domain.order import Attempt, ChannelName, is_askable
from reconciler.ports import Found, ShopUnavailable
from reconciler.shops.sql.bound import BoundAttempts, BoundShop
from reconciler.shops.sql.columns import shown
from reconciler.shops.sql.moments import MomentError, read_moment
from reconciler.shops.sql.rows import ReadRow, read_amount

ATTEMPTS_PER_STATEMENT_MAX = 50_000
"""A page of orders with more attempts than this is not a shop's table."""

UNREADABLE_TEXTS_MAX = 32
"""Different things wrong with one order's attempts, as far as they are told apart."""

_NULL = "NULL"


async def found(connection: AsyncConnection, shop: BoundShop, rows: Sequence[ReadRow]) -> tuple[Found, ...]:
    """Give each row with its attempts, in one further statement at most."""
    if shop.attempts is None:
        return tuple(_found_on_row(shop, read) for read in rows)
    keys = [form for read in rows for form in shop.attempts.order.lookup(read.row.key)]
    by_order: dict[str, list[RowMapping]] = defaultdict(list)
    if keys:
        result = await connection.execute(_selection(shop.attempts, keys))
        owned = result.mappings().all()
        if len(owned) > ATTEMPTS_PER_STATEMENT_MAX:
            raise ShopUnavailable(f"more than {ATTEMPTS_PER_STATEMENT_MAX} attempts on {len(rows)} orders")
        for raw in owned:
            by_order[shop.attempts.order.text(raw["order"]) or ""].append(raw)
    return tuple(_found_in_table(shop, shop.attempts, read, by_order[read.row.key]) for read in rows)


def _selection(attempts: BoundAttempts, keys: Sequence[object]) -> Select[*tuple[Any, ...]]:
    roles = ("order", "out_trade_no", "created_at", "channel", "amount")
    columns = [(role, getattr(attempts, role)) for role in roles]
    statement = (
        select(*(column.sql.label(role) for role, column in columns if column is not None))
        .where(attempts.order.is_one_of(keys))
        .order_by(attempts.key.sql)
        .limit(ATTEMPTS_PER_STATEMENT_MAX + 1)
    )
    return statement.where(attempts.where) if attempts.where is not None else statement


def _found_on_row(shop: BoundShop, read: ReadRow) -> Found:
    owner = _owner(shop, read.channel_value, is_mapped=shop.orders.channel is not None)
    strangers = (owner.stranger,) if owner.stranger else ()
    if read.number is None or read.created_at is None:
        return Found(read.row, (), strangers, ignored=int(owner.is_ignored))
    attempts = tuple(
        Attempt(read.row.key, read.row.order_no, channel, read.number, read.created_at) for channel in owner.channels
    )
    return Found(read.row, attempts, strangers, ignored=int(owner.is_ignored))


def _found_in_table(shop: BoundShop, table: BoundAttempts, read: ReadRow, raws: Sequence[RowMapping]) -> Found:
    attempts: dict[tuple[ChannelName, str], Attempt] = {}
    strangers: dict[str, None] = {}
    unreadable: dict[str, None] = {}
    ignored = 0
    for raw in raws:
        value = table.channel.text(raw["channel"]) if table.channel is not None else read.channel_value
        owner = _owner(shop, value, is_mapped=(table.channel or shop.orders.channel) is not None)
        if owner.is_ignored:
            ignored += 1
            continue
        if owner.stranger:
            strangers[owner.stranger] = None
        try:
            number, created_at = _number(table, raw), _moment(shop, table, raw, read)
            amount = _amount(shop, table, raw)
        except _UnreadableAttempt as problem:
            unreadable[str(problem)] = None
            continue
        for channel in owner.channels:
            attempt = Attempt(read.row.key, read.row.order_no, channel, number, created_at, amount)
            attempts.setdefault(attempt.number, attempt)
    return Found(read.row, tuple(attempts.values()), tuple(strangers), _bounded(tuple(unreadable)), ignored)


class _UnreadableAttempt(ValueError):
    """An attempt that cannot be asked about, or whose facts nobody can compare; the message names the column."""


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose a value of the channel column is."""

    channels: tuple[ChannelName, ...] = ()
    """Those to ask."""
    stranger: str = ""
    """The value, where nobody configured it."""
    is_ignored: bool = False


def _owner(shop: BoundShop, value: str | None, *, is_mapped: bool) -> _Owner:
    if not is_mapped:
        return _Owner(shop.channels)
    if (value or _NULL) in shop.ignored:
        return _Owner(is_ignored=True)
    channel = shop.channel_of.get(value) if value else None
    if not shop.asks_all_channels:
        return _Owner((channel,)) if channel is not None else _Owner(stranger=_shown(value or _NULL))
    # all are asked; but nobody can say that a channel nobody configured did not take the money
    return _Owner(shop.channels, _shown(value) if value and channel is None else "")


def _shown(name: str) -> str:
    quoted = shown(name)
    return name if quoted == f"'{name}'" else quoted


def _bounded(problems: tuple[str, ...]) -> tuple[str, ...]:
    more = len(problems) - UNREADABLE_TEXTS_MAX
    return problems if more <= 0 else (*problems[:UNREADABLE_TEXTS_MAX], f"{more} more that cannot be read")


def _number(table: BoundAttempts, raw: RowMapping) -> str:
    number = table.out_trade_no.text(raw["out_trade_no"])
    if not number:
        raise _UnreadableAttempt(f"{table.out_trade_no.name}: NULL or empty where a number is due")
    if not is_askable(number):
        raise _UnreadableAttempt(
            f"{table.out_trade_no.name}: {shown(number)} is no number that a gateway can be asked about"
        )
    return number


def _moment(shop: BoundShop, table: BoundAttempts, raw: RowMapping, read: ReadRow) -> datetime:
    """Read the attempt's own time; where it is NULL, the order's counts."""
    if table.created_at is not None and raw["created_at"] is not None:
        try:
            return read_moment(table.created_at, raw["created_at"], shop.zone)
        except MomentError as error:
            raise _UnreadableAttempt(f"{table.created_at.name}: {error}") from error
    if read.created_at is None:
        raise _UnreadableAttempt(
            f"{shop.orders.created_at.name}: no time of the order's to go by, nor of the attempt's"
        )
    return read.created_at


def _amount(shop: BoundShop, table: BoundAttempts, raw: RowMapping) -> Money | None:
    """Read the attempt's own amount; where it is NULL, the order's counts, which a payment then has to equal."""
    if table.amount is None or raw["amount"] is None:
        return None
    try:
        return read_amount(raw["amount"], is_fen=shop.orders.is_fen, currency=shop.orders.currency)
    except AmountError as error:
        raise _UnreadableAttempt(f"{table.amount.name}: {error}") from error
