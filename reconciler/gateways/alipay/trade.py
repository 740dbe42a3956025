"""From the members of a verified `alipay.trade.query` answer to a trade and its state (gateways.md 1.4, 1.5)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from reconciler.domain.answer import Answer, Closed, Paid, Refunded, Trade, Unpaid, Unrecognised
from reconciler.domain.money import AmountError, Money
from reconciler.gateways.asking import identifier, printable
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
        amount=_amount(members),
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
            return Unrecognised(printable(status))


def _amount(members: Json) -> Money | None:
    """Read total_amount, the only amount to reconcile by; a number instead of text is not trusted to be exact."""
    yuan = text_of(members, "total_amount")
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
