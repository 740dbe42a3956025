"""How the shop's tables say what an order is: `[shop]`, `[shop.orders]`, `[shop.attempts]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from reconciler.settings.channel import ShopValues
from reconciler.settings.columns import Condition, Name, ShopValue, Value
from reconciler.settings.secret import Secret
from reconciler.settings.types import Strict, TimeZone
from reconciler.settings.urls import DatabaseUrl

VALUES_MAX = 100
COLUMNS_MAX = 50
PLACEHOLDERS = ("{out_trade_no}", "{transaction_id}")
"""What a value of `[shop.orders.set]` may stand for; each stands alone."""


def _currency(code: str) -> str:
    if re.fullmatch(r"[A-Z]{3}", code) is None:
        raise ValueError('is not a currency code; write three capital letters, like "CNY"')
    return code


def _set(values: Mapping[str, ShopValue]) -> Mapping[str, ShopValue]:
    for column, value in values.items():
        if isinstance(value, str) and value not in PLACEHOLDERS and re.search(r"\{\w*\}", value):
            raise ValueError(f"gives {column} a placeholder that is not one of {', '.join(PLACEHOLDERS)}, alone")
    return values


States = Annotated[tuple[Value, ...], Field(max_length=VALUES_MAX)]
Written = Annotated[Mapping[Name, Value], Field(max_length=COLUMNS_MAX), AfterValidator(_set)]


class StatesMapping(Strict):
    """`[shop.orders.states]`: the status column's values in our terms. Any other value is an unknown state."""

    pending: Annotated[States, Field(min_length=1, examples=["[1]"])]
    paid: Annotated[States, Field(min_length=1, examples=["[2, 3, 4]"])]
    closed: States = ()
    refunded: States = ()
    settled_as: Annotated[Value, Field(examples=["2"])]
    """What a confirmed order becomes: one of `paid`."""
    closed_as: Value | None = None
    """What `settle.close` writes: one of `closed`."""


class OrdersMapping(Strict):
    """`[shop.orders]`: the shop's own names."""

    table: Annotated[Name, Field(examples=['"orders"'])]
    key: Annotated[Name, Field(examples=['"id"'])]
    order_no: Annotated[Name, Field(examples=['"order_sn"'])]
    out_trade_no: Annotated[Name | None, Field(examples=['"order_sn"'])] = None
    """None only where `[shop.attempts]` has the numbers."""
    shared_payment: bool = False
    amount: Annotated[Name, Field(examples=['"actual_price"'])]
    amount_unit: Literal["yuan", "fen"] = "yuan"
    currency: Annotated[str, AfterValidator(_currency)] = "CNY"
    status: Annotated[Name, Field(examples=['"status"'])]
    created_at: Annotated[Name, Field(examples=['"created_at"'])]
    channel: Name | None = None
    transaction_id: Name | None = None
    paid_at: Name | None = None
    touch: Annotated[tuple[Name, ...], Field(max_length=COLUMNS_MAX)] = ()
    where: Condition | None = None
    read_from: Name | None = None
    states: StatesMapping
    set: Written = Field(default_factory=dict)


class AttemptsMapping(Strict):
    """`[shop.attempts]`: where one order may have several gateway numbers."""

    table: Annotated[Name, Field(examples=['"pay_order_extension"'])]
    key: Annotated[Name, Field(examples=['"id"'])]
    order: Annotated[Name, Field(examples=['"order_id"'])]
    """Holds `shop.orders.key`."""
    out_trade_no: Annotated[Name, Field(examples=['"no"'])]
    created_at: Name | None = None
    channel: Name | None = None
    amount: Name | None = None
    """In the unit of `shop.orders.amount_unit`."""
    where: Condition | None = None


class ShopSettings(Strict):
    """`[shop]`: the shop's own database."""

    url: Annotated[DatabaseUrl, Field(examples=['"mysql://reconciler@127.0.0.1:3306/shop"'])]
    password: Annotated[Secret | None, Field(examples=['"credential:shop-db-password"'])] = None
    time_zone: TimeZone = ZoneInfo("Asia/Shanghai")
    """Of date-times without an offset in the shop's tables."""
    session_time_zone: TimeZone | None = None
    """Of the shop's own database connections, where that is another. None: `time_zone`."""
    read_url: DatabaseUrl | None = None
    tls: Literal["verify", "off"] | None = None
    """None: verify for other hosts, off for a loopback address or a socket."""
    tls_ca: Secret | None = None
    preset: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    ignore_channels: ShopValues = ()
    orders: OrdersMapping
    attempts: AttemptsMapping | None = None
