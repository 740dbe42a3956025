"""From the members of a verified answer to a trade, its state, and its refund (gateways.md 1.4, 1.5, 1.9)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from reconciler.domain.answer import Answer, Closed, Paid, Refunded, Trade, Unpaid, Unrecognised
from reconciler.domain.money import AmountError, Money
from reconciler.gateways.asking import identifier, words
from reconciler.gateways.strict_json import Json, text_of

BEIJING: Final = timezone(timedelta(hours=8))
"""Without daylight saving since 1991: a fixed offset is enough (gateways.md 6)."""
YEARS: Final = range(2000, 2101)

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}")
_FLAGS: Final = ("additional_status", "credit_pay_mode")


def answer_of(out_trade_no: str, members: Json) -> Answer:
    """Say what a verified 10000 means."""
    trade = Trade(
        out_trade_no=out_trade_no,
        transaction_id=identifier(text_of(members, "trade_no")),
        amount=_amount(members, "total_amount"),  # the only one to reconcile by
        paid_at=_time(text_of(members, "send_pay_date")),
        flags=tuple(name for name in _FLAGS if members.get(name)),
    )
    match text_of(members, "trade_status"):
        case "TRADE_SUCCESS" | "TRADE_FINISHED":
            return Paid(trade)
        case "TRADE_CLOSED":
            # Timed out, or refunded in full: one word for both. A payment date, even an unreadable one, was a payment.
            return Refunded(trade, in_full=True) if members.get("send_pay_date") else Closed(trade)
        case "WAIT_BUYER_PAY":
            return Unpaid(trade)
        case None:
            return Unrecognised("no trade_status")
        case status:
            return Unrecognised(words(status))


def refund_of(closed: Trade, members: Json) -> Refunded | None:
    """Say what a verified 10000 to the refund query means for a closed trade; None where it shows no refund of it.

    REFUND_SUCCESS is the only success (gateways.md 1.9). The trade is closed: what went back is all of it, unless the
    answer's own amounts leave that open.
    """
    number = closed.out_trade_no
    if text_of(members, "refund_status") != "REFUND_SUCCESS" or members.get("out_request_no", number) != number:
        return None
    refunded, total = _amount(members, "refund_amount"), _amount(members, "total_amount")
    return Refunded(closed, in_full=True if refunded is not None and refunded == total else None)


def _amount(members: Json, name: str) -> Money | None:
    """Read an amount; a number instead of text is not trusted to be exact."""
    yuan = text_of(members, name)
    currency = members.get("trans_currency", "CNY")  # sent only across currencies
    if yuan is None or not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        return None
    try:
        return Money.from_yuan(yuan, currency)
    except AmountError:
        return None


def _time(text: str | None) -> datetime | None:
    if text is None or not _TIME.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text).replace(tzinfo=BEIJING)
    except ValueError:
        return None
    return time if time.year in YEARS else None
