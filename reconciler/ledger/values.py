"""What goes into a column and what comes out: times, JSON, text for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from reconciler.domain.money import Money

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHUNK = 500
"""Values in one IN list: every database takes so many."""
TEXT_LENGTH_MAX = 1000
"""Characters of a `why` or a `reason` that are kept: a gateway's words may be part of it."""

_T = TypeVar("_T")


def to_us(at: datetime) -> int:
    """Give a time as whole microseconds since 1970 UTC. Raises ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no offset")
    return (at - EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """Read a time that `to_us` wrote; it comes back in UTC."""
    return EPOCH + timedelta(microseconds=us)


def to_us_or_none(at: datetime | None) -> int | None:
    """Do as `to_us`, None staying None."""
    return None if at is None else to_us(at)


def from_us_or_none(us: int | None) -> datetime | None:
    """Do as `from_us`, None staying None."""
    return None if us is None else from_us(us)


def money_or_none(fen: int | None, currency: str | None) -> Money | None:
    """Read an amount from its two columns."""
    return None if fen is None or currency is None else Money(fen, currency)


def canonical(value: object) -> str:
    """Write JSON that is the same for the same value: ASCII, keys sorted. Raises ValueError or TypeError."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False)


def clean(text: str) -> str:
    """Make text for people storable everywhere: bounded, without NUL (PostgreSQL) and lone surrogates (UTF-8)."""
    if len(text) > TEXT_LENGTH_MAX:
        text = text[: TEXT_LENGTH_MAX - 1] + "…"
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def chunks(values: Sequence[_T], size: int = CHUNK) -> Iterator[Sequence[_T]]:
    """Cut into pieces that fit one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
