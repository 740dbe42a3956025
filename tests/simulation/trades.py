"""What the gateways know: one record per number and channel, and what they say of it at a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.domain.answer import Answer, Closed, Merchant, NotCreated, Paid, Refunded, Trade, Unpaid
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName
from reconciler.testing.clock import START
from tests.simulation.plan import ALIPAY


@dataclass(slots=True)
class TradeRecord:
    """One trade, with the moments of its life in seconds; None: it has not come to that."""

    channel: ChannelName
    number: str
    amount: Money
    merchant: Merchant = ()
    flags: tuple[str, ...] = ()
    opened_at: float | None = None
    paid_at: float | None = None
    refunded_at: float | None = None
    in_full: bool = True
    closed_at: float | None = None

    @property
    def transaction_id(self) -> str:
        """What the gateway calls the payment."""
        return f"T-{self.channel}-{self.number}"

    def is_paid(self, at: float) -> bool:
        """Whether the gateway has all of the money at that moment."""
        return self.paid_at is not None and self.paid_at <= at and (self.refunded_at is None or self.refunded_at > at)

    def takes_payment(self, at: float) -> bool:
        """Whether the buyer can still pay."""
        return self.opened_at is not None and self.opened_at <= at and self.paid_at is None and self.closed_at is None

    def said_at(self, at: float) -> Answer:
        """Give what the gateway says at a moment, in its own words."""
        bare = Trade(self.number)
        if self.opened_at is None or at < self.opened_at:
            return NotCreated()
        if self.paid_at is not None and at >= self.paid_at:
            trade = Trade(
                self.number, self.transaction_id, self.amount, _moment(self.paid_at), self.merchant, self.flags
            )
            if self.refunded_at is None or at < self.refunded_at:
                return Paid(trade)
            if self.channel != ALIPAY:
                return Refunded(trade, in_full=None)
            return Refunded(trade, in_full=True) if self.in_full else Paid(trade)
        if self.closed_at is not None and at >= self.closed_at:
            return Closed(bare)
        return Unpaid(bare)


@dataclass(slots=True)
class Trades:
    """Every trade of both gateways."""

    records: dict[tuple[ChannelName, str], TradeRecord] = field(default_factory=dict)

    def said_of(self, channel: ChannelName, number: str, at: float) -> Answer:
        """Give what the gateway says of a number."""
        record = self.records.get((channel, number))
        return NotCreated() if record is None else record.said_at(at)


def _moment(seconds: float) -> datetime:
    """Give a moment as gateways write it: whole seconds."""
    return START + timedelta(seconds=int(seconds))
