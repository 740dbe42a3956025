"""The facts that must agree before an order is moved, each from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from reconciler.domain.answer import Trade
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, Order
from reconciler.domain.policy import Policy

MISSING = "missing"


def compare(attempt: Attempt, orders: Sequence[Order], trade: Trade, policy: Policy, now: datetime) -> tuple[Fact, ...]:
    """Lay out every fact, theirs and ours; a missing one does not agree.

    `orders` is the order, or the declared group that shares the payment: their amounts must add up to the trade's.
    """
    return (
        _same("out_trade_no", trade.out_trade_no, attempt.out_trade_no),
        Fact("transaction_id", trade.transaction_id or MISSING, _recorded(orders), agrees=bool(trade.transaction_id)),
        *_merchant(attempt, trade, policy),
        _amount(trade.amount, _due(attempt, orders)),
        _same("currency", trade.amount.currency if trade.amount else None, _currency(attempt, orders)),
        _paid_at(orders, trade, policy, now),
    )


def kind_of(disagreements: Sequence[Fact]) -> CaseKind:
    """Name the case after the first fact that does not agree, in the order of `compare`."""
    name = disagreements[0].name
    if name.startswith("merchant"):
        return CaseKind.MERCHANT_MISMATCH
    return {
        "currency": CaseKind.CURRENCY_MISMATCH,
        "amount": CaseKind.AMOUNT_MISMATCH,
        "paid_at": CaseKind.TIME_MISMATCH,
    }.get(name, CaseKind.UNTRUSTED_ANSWER)


def _same(name: str, theirs: str | None, ours: str | None) -> Fact:
    """Compare two texts; one that is missing agrees with nothing, not even with one that reads `missing`."""
    return Fact(name, theirs or MISSING, ours or MISSING, agrees=bool(theirs) and theirs == ours)


def _amount(theirs: Money | None, ours: Money) -> Fact:
    agrees = theirs is not None and theirs.fen == ours.fen  # the currency is a fact of its own
    return Fact("amount", str(theirs) if theirs else MISSING, str(ours), agrees=agrees)


def _currency(attempt: Attempt, orders: Sequence[Order]) -> str:
    """Name the currency to be paid in; several are named together, and so agree with none."""
    own = {attempt.amount.currency} if attempt.amount is not None else set()
    return "+".join(sorted(own | {order.amount.currency for order in orders}))


def _recorded(orders: Sequence[Order]) -> str:
    return ", ".join(order.transaction_id for order in orders if order.transaction_id) or "none yet"


def _due(attempt: Attempt, orders: Sequence[Order]) -> Money:
    """Say what had to be paid: the attempt's own amount where the shop keeps one, else the orders' together."""
    if attempt.amount is not None and len(orders) == 1:
        return attempt.amount
    return Money(sum(order.amount.fen for order in orders), orders[0].amount.currency)


def _merchant(attempt: Attempt, trade: Trade, policy: Policy) -> tuple[Fact, ...]:
    theirs = dict(trade.merchant)
    ours = dict(policy.merchants.get(attempt.channel, ()))
    return tuple(_same(f"merchant {name}", theirs.get(name), ours.get(name)) for name in sorted({*theirs, *ours}))


def _paid_at(orders: Sequence[Order], trade: Trade, policy: Policy, now: datetime) -> Fact:
    created_at = max(order.created_at for order in orders)
    ours = f"created {created_at.isoformat()}"
    if trade.paid_at is None:
        return Fact("paid_at", MISSING, ours)
    theirs = trade.paid_at.astimezone(created_at.tzinfo).isoformat()  # one offset on both sides: people compare them
    if trade.paid_at > now + policy.clock_tolerance:
        return Fact("paid_at", f"{theirs}, in the future", ours)
    return Fact("paid_at", theirs, ours, agrees=trade.paid_at >= created_at - policy.clock_tolerance)
