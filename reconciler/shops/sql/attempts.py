"""Which attempts a row has: from the row itself, or from the attempts' own table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.money import AmountError, Money
from reconciler.domain.order import Attempt, ChannelName, Order, UnreadableOrder, is_askable
from reconciler.ports import Found, ShopUnavailable
from reconciler.shops.sql.bound import BoundAttempts, BoundShop
from reconciler.shops.sql.columns import shown
from reconciler.shops.sql.moments import MomentError, read_moment
from reconciler.shops.sql.rows import ReadRow, read_amount

ATTEMPTS_PER_STATEMENT_MAX = 50_000
"""A page of orders with more attempts than this is not a shop's table."""

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
    if read.number is None or read.created_at is None:
        return Found(read.row)
    channels, stranger = _channels(shop, read.channel_value, is_mapped=shop.orders.channel is not None)
    attempts = tuple(
        Attempt(read.row.key, read.row.order_no, channel, read.number, read.created_at) for channel in channels
    )
    return Found(read.row, attempts, (stranger,) if stranger else ())


def _found_in_table(shop: BoundShop, table: BoundAttempts, read: ReadRow, raws: Sequence[RowMapping]) -> Found:
    attempts: dict[tuple[ChannelName, str], Attempt] = {}
    strangers: dict[str, None] = {}
    unaskable = ""
    for raw in raws:
        number = table.out_trade_no.text(raw["out_trade_no"])
        if not number:
            continue
        if not is_askable(number):
            unaskable = unaskable or number
            continue
        created_at = _moment(shop, table, raw) or read.created_at
        if created_at is None:
            continue
        value = table.channel.text(raw["channel"]) if table.channel is not None else read.channel_value
        channels, stranger = _channels(shop, value, is_mapped=(table.channel or shop.orders.channel) is not None)
        if stranger:
            strangers[stranger] = None
        for channel in channels:
            attempt = Attempt(read.row.key, read.row.order_no, channel, number, created_at, _amount(shop, table, raw))
            attempts.setdefault(attempt.number, attempt)
    row = read.row
    if unaskable and not attempts and isinstance(row, Order):
        problem = f"{table.out_trade_no.name}: {shown(unaskable)} is no number that a gateway can be asked about"
        row = UnreadableOrder(row.key, row.order_no, row.state, row.status, problem)
    return Found(row, tuple(attempts.values()), tuple(strangers))


def _channels(shop: BoundShop, value: str | None, *, is_mapped: bool) -> tuple[tuple[ChannelName, ...], str]:
    """Give the channels to ask for a value of the channel column, and the value where nobody configured it."""
    if not is_mapped:
        return shop.channels, ""
    name = value or _NULL
    channel = shop.channel_of.get(value) if value else None
    stranger = "" if channel is not None or name in shop.ignored else _shown(name)
    if shop.asks_all_channels:
        return shop.channels, stranger
    return ((channel,) if channel is not None else ()), stranger


def _shown(name: str) -> str:
    quoted = shown(name)
    return name if quoted == f"'{name}'" else quoted


def _moment(shop: BoundShop, table: BoundAttempts, raw: RowMapping) -> datetime | None:
    if table.created_at is None:
        return None
    try:
        return read_moment(table.created_at, raw["created_at"], shop.zone)
    except MomentError:
        return None  # the order's own time counts


def _amount(shop: BoundShop, table: BoundAttempts, raw: RowMapping) -> Money | None:
    """Read the attempt's own amount; where it is none, the order's counts, which a payment then has to equal."""
    if table.amount is None or raw["amount"] is None:
        return None
    try:
        return read_amount(raw["amount"], is_fen=shop.orders.is_fen, currency=shop.orders.currency)
    except AmountError:
        return None
