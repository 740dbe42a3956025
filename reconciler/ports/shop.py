"""The shop's own database, as the flow sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType, Protocol

from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, Row

Position = NewType("Position", str)
"""A place in the walk over the order table. The shop's adapter writes and reads it; marks keep it."""
Glimpse = NewType("Glimpse", str)
"""What a candidate and its attempts are known by: another as soon as status, number or channel on the row is."""


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate row, with the attempts that can be asked about."""

    row: Row
    attempts: tuple[Attempt, ...] = ()
    """Empty for a row without a readable number or time, or of channels that are not ours."""
    strangers: tuple[str, ...] = ()
    """Channel values on it that nobody configured (and that `shop.ignore_channels` does not name), each once."""
    unreadable: tuple[str, ...] = ()
    """What is wrong with each attempt that cannot be read: `no: NULL where a number is due`."""
    ignored: int = 0
    """Attempts of channels that `shop.ignore_channels` names: nobody asks about them, and so nobody knows."""
    glimpse: Glimpse | None = field(default=None, compare=False)
    """For `candidates` to leave it out while nothing about it is new; None where that cannot be told from the row."""

    @property
    def unwatched(self) -> tuple[str, ...]:
        """Why some attempt of the order is not watched, if any is not: what is closed elsewhere may be paid there."""
        strangers = tuple(f"channel {value} is not configured" for value in self.strangers)
        ignored = (f"{self.ignored} attempts of ignored channels",) if self.ignored else ()
        return (*self.unreadable, *strangers, *ignored)


@dataclass(frozen=True, slots=True)
class Page:
    """Some candidates, in the order of the walk."""

    found: tuple[Found, ...]
    next: Position | None
    """Where to go on; None at the end of the table."""


@dataclass(frozen=True, slots=True)
class Move:
    """One confirmed payment, and the rows it moves: all or none."""

    intention: str
    orders: tuple[Order, ...]
    """As read: the guard compares status, amount and number with what is in the table now."""
    channel: ChannelName
    out_trade_no: str
    transaction_id: str
    amount: Money
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """Every row of the move was written and committed."""


@dataclass(frozen=True, slots=True)
class NotMoved:
    """The guard did not match and nothing was written. The rows as they are now, read anew on the primary."""

    rows: Mapping[OrderKey, Row]
    why: str = ""
    """What the database said, where it was not the guard that refused: a constraint, a trigger, a column too short."""


class Shop(Protocol):
    """The shop's own database (and, later, its own code). Reads by index; writes by guarded updates by key.

    Every method but `release` may raise ShopUnavailable; where finding reads a replica, `newest`, `before` and
    `candidates` raise ReplicaUnavailable while only that is away.
    """

    async def take_lock(self) -> bool:
        """Try to take the lock where harm would be done; False while another process holds it. Idempotent."""
        ...

    async def holds_lock(self) -> bool:
        """Whether the lock is still ours, asked of whoever keeps it."""
        ...

    async def release(self) -> None:
        """Give the lock back and close the connections. Never raises."""
        ...

    async def newest(self) -> Position:
        """Give the position of the newest row at this moment."""
        ...

    async def before(self, since: datetime) -> Position:
        """Give a position at or before the first row created at or after `since`."""
        ...

    async def candidates(self, after: Position, limit: int, known: Collection[Glimpse] = ()) -> Page:
        """Read the next rows of the walk whose state is pending or closed, and on the primary is so still.

        Rows of `known` glimpses are left out; what new attempts bring back may be among them all the same.
        """
        ...

    async def paid(self, after: Position, limit: int) -> Page:
        """Read the next rows of the walk (from `before` on) whose state is paid, and on the primary is so still.

        By the order table alone: new attempts of an old order do not bring it back. May raise ReplicaUnavailable.
        """
        ...

    async def resting(self, statuses: Collection[str], after: Position, limit: int) -> Page:
        """Read the next rows of the walk (from `before` on) that have one of these statuses, on the primary still.

        Statuses are the shop's own values, as `Order.status` shows them; one that the column cannot hold is on no row.
        By the order table alone, and without attempts. May raise ReplicaUnavailable.
        """
        ...

    async def read(self, keys: Sequence[OrderKey]) -> Mapping[OrderKey, Row]:
        """Read these rows in one statement. A key without a row (or outside `shop.orders.where`) is left out."""
        ...

    async def holders(self, out_trade_nos: Sequence[str]) -> Mapping[str, tuple[Row, ...]]:
        """Read every row that carries one of these numbers, whatever its state, from the primary."""
        ...

    async def look_up(self, number: str) -> tuple[Found, ...]:
        """Find orders by order_no or out_trade_no, whatever their state."""
        ...

    async def settle(self, move: Move) -> Moved | NotMoved:
        """Move the orders to the mapped paid status, all or none, in a transaction of its own.

        Raises LockLost where the lock was not ours to write under, or the connection broke and the outcome is
        unknown: the intention stays open and is decided anew. Raises RowBusy where only these rows could not be
        written now, and for certain nothing was: another session has them locked. Raises ShopReadOnly where no
        row can be written at all, and nothing was.
        """
        ...

    async def close_order(self, order: Order) -> Moved | NotMoved:
        """Mark one order closed, with the same guard. Raises LockLost, RowBusy and ShopReadOnly as `settle` does."""
        ...

    async def obstacle(self) -> str:
        """Say why no order can be written, with the remedy, as far as that shows without writing; else nothing.

        Raises LockLost where the lock is not ours, or must be taken anew for a right to count that was given since.
        """
        ...
