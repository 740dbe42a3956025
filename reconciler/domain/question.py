"""What is decided about: an attempt, the shop's row, what the ledger knows, the rules and the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.domain.answer import Trade
from reconciler.domain.case import Fact
from reconciler.domain.confirm import Subject
from reconciler.domain.history import History
from reconciler.domain.order import Order
from reconciler.domain.policy import Policy


@dataclass(frozen=True, slots=True)
class Question:
    """Everything but the answer."""

    subject: Subject
    history: History
    policy: Policy
    now: datetime
    asked_at: datetime

    @property
    def age(self) -> timedelta:
        """How old the attempt is."""
        return self.now - self.subject.attempt.created_at

    @property
    def is_past_last_age(self) -> bool:
        """Whether it is asked about no more, if nothing speaks for it."""
        return self.age >= self.policy.ages[-1]


def amount_of(trade: Trade, order: Order) -> Fact:
    """Hold what was paid against what the order costs."""
    theirs = str(trade.amount) if trade.amount else "missing"
    return Fact("amount", theirs, str(order.amount), agrees=trade.amount == order.amount)
