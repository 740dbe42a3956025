"""From the members of a verified query answer to a trade and its state (gateways.md 2.5)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from reconciler.domain.answer import Answer, Closed, Merchant, Paid, Refunded, Trade, Unpaid, Unrecognised
from reconciler.domain.money import AmountError, Money
from reconciler.gateways.asking import identifier, words
from reconciler.gateways.strict_json import Json, object_of, text_of

YEARS: Final = range(2000, 2101)

_ABOUT_OTHERS = ("sp_appid", "sp_mchid", "sub_appid", "sub_mchid")
NO_CURRENCY = "XXX"
"""ISO 4217's own code for none: an amount without a readable currency agrees with no shop's."""
_CURRENCY = re.compile(r"[A-Z]{3}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def answer_of(out_trade_no: str, members: Json, due: Merchant) -> Answer:
    """Say what a verified 200 means. `due` is whom the trade should have paid."""
    trade = Trade(
        out_trade_no=out_trade_no,
        transaction_id=identifier(text_of(members, "transaction_id")),
        amount=_amount(object_of(members, "amount")),
        paid_at=_time(text_of(members, "success_time")),
        merchant=_merchant(members, due),
    )
    match text_of(members, "trade_state"):
        case "SUCCESS":
            return Paid(trade)
        case "REFUND":
            return Refunded(trade, in_full=None)
        case "NOTPAY" | "USERPAYING":
            return Unpaid(trade)
        case "CLOSED" | "REVOKED" | "PAYERROR":
            return Closed(trade)
        case None:
            return Unrecognised("no trade_state")
        case state:
            return Unrecognised(words(state))


def _amount(amount: Json) -> Money | None:
    """Read amount.total, whole fen; payer_total is less where a coupon was used."""
    total, currency = amount.get("total"), amount.get("currency")
    if isinstance(total, bool) or not isinstance(total, int):
        return None
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        currency = NO_CURRENCY
    try:
        return Money(total, currency)
    except AmountError:
        return None


def _merchant(members: Json, due: Merchant) -> Merchant:
    names = [name for name, _ in due]
    facts = [(name, identifier(text_of(members, name))) for name in names]
    if "sub_mchid" not in names:
        # Named at all, they say that somebody else was paid, or by somebody else's leave: never left out for being odd.
        # Behind a service provider, who was paid is due already: what nobody configured (sub_appid) adds nothing.
        named = [name for name in _ABOUT_OTHERS if members.get(name)]
        facts += [(name, identifier(text_of(members, name)) or "unreadable") for name in named]
    return tuple(sorted((name, value) for name, value in facts if value is not None))


def _time(text: str | None) -> datetime | None:
    if text is None or not _TIME.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.year in YEARS else None
