"""The mapping, bound to the columns that are really there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy import TableClause, TextClause

from reconciler.domain.order import ChannelName, OrderState
from reconciler.shops.sql.columns import Column


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A value of `[shop.orders.set]` that comes from the payment."""

    of: str
    """`out_trade_no` or `transaction_id`."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundOrders:
    """`[shop.orders]`, bound. Columns to read belong to `source`, those to write and guard to `target`."""

    source: TableClause
    target: TableClause
    table: tuple[str | None, str]
    """The schema that the target is really in, and its name: what the lock is named by."""
    key: Column
    order_no: Column
    amount: Column
    status: Column
    created_at: Column
    out_trade_no: Column | None
    channel: Column | None
    transaction_id: Column | None
    paid_at: Column | None
    where: TextClause | None
    is_fen: bool
    currency: str
    is_shared_payment: bool
    is_number_due: bool
    """No table of attempts has the numbers: each row needs its own."""
    states: Mapping[str, OrderState]
    candidate_values: tuple[object, ...]
    """What `pending` and `closed` are in the status column."""
    guarded: Mapping[str, Column]
    """Columns of `target` that the guard compares, by name."""
    settled_as: object
    closed_as: object | None
    write_transaction_id: Column | None
    write_paid_at: Column | None
    touch: tuple[Column, ...]
    set: tuple[tuple[Column, object | Template], ...]
    is_time_indexed: bool
    """Whether an index begins with `created_at`."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundAttempts:
    """`[shop.attempts]`, bound."""

    source: TableClause
    key: Column
    order: Column
    out_trade_no: Column
    created_at: Column | None
    channel: Column | None
    amount: Column | None
    where: TextClause | None
    is_time_indexed: bool


@dataclass(frozen=True, slots=True, eq=False)
class BoundShop:
    """All that reading and writing needs to know."""

    orders: BoundOrders
    attempts: BoundAttempts | None
    zone: ZoneInfo
    channels: tuple[ChannelName, ...]
    channel_of: Mapping[str, ChannelName]
    """Shop value, as the column would show it, to channel."""
    asks_all_channels: bool
    ignored: frozenset[str]
