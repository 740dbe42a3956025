"""What every part of the flow works with."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.domain.order import OrderKey
from reconciler.domain.policy import Policy
from reconciler.ports import Clock, Events, Ledger, OpenIntention, Shop


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
    cases_opened: int = 0
    unanswered: int = 0
    """Asks that came to nothing: could not ask, could not trust."""
    not_applied: int = 0
    """Settlements that the shop did not take, and turns that failed."""


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
