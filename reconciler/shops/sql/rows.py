"""One raw row of the order table, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Label, RowMapping, Select, select

from reconciler.domain.money import AmountError, Money
from reconciler.domain.order import AsRead, Order, OrderKey, OrderState, Row, UnreadableOrder, is_askable
from reconciler.ports import Glimpse
from reconciler.shops.sql.bound import BoundOrders
from reconciler.shops.sql.columns import Column, shown
from reconciler.shops.sql.moments import MomentError, is_empty, read_moment

KEY_LENGTH_MAX = 255
"""No index of the common databases takes a longer text key."""

_TO_BE_MOVED = frozenset({OrderState.PENDING, OrderState.CLOSED})
"""Only here does an unreadable paid time matter: a row that is paid anyway is not unreadable for it."""

GLIMPSED = ("key", "status", "out_trade_no", "channel")
"""What tells whether a row, or an attempt on it, is still the one that was read."""

_ROLES = (
    "key",
    "order_no",
    "amount",
    "status",
    "created_at",
    "out_trade_no",
    "channel",
    "transaction_id",
    "paid_at",
)


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row, and what is needed beside it to know its attempts."""

    row: Row
    number: str | None
    """The askable number on the row itself; None where it holds none."""
    created_at: datetime | None
    channel_value: str | None
    glimpse: Glimpse


def selection(orders: BoundOrders, roles: Sequence[str] = _ROLES) -> Select[*tuple[Any, ...]]:
    """Select all that a row is read from, labelled by role, where the mapping's `where` holds."""
    statement = select(*(_labelled(orders, role) for role in roles if getattr(orders, role) is not None))
    return statement.where(orders.where) if orders.where is not None else statement


def read_row(orders: BoundOrders, zone: ZoneInfo, raw: RowMapping) -> ReadRow:
    """Read a raw row, labelled by role."""
    values: Mapping[str, object] = {role: raw.get(role) for role in _ROLES}
    reading = _Reading(orders, zone, values)
    number = reading.number()
    created_at = reading.moment("created_at", orders.created_at)
    row = reading.row(created_at)
    channel = orders.channel.text(values["channel"]) if orders.channel is not None else None
    return ReadRow(row, number, created_at, channel, glimpse_of(raw))


def glimpse_of(raw: RowMapping) -> Glimpse:
    """Give what a raw row is known by."""
    return Glimpse(repr([raw.get(role) for role in GLIMPSED]))


def read_amount(raw: object, *, is_fen: bool, currency: str) -> Money:
    """Read an amount as a driver gives it. Raises AmountError."""
    if isinstance(raw, bytes):
        raw = raw.decode(errors="replace")
    if isinstance(raw, float):
        raw = Decimal(
            repr(raw)
        )  # SQLite keeps DECIMAL so; the shortest text that reads back the same is what was written
    if raw is None:
        raise AmountError("NULL where an amount is due")
    if isinstance(raw, bool) or not isinstance(raw, str | int | Decimal):
        raise AmountError(f"{shown(str(raw))} is not an amount")
    if not is_fen:
        return Money.from_yuan(raw, currency)
    if isinstance(raw, Decimal) and raw.is_finite() and raw == raw.to_integral_value():
        raw = int(raw)
    if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) <= 32:  # noqa: PLR2004 # as Money
        raw = int(raw)
    if not isinstance(raw, int):
        raise AmountError(f"{shown(str(raw))} is not an amount in whole fen")
    return Money(raw, currency)


@dataclass(slots=True)
class _Reading:
    orders: BoundOrders
    zone: ZoneInfo
    values: Mapping[str, object]
    problem: str = ""

    def row(self, created_at: datetime | None) -> Row:
        orders = self.orders
        key = OrderKey(orders.key.text(self.values["key"]) or "")
        order_no = orders.order_no.text(self.values["order_no"])
        status = orders.status.text(self.values["status"])
        state = orders.states.get(status, OrderState.UNKNOWN) if status is not None else OrderState.UNKNOWN
        amount = self.amount()
        paid_at = self.paid_at(state)
        if not key or len(key) > KEY_LENGTH_MAX:
            self.note(orders.key, "NULL, empty, or longer than any key")
        name = _plain(order_no) or key[:KEY_LENGTH_MAX]
        if self.problem or amount is None or created_at is None:
            return UnreadableOrder(key, name, state, _plain(status) or "NULL", self.problem, created_at)
        return Order(
            key=key,
            order_no=name,
            state=state,
            status=_plain(status) or "NULL",
            amount=amount,
            created_at=created_at,
            transaction_id=self.transaction_id(),
            paid_at=paid_at,
            as_read=self.as_read(),
        )

    def number(self) -> str | None:
        """Read the number. Without one nothing can be asked: a problem, unless a table of attempts has the numbers."""
        column = self.orders.out_trade_no
        if column is None:
            return None
        number = column.text(self.values["out_trade_no"])
        if not number:
            if self.orders.is_number_due:
                self.note(column, "NULL or empty where a number is due")
            return None
        if is_askable(number):
            return number
        self.note(column, f"{shown(number)} is no number that a gateway can be asked about")
        return None

    def moment(self, role: str, column: Column) -> datetime | None:
        try:
            return read_moment(column, self.values[role], self.zone)
        except MomentError as error:
            self.note(column, str(error))
            return None

    def paid_at(self, state: OrderState) -> datetime | None:
        column = self.orders.paid_at
        if column is None or is_empty(self.values["paid_at"]):
            return None
        try:
            return read_moment(column, self.values["paid_at"], self.zone)
        except MomentError as error:
            if state in _TO_BE_MOVED:
                self.note(column, str(error))
            return None

    def amount(self) -> Money | None:
        try:
            return read_amount(self.values["amount"], is_fen=self.orders.is_fen, currency=self.orders.currency)
        except AmountError as error:
            self.note(self.orders.amount, str(error))
            return None

    def transaction_id(self) -> str | None:
        column = self.orders.transaction_id
        return _plain(column.text(self.values["transaction_id"])) or None if column is not None else None

    def as_read(self) -> AsRead:
        """Keep the raw values that the guard compares, by column."""
        roles = ("key", "status", "amount", "out_trade_no")
        columns = [(getattr(self.orders, role), self.values[role]) for role in roles]
        return tuple({column.name: value for column, value in columns if column is not None}.items())

    def note(self, column: Column, problem: str) -> None:
        self.problem = self.problem or f"{column.name}: {problem}"


def _plain(text: str | None) -> str:
    """Make a text fit for a log line: as it is where it is short and printable, else quoted, escaped and shortened."""
    if text is None or (text.isprintable() and len(text) <= KEY_LENGTH_MAX):
        return text or ""
    return shown(text)


def _labelled(orders: BoundOrders, role: str) -> Label[object]:
    column: Column = getattr(orders, role)
    return column.sql.label(role)
