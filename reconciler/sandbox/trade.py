"""A trade as a gateway of the sandbox holds it: a life in time, and how the gateway answers about it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from reconciler.sandbox.beijing import BEIJING

SLOW_SECONDS = 3.0


class GatewayKind(StrEnum):
    """Which gateway keeps the trade."""

    ALIPAY = "alipay"
    WECHAT = "wechat"


class State(StrEnum):
    """Where a trade is in its life."""

    ABSENT = "absent"
    UNPAID = "unpaid"
    PAID = "paid"
    REFUNDED = "refunded"
    CLOSED = "closed"


class Twist(StrEnum):
    """What is odd about the trade itself, in verified answers."""

    OTHER_MERCHANT = "other_merchant"
    """WeChat: paid to somebody else. Alipay: not ours, so it does not exist (gateways.md 1.8)."""
    OTHER_CURRENCY = "other_currency"
    UNKNOWN_STATE = "unknown_state"
    UNDATED = "undated"
    """Alipay: the answer shows nothing of the payment, so that only the refund query tells what was refunded."""


class Trouble(StrEnum):
    """How the gateway fails to answer."""

    SLOW = "slow"
    SERVER_ERROR = "server_error"
    THROTTLED = "throttled"
    BAD_SIGNATURE = "bad_signature"
    UNSIGNED = "unsigned"
    RENEWED_CERTIFICATE = "renewed_certificate"
    """Signed, and well, by a certificate that nobody has been given. Alipay: in certificate mode only."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade. Its moments are set beforehand; its state follows from what time it is."""

    gateway: GatewayKind
    out_trade_no: str
    amount_fen: int
    opened_at: datetime | None = None
    """None: the buyer never opened the payment page, and the gateway knows no such number."""
    paid_at: datetime | None = None
    refunded_at: datetime | None = None
    closed_at: datetime | None = None
    twist: Twist | None = None
    trouble: Trouble | None = None
    trouble_asks: int = 0
    """How many asks meet the trouble before it is over; 0: all of them."""
    slow_seconds: float = SLOW_SECONDS
    number: str = ""
    """The gateway's own, where a person gave one: what his shop has on record."""

    def state_at(self, now: datetime) -> State:
        """Say where the trade is. A payment comes before a close: a closed trade cannot be paid."""
        if self.opened_at is None or now < self.opened_at:
            return State.ABSENT
        if self.paid_at is not None and now >= self.paid_at:
            refunded = self.refunded_at is not None and now >= self.refunded_at
            return State.REFUNDED if refunded else State.PAID
        if self.closed_at is not None and now >= self.closed_at:
            return State.CLOSED
        return State.UNPAID

    def closed(self, now: datetime) -> Trade:
        """Give this unpaid trade, closed: whatever the buyer was about to do, he no longer can."""
        return replace(self, closed_at=now, paid_at=None, refunded_at=None)

    def trouble_on(self, ask: int) -> Trouble | None:
        """Say what goes wrong on the n-th ask, counted from 1."""
        return self.trouble if self.trouble_asks == 0 or ask <= self.trouble_asks else None

    @property
    def transaction_id(self) -> str:
        """The gateway's own number: as given, else 28 digits, the same for the same trade."""
        if self.number:
            return self.number
        day = (self.paid_at or self.opened_at or datetime.fromtimestamp(0, BEIJING)).astimezone(BEIJING)
        number = zlib.crc32(f"{self.gateway} {self.out_trade_no}".encode())
        if self.gateway is GatewayKind.ALIPAY:
            return f"{day:%Y%m%d}220014{number:014d}"
        return f"4200000{number:013d}{day:%Y%m%d}"
