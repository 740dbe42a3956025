"""A shop in memory: the double of `Shop`, with the same semantics, and handles to let things go wrong.

shop = MemoryShop()
shop.put("1", out_trade_no="A1", amount=Money(9900), created_at=clock.now())
shop.before_settle = lambda move: shop.change("1", state=OrderState.PAID, transaction_id="T1")  # the callback wins
shop.fail("read", ShopUnavailable("gone"))  # the next read, once
shop.table.locked.add("1")  # another session has the row locked
shop.table.obstacle = "no right; run: GRANT …"  # no row can be written
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict, Unpack

from reconciler.domain.money import Money
from reconciler.domain.order import (
    Attempt,
    ChannelName,
    Order,
    OrderKey,
    OrderState,
    Row,
    UnreadableOrder,
    is_askable,
)
from reconciler.ports import (
    Found,
    Glimpse,
    LockLost,
    Move,
    Moved,
    NotMoved,
    Page,
    PortError,
    Position,
    RowBusy,
    ShopReadOnly,
)

ALIPAY = ChannelName("alipay-main")
CNY_1 = Money(100)
_CANDIDATES = (OrderState.PENDING, OrderState.CLOSED)
_BEGINNING = Position("0")


@dataclass(frozen=True, slots=True)
class MemoryOrder:
    """A row of the table in memory."""

    key: OrderKey
    order_no: str
    out_trade_no: str
    amount: Money | None
    """None makes the row unreadable."""
    state: OrderState
    created_at: datetime
    channel: str | None
    """The shop's value; a channel's own name where the shop was built without values."""
    transaction_id: str | None = None
    paid_at: datetime | None = None
    status: str = ""
    """The shop's own value, where a state has several; empty: the state's name."""
    place: int = 0
    """Where it is in the walk: rows are walked in the order they were put."""


class Facts(TypedDict, total=False):
    """What `change` may say of a row."""

    order_no: str
    out_trade_no: str
    amount: Money | None
    state: OrderState
    created_at: datetime
    channel: str | None
    transaction_id: str | None
    paid_at: datetime | None
    status: str


@dataclass(slots=True)
class MemoryTable:
    """What several shops (daemons) may share: the rows, and who holds the lock."""

    rows: dict[OrderKey, MemoryOrder] = field(default_factory=dict)
    extra: dict[OrderKey, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    unreadable: dict[OrderKey, list[str]] = field(default_factory=lambda: defaultdict(list))
    locked: set[str] = field(default_factory=set)
    """Keys of the rows that another session has locked: they can be read, and not written."""
    obstacle: str = ""
    """Why no row can be written; empty where they can."""
    holder: object | None = None
    places: int = 0


class MemoryShop:
    """One daemon's way to a table in memory."""

    def __init__(
        self,
        *,
        channels: Mapping[ChannelName, tuple[str, ...]] | None = None,
        ignore_channels: tuple[str, ...] = (),
        shared_payment: bool = False,
        table: MemoryTable | None = None,
    ) -> None:
        self.table = table if table is not None else MemoryTable()
        self.channels = channels if channels is not None else {ALIPAY: (ALIPAY,)}
        self.ignore_channels = ignore_channels
        self.shared_payment = shared_payment
        self.moves: list[Move] = []
        """Every move that was committed."""
        self.closed: list[OrderKey] = []
        """Every order that was marked closed."""
        self.before_settle: Callable[[Move], object] | None = None
        """Called after the lock was found ours and before the guard compares: the shop's own callback."""
        self.after_commit: Callable[[Move], object] | None = None
        """Called once a move is committed, before anybody hears of it; may raise LockLost."""
        self.refusal = ""
        """What the table's own rules say to every write that the guard lets through; empty: nothing."""
        self._failures: dict[str, list[PortError]] = defaultdict(list)

    @property
    def rows(self) -> dict[OrderKey, MemoryOrder]:
        """The rows, by key, as they are now."""
        return self.table.rows

    def put(  # noqa: PLR0913 # a row has as many columns
        self,
        key: str,
        *,
        out_trade_no: str,
        created_at: datetime,
        amount: Money | None = CNY_1,
        state: OrderState = OrderState.PENDING,
        channel: str | None = ALIPAY,
        order_no: str = "",
        transaction_id: str | None = None,
        paid_at: datetime | None = None,
        status: str = "",
    ) -> OrderKey:
        """Add a row at the end of the walk; its order_no is its number unless said otherwise."""
        self.table.places += 1
        row = MemoryOrder(
            key=OrderKey(key),
            order_no=order_no or out_trade_no,
            out_trade_no=out_trade_no,
            amount=amount,
            state=state,
            created_at=created_at,
            channel=channel,
            transaction_id=transaction_id,
            paid_at=paid_at,
            status=status,
            place=self.table.places,
        )
        self.rows[row.key] = row
        return row.key

    def put_attempt(self, key: str, attempt: Attempt) -> None:
        """Give a row one more attempt, as a table of attempts would."""
        self.table.extra[OrderKey(key)].append(attempt)

    def put_unreadable(self, key: str, problem: str) -> None:
        """Give a row one more attempt, that cannot be read."""
        self.table.unreadable[OrderKey(key)].append(problem)

    def change(self, key: str, **facts: Unpack[Facts]) -> None:
        """Change a row, as the shop's own code would."""
        self.rows[OrderKey(key)] = dataclasses.replace(self.rows[OrderKey(key)], **facts)

    def remove(self, key: str) -> None:
        """Delete a row."""
        del self.rows[OrderKey(key)]

    def fail(self, method: str, error: PortError, times: int = 1) -> None:
        """Let the next calls of a method raise."""
        self._failures[method] += [error] * times

    def lose_lock(self) -> None:
        """Take the lock away, as a lost connection would."""
        self.table.holder = None

    async def take_lock(self) -> bool:
        """Take the lock, unless another shop on this table holds it."""
        self._maybe_fail("take_lock")
        if self.table.holder is None:
            self.table.holder = self
        return self.table.holder is self

    async def holds_lock(self) -> bool:
        """Whether this shop holds the lock."""
        self._maybe_fail("holds_lock")
        return self.table.holder is self

    async def release(self) -> None:
        """Give the lock back."""
        if self.table.holder is self:
            self.table.holder = None

    async def newest(self) -> Position:
        """Give the last row's place."""
        self._maybe_fail("newest")
        return Position(str(max([row.place for row in self.rows.values()], default=0)))

    async def before(self, since: datetime) -> Position:
        """Give the place before the first row created since then."""
        self._maybe_fail("before")
        places = [row.place for row in self.rows.values() if row.created_at >= since]
        return Position(str(min(places) - 1)) if places else await self.newest()

    async def candidates(self, after: Position, limit: int, known: Collection[Glimpse] = ()) -> Page:
        """Read the next candidates."""
        self._maybe_fail("candidates")
        return self._page(after, limit, lambda row: row.state in _CANDIDATES and self._glimpse(row) not in known)

    def _glimpse(self, row: MemoryOrder) -> Glimpse:
        attempts = [*(attempt.number for attempt in self.table.extra[row.key]), *self.table.unreadable[row.key]]
        return Glimpse(repr([row.key, row.state.value, row.status, row.out_trade_no, row.channel, attempts]))

    async def paid(self, after: Position, limit: int) -> Page:
        """Read the next paid rows."""
        self._maybe_fail("paid")
        return self._page(after, limit, lambda row: row.state is OrderState.PAID)

    async def resting(self, statuses: Collection[str], after: Position, limit: int) -> Page:
        """Read the next rows of these statuses, without their attempts."""
        self._maybe_fail("resting")
        page = self._page(after, limit, lambda row: self._row(row).status in statuses)
        return Page(tuple(Found(found.row) for found in page.found), page.next)

    def _page(self, after: Position, limit: int, is_met: Callable[[MemoryOrder], bool]) -> Page:
        place = int(after or _BEGINNING)
        ahead = [row for row in self.rows.values() if row.place > place]
        ahead.sort(key=lambda row: row.place)
        rows = [row for row in ahead if is_met(row)]
        page = rows[:limit]
        following = page[-1].place if len(rows) >= limit else None
        is_last = following is None or following == ahead[-1].place
        return Page(tuple(self._found(row) for row in page), None if is_last else Position(str(following)))

    async def read(self, keys: Sequence[OrderKey]) -> Mapping[OrderKey, Row]:
        """Read rows by key."""
        self._maybe_fail("read")
        return {key: self._row(self.rows[key]) for key in keys if key in self.rows}

    async def holders(self, out_trade_nos: Sequence[str]) -> Mapping[str, tuple[Row, ...]]:
        """Read every row that carries one of these numbers."""
        self._maybe_fail("holders")
        wanted = set(out_trade_nos) - {""}
        held: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows.values():
            extra = self.table.extra.get(row.key, ())
            if extra or row.out_trade_no in wanted:
                for number in wanted & {row.out_trade_no, *(attempt.out_trade_no for attempt in extra)}:
                    held[number].append(self._row(row))
        return {number: tuple(rows) for number, rows in held.items()}

    async def look_up(self, number: str) -> tuple[Found, ...]:
        """Find orders by order_no or out_trade_no."""
        self._maybe_fail("look_up")
        return tuple(
            self._found(row)
            for row in self.rows.values()
            if number in {row.order_no, row.out_trade_no, *(a.out_trade_no for a in self.table.extra[row.key])}
        )

    async def settle(self, move: Move) -> Moved | NotMoved:
        """Move the orders, all or none."""
        self._maybe_fail("settle")
        self._must_hold()
        if not move.orders or (len(move.orders) > 1 and not self.shared_payment):
            raise ValueError(f"{len(move.orders)} orders in one move")
        if self.before_settle is not None:
            self.before_settle(move)
            self._must_hold()
        self._must_be_free(move.orders)
        if not all(self._matches(order) for order in move.orders):
            return NotMoved(await self.read([order.key for order in move.orders]))
        if self.refusal:
            return NotMoved(await self.read([order.key for order in move.orders]), self.refusal)
        for order in move.orders:
            self.change(order.key, state=OrderState.PAID, transaction_id=move.transaction_id, paid_at=move.paid_at)
        self.moves.append(move)
        if self.after_commit is not None:
            self.after_commit(move)
        return Moved()

    async def close_order(self, order: Order) -> Moved | NotMoved:
        """Mark one order closed."""
        self._maybe_fail("close_order")
        self._must_hold()
        self._must_be_free([order])
        if not self._matches(order):
            return NotMoved(await self.read([order.key]))
        if self.refusal:
            return NotMoved(await self.read([order.key]), self.refusal)
        self.change(order.key, state=OrderState.CLOSED)
        self.closed.append(order.key)
        return Moved()

    async def obstacle(self) -> str:
        """Say why no row can be written."""
        self._maybe_fail("obstacle")
        self._must_hold()
        return self.table.obstacle

    def _maybe_fail(self, method: str) -> None:
        if self._failures[method]:
            raise self._failures[method].pop(0)

    def _must_hold(self) -> None:
        if self.table.holder is not self:
            raise LockLost("the shop's lock is not ours any more")

    def _must_be_free(self, orders: Sequence[Order]) -> None:
        if self.table.obstacle:
            raise ShopReadOnly(self.table.obstacle)
        if any(order.key in self.table.locked for order in orders):
            raise RowBusy("another session keeps the row locked")

    def _matches(self, order: Order) -> bool:
        row = self.rows.get(order.key)
        return row is not None and order.state in _CANDIDATES and dict(order.as_read) == dict(_as_read(row))

    def _row(self, row: MemoryOrder) -> Row:
        problem = ""
        if row.amount is None:
            problem = "amount: NULL where an amount is due"
        elif row.out_trade_no and not is_askable(row.out_trade_no):
            problem = "out_trade_no: is no number that a gateway can be asked about"
        if problem or row.amount is None:
            return UnreadableOrder(row.key, row.order_no, row.state, row.status or row.state.value, problem)
        return Order(
            key=row.key,
            order_no=row.order_no,
            state=row.state,
            status=row.status or row.state.value,
            amount=row.amount,
            created_at=row.created_at,
            transaction_id=row.transaction_id or None,
            paid_at=row.paid_at,
            as_read=_as_read(row),
        )

    def _found(self, row: MemoryOrder) -> Found:
        extra = tuple(attempt for attempt in self.table.extra[row.key] if is_askable(attempt.out_trade_no))
        problems = [
            f"out_trade_no: {attempt.out_trade_no!a} is no number that a gateway can be asked about"
            for attempt in self.table.extra[row.key]
            if attempt not in extra
        ]
        unreadable = tuple(dict.fromkeys((*problems, *self.table.unreadable[row.key])))
        value = row.channel or "NULL"
        glimpse = self._glimpse(row)
        if value in self.ignore_channels:
            return Found(self._row(row), extra, unreadable=unreadable, ignored=1, glimpse=glimpse)
        channels = [name for name, values in self.channels.items() if row.channel in values]
        asked = channels if is_askable(row.out_trade_no) else ()
        own = tuple(Attempt(row.key, row.order_no, name, row.out_trade_no, row.created_at) for name in asked)
        strangers = () if channels or not row.out_trade_no else (value,)
        return Found(self._row(row), own + extra, strangers, unreadable, glimpse=glimpse)


def _as_read(row: MemoryOrder) -> tuple[tuple[str, object], ...]:
    return (("state", row.state), ("amount", row.amount), ("out_trade_no", row.out_trade_no))
