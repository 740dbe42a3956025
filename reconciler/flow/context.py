"""What every part of the flow works with."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.domain.order import ChannelName, OrderKey
from reconciler.domain.policy import Policy
from reconciler.flow.block import Block
from reconciler.flow.brake import Brake, Limits
from reconciler.flow.deliveries import Deliveries, Unfinished
from reconciler.ports import Clock, Events, Ledger, OpenIntention, Receiver, Shop


@dataclass(slots=True)
class Tally:
    """What was done since it was begun: the figures of a summary."""

    since: datetime
    found: int = 0
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By channel and answer."""
    settled: int = 0
    would_settle: int = 0
    callback_won: int = 0
    closed: int = 0
    closed_at_gateway: int = 0
    """Trades that a gateway closed because we said so."""
    cases_opened: int = 0
    unanswered: int = 0
    """Asks that came to nothing: could not ask, could not trust."""
    not_applied: int = 0
    """Settlements that the shop did not take, or that were put off, and turns that failed."""


@dataclass(slots=True)
class Context:
    """The ports, the policy, and what one leader knows for as long as it leads."""

    shop: Shop
    ledger: Ledger
    clock: Clock
    events: Events
    policy: Policy
    enforcing: bool
    """False in mode observe: decide and record, write nothing to the shop, end no watch."""
    tally: Tally
    applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Decisions are applied one after another: two attempts of one order never race."""
    recovering: dict[OrderKey, OpenIntention] = field(default_factory=dict)
    """Settlements found open when the lead was taken, until they are decided anew."""
    receiver: Receiver | None = None
    """The shop's own code, where that settles; None: settling is by update."""
    confirm_within: timedelta = timedelta(seconds=30)
    """How long the row may take to show what the shop's own code says that it did."""
    deliveries: Deliveries = field(default_factory=Deliveries)
    """What is being told to the shop's own code now."""
    paid_by_shop: Counter[ChannelName] = field(default_factory=Counter)
    """Orders that the shop itself was seen to have moved while they were watched; it only ever grows."""
    unfinished: dict[OrderKey, Unfinished] = field(default_factory=dict)
    """What it was told of in vain, until it is decided anew."""
    limits: Limits = field(default_factory=Limits)
    brake: Brake = field(init=False)
    block: Block = field(init=False)

    def __post_init__(self) -> None:
        self.brake = Brake(self.ledger, self.clock, self.events, self.limits)
        self.block = Block(self.shop, self.clock, self.events)

    @property
    def writes(self) -> bool:
        """Whether it is we who write to the shop's table: in mode enforce, and not by the shop's own code."""
        return self.enforcing and self.receiver is None

    def begun_for(self, key: OrderKey) -> OpenIntention | None:
        """Give the settlement of this order that was begun, has no outcome, and is in nobody's hands."""
        unfinished = self.unfinished.get(key)
        return self.recovering.get(key) or (unfinished.as_open() if unfinished else None)

    def concluded(self, keys: Iterable[OrderKey]) -> None:
        """Forget the settlements of these orders: they have an outcome now, or are in hand again."""
        for key in keys:
            self.recovering.pop(key, None)
            self.unfinished.pop(key, None)
