"""A second payment among what the audit has heard of one order: the buyer's money, which nobody has asked back yet.

Only verified payments prove it, two of them, with different transactions. What the shop's transaction column holds is
no proof by itself: it tells which of them is the shop's, where it names one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from reconciler.domain.answer import Paid, Reply, Trade
from reconciler.domain.case import CaseKind
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import decide
from reconciler.domain.decision import OpenCase
from reconciler.domain.history import History, KnownAttempt
from reconciler.domain.order import Attempt, Order
from reconciler.domain.policy import Policy
from reconciler.ports import CaseReport

Payment = tuple[Attempt, Reply]
"""An attempt, and a verified answer that calls it paid."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def second_payment(order: Order, payments: Sequence[Payment], policy: Policy, now: datetime) -> CaseReport | None:
    """Give the case of an order that was paid more than once; None where it was not, or that is not for sure."""
    trades = [(attempt, reply, reply.answer.trade) for attempt, reply in payments if isinstance(reply.answer, Paid)]
    known = {trade.transaction_id for _, _, trade in trades if trade.transaction_id}
    if len(known) < 2:  # noqa: PLR2004 # one payment is what there should be
        return None
    recorded = order.transaction_id if order.transaction_id in known else None
    first = recorded or min((trade for _, _, trade in trades if trade.transaction_id), key=_paid_at).transaction_id
    row = replace(order, transaction_id=recorded)
    others = tuple(
        KnownAttempt(attempt.channel, attempt.out_trade_no, Paid.__name__, trade.transaction_id)
        for attempt, _, trade in trades
        if trade.transaction_id == first
    )
    asked: list[tuple[Attempt, Reply, OpenCase]] = []
    for attempt, reply, trade in sorted(trades, key=lambda each: _paid_at(each[2])):
        if trade.transaction_id == first:
            continue
        decision = decide(Subject(attempt, row, (row,)), reply, History(others=others, was_paid=True), policy, now)
        if isinstance(decision, OpenCase) and decision.kind is CaseKind.DUPLICATE_PAYMENT:
            asked.append((attempt, reply, decision))
    if not asked:
        return None
    attempt, reply, decision = asked[0]
    return CaseReport(
        kind=CaseKind.DUPLICATE_PAYMENT,
        order_key=order.key,
        order_no=order.order_no,
        channel=attempt.channel,
        out_trade_no=attempt.out_trade_no,
        why=decision.why,
        facts=tuple(dict.fromkeys(fact for _, _, each in asked for fact in each.facts)),
        evidence=reply.evidence,
        key=reply.key,
    )


def _paid_at(trade: Trade) -> datetime:
    return trade.paid_at or LONG_AGO
