"""Orders and attempts, as the shop shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NewType

from reconciler.domain.money import Money

OrderKey = NewType("OrderKey", str)
"""What `shop.orders.key` holds, as text: names the row and nothing else."""
ChannelName = NewType("ChannelName", str)
"""A channel as configured, `alipay-main`."""

AsRead = tuple[tuple[str, object], ...]
"""Column and raw value, as the shop's adapter read them: what its guard compares. Opaque to everyone else."""


class OrderState(Enum):
    """The shop's many states in our terms."""

    PENDING = "pending"
    PAID = "paid"
    CLOSED = "closed"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"
    """A value that nobody mapped."""


@dataclass(frozen=True, slots=True)
class Order:
    """One readable row of the shop's order table."""

    key: OrderKey
    order_no: str
    state: OrderState
    status: str
    """The shop's own value, for people."""
    amount: Money
    created_at: datetime
    transaction_id: str | None = None
    """None where the column is empty or not mapped (`Policy.keeps_transaction_id` tells which)."""
    paid_at: datetime | None = None
    as_read: AsRead = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None or (self.paid_at is not None and self.paid_at.tzinfo is None):
            raise ValueError("an order's times carry an offset")


@dataclass(frozen=True, slots=True)
class UnreadableOrder:
    """A row whose amount, number, time or state cannot be understood."""

    key: OrderKey
    order_no: str
    state: OrderState
    status: str
    problem: str
    """What is wrong, naming the column: `total: NULL where an amount is due`."""
    created_at: datetime | None = None
    """Where at least that can be read."""


Row = Order | UnreadableOrder


@dataclass(frozen=True, slots=True)
class Attempt:
    """One number (`out_trade_no`) handed to one channel for one order."""

    order_key: OrderKey
    order_no: str
    channel: ChannelName
    out_trade_no: str
    created_at: datetime
    amount: Money | None = None
    """The attempt's own amount, where the shop keeps one; else the order's counts."""

    @property
    def number(self) -> tuple[ChannelName, str]:
        """What the gateway knows it by: one ask serves every order that shares it."""
        return (self.channel, self.out_trade_no)


NUMBER_LENGTH_MAX = 64
"""Alipay takes 64 characters, WeChat 32."""
_ASKABLE = re.compile(rf"[!-~]{{1,{NUMBER_LENGTH_MAX}}}")


def is_askable(out_trade_no: str) -> bool:
    """Whether a number may go on the wire at all: printable ASCII without spaces, 1 to 64 characters."""
    return _ASKABLE.fullmatch(out_trade_no) is not None
