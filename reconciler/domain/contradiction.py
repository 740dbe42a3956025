"""What a gateway says now against what it said, for sure, of the same trade before.

A signature does not tell how old an answer is: it may be a replay, or come from a copy of the gateway's that lags
behind. So from an answer that contradicts an earlier one nothing follows but that a person must look at it.
"""

from __future__ import annotations

from typing import assert_never

from reconciler.domain.answer import Closed, NotCreated, Paid, Refunded, Trade, Unpaid, Usable, name_of
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.decision import AskAgain, AskAt, OpenCase, Pace, Stop
from reconciler.domain.order import Order, OrderState
from reconciler.domain.question import Question, amount_of
from reconciler.domain.schedule import RETRY_MAX

_ONCE_PAID = frozenset({Paid.__name__, Refunded.__name__})


def closed_after_paid(question: Question, order: Order) -> OpenCase | None:
    """Take a close after a payment for what it is: Alipay calls a refunded trade closed, too (gateways.md 1.5)."""
    if question.history.last_verified not in _ONCE_PAID:
        return None
    kind = CaseKind.REFUNDED_WHILE_PENDING if order.state is OrderState.PENDING else CaseKind.REFUND_UNCLEAR
    fact = Fact("state", "closed, and paid when asked before", order.state.value)
    return OpenCase(kind, "paid when asked before, and closed at the gateway now: refunded, it seems", (fact,))


def paid_after_refunded(question: Question, order: Order, trade: Trade) -> OpenCase | None:
    """Take a payment for what it is where the same trade was refunded when asked before: an old answer.

    It may be a replay, or a gateway's copy that lags behind. No trade goes from refunded back to paid.
    """
    if question.history.last_verified != Refunded.__name__:
        return None
    kind = CaseKind.REFUNDED_WHILE_PENDING if order.state is OrderState.PENDING else CaseKind.REFUND_UNCLEAR
    why = "refunded when asked before, and paid by an answer of now: that one is old, it seems"
    return OpenCase(kind, why, (amount_of(trade, order),))


def known_to_a_person(question: Question, answer: Usable) -> AskAgain | Stop | None:
    """Ask a person nothing beside what he is asked about a payment, nor what he has done about it himself."""
    match answer:
        case Unpaid() | NotCreated():
            return _denied_while_asked(question, answer)
        case Refunded() | Closed():
            return _given_back_when_resolved(question, answer)
        case Paid():
            return None
        case _:
            assert_never(answer)


def _denied_while_asked(question: Question, answer: Unpaid | NotCreated) -> AskAgain | None:
    """Ask on where a person has a question about a payment that is taken back now: it stays that one, and its watch."""
    history, row = question.history, question.subject.row
    if history.last_verified != Paid.__name__ or not history.open_cases:
        return None
    if isinstance(row, Order) and row.state is OrderState.REFUNDED:
        return None
    return AskAgain(_taken_back(answer), Pace.PROBE)


def _given_back_when_resolved(question: Question, answer: Refunded | Closed) -> Stop | None:
    """Ask nothing new of who has dealt with an order whose money was given back since, all of it, for sure."""
    history = question.history
    if not history.resolved or history.open_cases or not question.is_past_last_age:
        return None
    is_whole = answer.in_full is True if isinstance(answer, Refunded) else history.last_verified in _ONCE_PAID
    return Stop("paid and refunded at the gateway; a person has looked at it") if is_whole else None


def _taken_back(answer: Unpaid | NotCreated) -> str:
    return f"paid when asked before, and {name_of(answer)} now: that answer is old, or the payment was taken back"


def unpaid_after_paid(question: Question, order: Order, answer: Unpaid | NotCreated) -> AskAt | OpenCase | None:
    """Take "not paid" for what it is where the same trade was paid when asked before: an old answer, or a lie.

    A payment whose order has not been moved yet (its callback is waited for, settling is stopped, the shop's code does
    not answer) is asked about again soon, and past its last age somebody is told: it is never given up for that.
    """
    if question.history.last_verified != Paid.__name__:
        return None
    why = _taken_back(answer)
    if not question.is_past_last_age:
        return AskAt(question.now + RETRY_MAX, why)
    fact = Fact("state", "not paid, and paid when asked before", order.state.value)
    return OpenCase(CaseKind.NEEDS_REVIEW, why, (fact,))
