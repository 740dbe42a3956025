"""The columns that say who was told of a case, at each turn of its life; `telling` reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reconciler.ledger.values import to_us
from reconciler.ports import REMINDED_EVERY


def opened(number: int) -> dict[str, Any]:
    """Give the values of a case that the entry of this number opened, or opened again: nobody knows yet."""
    return {"untold": number, "end_untold": None, "told_at": None, "remind_at": None}


def ended(told_at: int | None, number: int) -> dict[str, Any]:
    """Give the values of a case that the entry of this number ended: of interest to whoever was told of it."""
    return {"untold": None, "end_untold": None if told_at is None else number, "remind_at": None}


def put_off(told_at: int | None, until: int) -> dict[str, Any]:
    """Give the values of a case that nobody is to be reminded of before then."""
    return {} if told_at is None else {"remind_at": until}


def woken(told_at: int | None, remind_at: int | None, now: datetime) -> dict[str, Any]:
    """Give the values of a case that is put off no more: reminded of within a day, as any other."""
    if told_at is None or remind_at is None:
        return {}
    return {"remind_at": min(remind_at, to_us(now + REMINDED_EVERY))}
