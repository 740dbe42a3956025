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
    "order.row_busy",
    Severity.WARNING,
    meaning=(
        "Another session keeps the order's row locked, or won a deadlock over it: nothing was written. It is tried "
        "again with back-off, said once; a row that stays locked for some ten minutes is case `settle_refused`."
    ),
    advice=(
        "Nothing at first: the shop's own callback may be at work. If it stays, find the transaction that was left "
        "open (MariaDB: information_schema.INNODB_TRX; PostgreSQL: pg_stat_activity)."
    ),
)
class OrderRowBusy(Event):
    """Later."""

    order_no: str
    channel: str
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
    "order.closed_at_gateway",
    Severity.NOTICE,
    meaning="Unpaid at its last age, the attempt was closed at the gateway, which is asked once more to make sure.",
    advice="Nothing. Nobody can pay it any more; a payment that was under way is found by the ask that follows.",
)
class OrderClosedAtGateway(Event):
    """No longer payable."""

    order_no: str
    channel: str
    out_trade_no: str
    why: str


@event(
    "order.not_closed_at_gateway",
    Severity.NOTICE,
    meaning="Unpaid at its last age, and the gateway refused to close it: a payment may be under way, or closing is not"
    " allowed to us. It is asked about for three more days.",
    advice="Nothing for one order. Where it is said of each: ask the gateway for the permission to close trades, or set"
    " settle.close_at_gateway = false.",
)
class OrderNotClosedAtGateway(Event):
    """Still payable."""

    order_no: str
    channel: str
    out_trade_no: str
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
    "case.more",
    Severity.WARNING,
    meaning=(
        "Many cases of one kind were opened, or handled, at once: the first twenty within a minute have a line each "
        "(the line named in `line`), the others are counted here. The ledger has every one of them."
    ),
    advice="`see` lists them. Many of a kind have one cause: look at a few, mend that, and handle the rest by --kind.",
)
class CaseMore(Event):
    """The others."""

    line: str
    """`case.opened`, or what was done with them."""
    kind: str
    cases: int
    """Beside those that have a line."""
    within: timedelta
    see: str


@event(
    "case.approved",
    Severity.NOTICE,
    meaning="A person waved this question through. The gateway is asked again, and it is decided anew.",
    advice="Nothing. What became of it is the next line; `reconciler cases show ID` has the story.",
)
class CaseApproved(Event):
    """A person's yes."""

    case_id: int
    kind: str
    order_no: str
    by: str


@event(
    "case.resolved",
    Severity.NOTICE,
    meaning="A person ended the case, with a note in the ledger. The same facts stay silent from now on.",
    advice="Nothing. `reconciler cases reopen ID` takes it back.",
)
class CaseResolved(Event):
    """A person's word."""

    case_id: int
    kind: str
    order_no: str
    final: bool
    by: str


@event(
    "case.reopened",
    Severity.NOTICE,
    meaning="A person opened the case again: it was resolved, or put off. Its order is asked about again.",
    advice="Nothing.",
)
class CaseReopened(Event):
    """A question once more."""

    case_id: int
    kind: str
    order_no: str
    by: str


@event(
    "case.snoozed",
    Severity.NOTICE,
    meaning="A person put the case off. It stays open; nobody is reminded of it before `until`.",
    advice="Nothing.",
)
class CaseSnoozed(Event):
    """Later."""

    case_id: int
    kind: str
    order_no: str
    until: datetime
    by: str


@event(
    "case.ended",
    Severity.NOTICE,
    meaning="The question answered itself: the order was settled in full agreement, or was stalled and moved on.",
    advice="Nothing.",
)
class CaseEnded(Event):
    """No longer a question."""

    order_no: str
    ending: str
