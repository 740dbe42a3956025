"""What a gateway says of an order that the shop calls paid: a small closed set, and how a denial is worded."""

from __future__ import annotations

from enum import Enum
from typing import assert_never

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)
from reconciler.domain.case import Fact
from reconciler.domain.order import Order


class Word(Enum):
    """What one reply says of a payment."""

    CONFIRMS = "confirms"
    """There is, or was, a payment."""
    DENIES = "denies"
    SAYS_NOTHING = "says nothing"


def word_of(reply: Reply, *, is_own_channel: bool) -> Word:
    """Read a reply. A channel that the attempt was never handed to may refuse its number as none of its own."""
    answer = reply.answer
    match answer:
        case Paid() | Refunded():
            return Word.CONFIRMS if reply.verified else Word.SAYS_NOTHING
        case Unpaid() | Closed():
            return Word.DENIES if reply.verified else Word.SAYS_NOTHING
        case NotCreated():
            return Word.DENIES  # a refusal, which comes unsigned: that is why it is asked three times
        case Rejected():
            return Word.SAYS_NOTHING if is_own_channel else Word.DENIES
        case Unavailable() | Throttled() | Untrusted() | Misconfigured() | Unrecognised():
            return Word.SAYS_NOTHING
        case _:
            assert_never(answer)


def denial(answer: Answer, *, number: str, channel: str, order: Order) -> Fact:
    """Lay a denial beside what the shop's row says."""
    transaction = f", transaction {order.transaction_id}" if order.transaction_id else ""
    return Fact(f"{number} at {channel}", _in_words(answer), f"paid (status {order.status}){transaction}")


def _in_words(answer: Answer) -> str:
    match answer:
        case Unpaid():
            return "not paid"
        case Closed():
            # Alipay's TRADE_CLOSED: unpaid and timed out or closed, or paid and refunded in full (gateways.md 1.5).
            return "closed, with no sign of a payment (ambiguous: some gateways say so after a refund in full, too)"
        case Rejected(reason):
            return f"no number of its own: {reason or 'no reason given'}"
        case _:
            return "no such trade"
