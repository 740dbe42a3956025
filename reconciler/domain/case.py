"""Cases: questions for a person."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum

AttemptNumber = tuple[str, str]
"""Channel and out_trade_no."""


class CaseKind(Enum):
    """Why a person is needed. One open case at most per order and kind."""

    AMOUNT_MISMATCH = "amount_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    MERCHANT_MISMATCH = "merchant_mismatch"
    TIME_MISMATCH = "time_mismatch"
    LATE_PAYMENT = "late_payment"
    DUPLICATE_PAYMENT = "duplicate_payment"
    REFUNDED_WHILE_PENDING = "refunded_while_pending"
    REFUND_UNCLEAR = "refund_unclear"
    PAID_AFTER_REFUND = "paid_after_refund"
    PAID_WITHOUT_PAYMENT = "paid_without_payment"
    ORDER_VANISHED = "order_vanished"
    AMBIGUOUS_NUMBER = "ambiguous_number"
    NEEDS_REVIEW = "needs_review"
    SETTLE_REFUSED = "settle_refused"
    UNTRUSTED_ANSWER = "untrusted_answer"
    UNRECOGNISED_STATE = "unrecognised_state"
    UNASKABLE = "unaskable"
    UNREADABLE_ORDER = "unreadable_order"
    STALLED = "stalled"
    UNANSWERED = "unanswered"


APPROVABLE = frozenset({CaseKind.NEEDS_REVIEW, CaseKind.LATE_PAYMENT, CaseKind.SETTLE_REFUSED})
"""The kinds that a person may wave through: asked again, decided again, only that reason waived."""


MISMATCHES = frozenset(
    {CaseKind.AMOUNT_MISMATCH, CaseKind.CURRENCY_MISMATCH, CaseKind.MERCHANT_MISMATCH, CaseKind.TIME_MISMATCH}
)
"""The kinds that say of a payment that it does not agree with its order."""
APART = frozenset({CaseKind.STALLED})
"""The kinds that no payment answers: they are about what the shop does with an order, and end by themselves alone."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact from both sides."""

    name: str
    theirs: str
    ours: str
    agrees: bool = False
    """Times agree within a tolerance, and so are not compared as text."""

    def __str__(self) -> str:
        return f"{self.name}: theirs {self.theirs} {'=' if self.agrees else '≠'} ours {self.ours}"


def digest_of(kind: CaseKind, facts: tuple[Fact, ...], about: AttemptNumber | None = None) -> str:
    """SHA-256 of a case's kind, its facts and the attempt that they are about: the same question has the same digest.

    What a person says of one attempt's payment is said of no other's, though the facts may read alike.
    """
    material = [kind.value, *([fact.name, fact.theirs, fact.ours] for fact in facts), *([list(about)] if about else ())]
    return hashlib.sha256(json.dumps(material, ensure_ascii=False).encode()).hexdigest()
