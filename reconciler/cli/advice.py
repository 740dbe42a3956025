"""What a person does about a case of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.domain.case import CaseKind

ADVICE: Final[Mapping[CaseKind, str]] = {
    CaseKind.AMOUNT_MISMATCH: "Compare the order's price with what was paid. Refund, or correct the order by hand.",
    CaseKind.CURRENCY_MISMATCH: "Compare the currencies. Refund, or settle the order by hand in the shop.",
    CaseKind.MERCHANT_MISMATCH: "The payment went to another merchant: check mchid, appid and shop_values.",
    CaseKind.TIME_MISMATCH: "Paid before the order existed, or in the future: check clocks and shop.time_zone.",
    CaseKind.LATE_PAYMENT: "The shop closed the order, then it was paid. Approve it, deliver by hand, or refund.",
    CaseKind.DUPLICATE_PAYMENT: "The buyer paid twice. Refund one of the payments at the gateway.",
    CaseKind.REFUNDED_WHILE_PENDING: "Paid and refunded at the gateway. Close the order in the shop.",
    CaseKind.REFUND_UNCLEAR: "Look in the merchant's console how much was refunded, then close or deliver by hand.",
    CaseKind.PAID_AFTER_REFUND: "Refunded in the shop, then paid again. Refund the second payment.",
    CaseKind.PAID_WITHOUT_PAYMENT: "The shop calls it paid and no gateway knows of it. Find out who marked it.",
    CaseKind.ORDER_VANISHED: "Paid, and its row is gone. Restore the order, or refund.",
    CaseKind.AMBIGUOUS_NUMBER: "Decide which order was paid. Where they belong together, set shared_payment.",
    CaseKind.NEEDS_REVIEW: (
        "Look at the fact marked ≠. If that is in order, and nobody has delivered by hand, approve it: that settles it."
    ),
    CaseKind.SETTLE_REFUSED: "The shop did not take it. Look at the row; if it is due as it stands, approve it.",
    CaseKind.UNTRUSTED_ANSWER: "The gateway's signature does not verify. Check the configured key, and the endpoint.",
    CaseKind.UNRECOGNISED_STATE: "The state is new to this version. Look in the merchant's console.",
    CaseKind.UNASKABLE: "The gateway refuses this number. Look at it in the shop: length, characters.",
    CaseKind.UNREADABLE_ORDER: "Correct the row that the line names; it is looked at again at the next full walk.",
    CaseKind.STALLED: "It has not moved on in the shop: look at stock, queues and workers. It ends by itself.",
    CaseKind.UNANSWERED: "The gateway gave no usable answer up to the last age. Asking goes on; look at the channel.",
}
