"""What the operator configured, as far as deciding is concerned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from reconciler.domain.answer import Merchant
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName

DEFAULT_AGES = tuple(
    timedelta(seconds=seconds)
    for seconds in (30, 60, 120, 180, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 172800)
)


class LatePayment(Enum):
    """What becomes of an order that was paid although the shop had closed it."""

    CASE = "case"
    REVIVE = "revive"


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one shop. Defaults are those of the configuration."""

    ages: tuple[timedelta, ...] = DEFAULT_AGES
    per_order: float | None = None
    """`ask.per_order`, where the ages are learned: asks an order, on average. None: `ages` are as listed."""
    late_from: timedelta = timedelta(hours=1)
    clock_tolerance: timedelta = timedelta(minutes=10)
    untrusted_limit: int = 5
    grace: timedelta = timedelta(seconds=10)
    late_payment: LatePayment = LatePayment.CASE
    revive_within: timedelta = timedelta(hours=24)
    review_over: Money | None = None
    review_after: timedelta = timedelta(hours=12)
    closes_orders: bool = False
    """`settle.close`, and settling is by update: closing by webhook does not exist."""
    closes_at_gateway: bool = False
    """`settle.close_at_gateway`, in mode enforce: observing writes nothing to a gateway."""
    shared_payment: bool = False
    keeps_transaction_id: bool = True
    """Whether the mapping names a transaction column."""
    keeps_paid_at: bool = True
    """Whether the mapping names a paid-time column."""
    merchants: Mapping[ChannelName, Merchant] = field(default_factory=dict)
    """Who each channel's trades must have paid."""
