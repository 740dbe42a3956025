"""Field values as text: what every format of the log writes in the same way."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from enum import Enum
from itertools import islice

Plain = str | int | float | bool | list["Plain"]
"""What is left of a value: text, numbers, and lists of them."""

TEXT_LENGTH_MAX = 2000
RAW_LENGTH_MAX = 100_000
"""What is longer is not even looked at."""
ITEMS_MAX = 50
DEPTH_MAX = 3

_MONEY = re.compile(r"[A-Z]{3} \d+\.\d{2}")
_SPECIAL = re.compile(r'[\s"=\\]|^$')
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SECONDS_WITH_FRACTION = 10
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def plain(value: object, depth: int = 0) -> Plain:
    """Reduce any value to text, numbers and lists. Times are in the machine's zone."""
    match value:
        case Enum():
            return plain(value.value, depth)
        case bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            return moment(value)
        case timedelta():
            return duration(value)
        case bytes():
            return value[:RAW_LENGTH_MAX].decode(errors="replace")
        case list() | tuple() | set() | frozenset() if depth < DEPTH_MAX:
            return [plain(item, depth + 1) for item in islice(value, ITEMS_MAX)]
        case _:
            return str(value)[:RAW_LENGTH_MAX]


def bounded(value: Plain, length_max: int = TEXT_LENGTH_MAX) -> Plain:
    """Shorten every text in a value. Masking comes before it: half a secret is one nobody would find."""
    match value:
        case str():
            return shortened(value, length_max)
        case list():
            return [bounded(item, length_max) for item in value]
        case _:
            return value


def moment(at: datetime, *, timespec: str = "seconds") -> str:
    """Write a time as ISO 8601 with the machine's offset, so that every time on a line compares by eye."""
    return at.astimezone().isoformat(timespec=timespec)


def duration(length: timedelta) -> str:
    """Write a duration in its two largest units: `4m12s`, `3d4h`, `3.2s`, `350ms`."""
    sign = "-" if length < timedelta(0) else ""
    length = abs(length)
    ms = round(length / timedelta(milliseconds=1))
    if ms < 1000:  # noqa: PLR2004 # a second
        return f"{sign}{ms}ms" if ms else "0s"
    if ms < _SECONDS_WITH_FRACTION * 1000:
        return f"{sign}{ms / 1000:.1f}".removesuffix(".0") + "s"
    left = ms // 1000
    parts = []
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        parts.append((count, unit))
    first = next(position for position, (count, _) in enumerate(parts) if count)
    return sign + "".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count)


def shortened(text: str, length_max: int) -> str:
    """Cut what is longer, and say by how much."""
    if len(text) <= length_max:
        return text
    return f"{text[:length_max]}… ({len(text) - length_max} more)"


def text_of(value: Plain) -> str:
    """Write a plain value as one text, without quotes."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(text_of(item) for item in value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def quoted(text: str) -> str:
    """Make one word of a text, so that nothing in it can pass for another field or another line.

    Amounts stay as they are (`CNY 99.00`); whatever else holds a blank, a quote, `=` or a backslash is quoted.
    """
    if _MONEY.fullmatch(text) or not _SPECIAL.search(text):
        return visible(text)
    return '"' + visible(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def visible(text: str) -> str:
    """Write what does not print as escapes: control characters, line separators, marks that turn the reading."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if short := _SHORT_ESCAPES.get(character):
        return short
    if code <= 0xFF:  # noqa: PLR2004 # two hex digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 # four hex digits
