"""What became of every order, told from the outside: the shop's table, the gateways' book, and the open cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from statistics import median

from reconciler.sandbox.book import Book
from reconciler.sandbox.buyers import Buyers
from reconciler.sandbox.shop import ShopRow, Status
from reconciler.sandbox.trade import State, Trade, Trouble
from reconciler.sandbox.visit import Visit

_UNPROVABLE = {Trouble.BAD_SIGNATURE, Trouble.UNSIGNED}
_MOVED = {Status.PAID, Status.DELIVERED}


class Fate(Enum):
    """What became of an order."""

    CALLBACK = "callback"
    """The shop's own callback moved it."""
    RECOVERED = "recovered"
    """Paid, stuck, and moved by the daemon."""
    IN_CASE = "in a case"
    EXPIRED = "expired"
    """Unpaid, closed by the shop."""
    CLOSED = "closed"
    """Unpaid, closed by the daemon."""
    WAITING = "waiting"
    NOT_OURS = "not ours"
    LOST = "lost"
    """Paid, and neither moved nor in a case: must not happen."""
    WRONGLY_MOVED = "wrongly moved"
    """Moved without a payment that agrees: must not happen."""


@dataclass(frozen=True, slots=True)
class SeenCase:
    """A case as `cases list --json` gives it."""

    id: int
    kind: str
    order_no: str
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    """One order's story in a line."""

    visit: Visit
    fate: Fate
    was_paid: bool
    recovered_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Least, middle and most of some durations, in seconds."""

    least_s: float
    median_s: float
    most_s: float


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of all of them."""

    told: tuple[Told, ...]
    cases: tuple[SeenCase, ...]

    def count(self, *fates: Fate) -> int:
        """Count the orders with one of these fates."""
        return sum(told.fate in fates for told in self.told)

    @property
    def paid(self) -> int:
        """How many a gateway had the money for."""
        return sum(told.was_paid for told in self.told)

    @property
    def stuck(self) -> int:
        """How many were paid, and not moved by the shop's own callback."""
        return sum(told.was_paid and told.fate is not Fate.CALLBACK for told in self.told)

    @property
    def paid_in_case(self) -> int:
        """How many were paid and wait for a person."""
        return sum(told.was_paid and told.fate is Fate.IN_CASE for told in self.told)

    @property
    def recovered_after(self) -> Span | None:
        """How long after payment the daemon's settlements showed in the shop; None where there was none."""
        waits = [told.recovered_after_s for told in self.told if told.recovered_after_s is not None]
        return Span(min(waits), median(waits), max(waits)) if waits else None

    @property
    def failures(self) -> tuple[Told, ...]:
        """Give the orders that break a promise."""
        return tuple(told for told in self.told if told.fate in {Fate.LOST, Fate.WRONGLY_MOVED})


def tally(buyers: Buyers, book: Book, rows: Sequence[ShopRow], cases: Sequence[SeenCase], now: datetime) -> Tally:
    """Say of every visit so far what became of it."""
    by_number = {row.order_no: row for row in rows}
    in_case = {case.order_no for case in cases}
    return Tally(
        told=tuple(_tell(visit, buyers, book, by_number, in_case, now) for visit in buyers.visits), cases=tuple(cases)
    )


def _tell(
    visit: Visit, buyers: Buyers, book: Book, rows: Mapping[str, ShopRow], in_case: set[str], now: datetime
) -> Told:  # fmt: skip
    trade = book.get(visit.gateway, visit.order_no) if visit.gateway else None
    row = rows.get(visit.order_no)
    is_moved = row is not None and row.status in _MOVED
    state = trade.state_at(now) if trade else State.ABSENT
    was_paid = state in {State.PAID, State.REFUNDED}
    if visit.order_no in buyers.called_back:
        return Told(visit, Fate.CALLBACK, was_paid)
    if row is not None and is_moved:
        if trade is None or state is not State.PAID or not _agrees(visit, trade, row):
            return Told(visit, Fate.WRONGLY_MOVED, was_paid)
        return Told(visit, Fate.RECOVERED, was_paid, _wait(trade, buyers.seen_paid_at.get(visit.order_no, now)))
    if visit.order_no in in_case:
        return Told(visit, Fate.IN_CASE, was_paid)
    if trade is None:
        return Told(visit, Fate.NOT_OURS, was_paid)
    if was_paid:
        return Told(visit, Fate.LOST, was_paid)
    if row is not None and row.status == Status.CLOSED:
        return Told(visit, Fate.EXPIRED if visit.order_no in buyers.expired else Fate.CLOSED, was_paid)
    return Told(visit, Fate.WAITING, was_paid)


def _agrees(visit: Visit, trade: Trade, row: ShopRow) -> bool:
    """Whether a moved order could be proved at all: the right amount, nothing odd, an answer signed sooner or later."""
    is_provable = trade.twist is None and not (trade.trouble in _UNPROVABLE and trade.trouble_asks == 0)
    return is_provable and trade.amount_fen == visit.amount_fen and row.transaction_id == trade.transaction_id


def _wait(trade: Trade, seen_at: datetime) -> float | None:
    return (seen_at - trade.paid_at).total_seconds() if trade.paid_at else None
