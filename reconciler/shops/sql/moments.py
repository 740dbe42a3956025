"""The shop's times: read as instants, written as the column wants them.

Without an offset a time is the shop's own (`shop.time_zone`), except in MySQL's TIMESTAMP, which the server shows
in the session's zone. A local time that the clocks showed twice, or skipped, is read as the earlier of the two
instants it may mean: no order then seems younger than its payment.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from reconciler.shops.sql.columns import Column, Kind, is_canonical_integer, shown, text_of

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""A time outside these is a mistake (an unset zero, milliseconds taken for seconds), not a time."""

_FORMAT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})? ?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_EMPTY = ("", "0", "0000-00-00 00:00:00")


class MomentError(ValueError):
    """A value that is no time; the message says why."""


def is_empty(raw: object) -> bool:
    """Whether a shop means "not yet" by it: NULL, an empty text, zero, MySQL's zero date."""
    return raw is None or (text_of(raw) or "").partition(".")[0] in _EMPTY


def read_moment(column: Column, raw: object, zone: ZoneInfo) -> datetime:
    """Read an instant, in UTC: times of a zone with summer time neither add up nor compare. Raises MomentError."""
    moment = _instant(column, raw, zone)
    if not EARLIEST <= moment < LATEST:
        raise MomentError(f"{shown(str(raw))} is a time outside {EARLIEST.year} to {LATEST.year}")
    return moment


def write_moment(column: Column, moment: datetime, zone: ZoneInfo) -> object:
    """Give an instant, to the second, as the column holds it: unix seconds, a date-time, or text."""
    moment = moment.replace(microsecond=0)
    if column.kind in {Kind.INTEGER, Kind.NUMBER} and not _is_sqlite_date_time(column):
        return int(moment.timestamp())
    if column.has_offset:
        return moment
    local = moment.astimezone(column.zone or zone).replace(tzinfo=None)
    if column.is_loose or column.kind is not Kind.MOMENT:
        return local.isoformat(" ")
    return local


def _is_sqlite_date_time(column: Column) -> bool:
    # reflected as a number where SQLite has no such name: "DATETIME2", "SMALLDATETIME"
    return column.is_loose and column.kind is Kind.NUMBER


def _instant(column: Column, raw: object, zone: ZoneInfo) -> datetime:
    if isinstance(raw, bool) or raw is None:
        raise MomentError(f"{'NULL' if raw is None else shown(str(raw))} where a time is due")
    if isinstance(raw, datetime):
        return _placed(raw, column.zone or zone)
    text = text_of(raw) or ""
    if column.kind is not Kind.TEXT and is_canonical_integer(text):
        return _from_unix(int(text))
    return _parsed(text, zone)


def _from_unix(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise MomentError(f"{seconds} is no time in unix seconds") from error


def _parsed(text: str, zone: ZoneInfo) -> datetime:
    match = _FORMAT.fullmatch(text)
    if match is None:
        raise MomentError(f"{shown(text)} is not a date-time (YYYY-MM-DD HH:MM:SS)")
    date, time, fraction, offset = match.groups()
    try:
        naive = datetime.fromisoformat(f"{date} {time}{(fraction or '.0')[:7].ljust(7, '0')}")
        return _placed(naive.replace(tzinfo=_offset(offset)) if offset else naive, zone)
    except ValueError as error:
        raise MomentError(f"{shown(text)} is not a date-time that exists") from error


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    size = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-size if text[0] == "-" else size)


def _placed(moment: datetime, zone: tzinfo) -> datetime:
    try:
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        return min(moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError as error:
        raise MomentError(f"{shown(str(moment))} is out of range") from error
