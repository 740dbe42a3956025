"""Events of orders: settled, closed, and the cases that need a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.domain.money import Money
from reconciler.events.event import Event, Severity, event


@event(
    "order.settled",
    Severity.NOTICE,
    meaning="A stuck order was moved forward: its payment is proven and every fact agrees.",
    advice="Nothing. `stuck_for` counts from the payment.",
)
class OrderSettled(Event):
    """What we are for."""

    order_no: str
    channel: str
    amount: Money
    transaction_id: str
    paid_at: datetime
    stuck_for: timedelta
    by: str


@event(
    "order.would_settle",
    Severity.NOTICE,
    meaning="In mode observe: this order would have been moved forward now.",
    advice="Compare with the shop. When a day of these is right, switch to enforce.",
)
class OrderWouldSettle(Event):
    """What we would do."""

    order_no: str
    channel: str
    amount: Money
    transaction_id: str
    paid_at: datetime
    stuck_for: timedelta


@event(
    "order.callback_won",
    Severity.NOTICE,
    meaning="The shop's own callback moved the order while we were about to. It was moved once, by the shop.",
    advice="Nothing.",
)
class OrderCallbackWon(Event):
    """The race, lost gladly."""

    order_no: str
    channel: str
    transaction_id: str
    why: str


@event(
    "order.closed",
    Severity.NOTICE,
    meaning="The gateway has closed the order unpaid, and it was marked closed in the shop.",
    advice="Nothing.",
)
class OrderClosed(Event):
    """Closed unpaid."""

    order_no: str
    channel: str
    why: str


@event(
    "order.would_close",
    Severity.INFO,
    meaning="In mode observe: this order would have been marked closed now.",
    advice="Nothing.",
)
class OrderWouldClose(Event):
    """What we would do."""

    order_no: str
    channel: str
    why: str


@event(
    "settle.recovered",
    Severity.NOTICE,
    meaning="A settlement that was begun before a stop or crash was looked at anew. It is never simply repeated.",
    advice="Nothing. `reconciler explain ORDER` has the story.",
)
class SettleRecovered(Event):
    """An open intention, and what became of it."""

    order_no: str
    channel: str
    transaction_id: str
    outcome: str


@event(
    "case.opened",
    Severity.WARNING,
    meaning="Something does not add up, and a person must decide. The order is not moved on it.",
    advice="`reconciler cases show ID` has the facts side by side, the evidence, and what to do.",
)
class CaseOpened(Event):
    """A question for a person."""

    case_id: int
    kind: str
    order_no: str
    channel: str
    why: str


@event(
    "case.ended",
    Severity.NOTICE,
    meaning="The question answered itself: the order was settled in full agreement.",
    advice="Nothing.",
)
class CaseEnded(Event):
    """No longer a question."""

    order_no: str
    ending: str
