"""What of an answer of the shop's own code may be shown: a few words, and nobody's name, number or address."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Final

WORDS_LENGTH_MAX: Final = 200
_TEXT_LENGTH_MAX: Final = 4096
"""Characters looked at: no answer worth reading begins after that."""
_MEMBERS: Final = ("error", "message", "msg", "detail", "title")
"""Where a JSON answer usually says what is wrong."""
_TAGS: Final = re.compile(r"<(script|style)\b.*?(?:</\1>|$)|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_PERSONAL: Final = (
    r"[^\s@<>\"']{1,64}@[^\s@<>\"']{1,255}"  # an address
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"  # an IP address
    r"|\+?\d[\d -]{5,}\d"  # a number of seven digits or more, spaced or not: telephone, identity card, bank card
    r"|(?=[A-Za-z+/_=-]*\d)[A-Za-z0-9+/_=-]{20,}"  # an openid, a token, a secret
)
_LEFT_OUT: Final = "[…]"
_OURS_LENGTH_MIN: Final = 4
"""What we sent and is shorter could be a piece of anything."""


def words_of(body: bytes, ours: Collection[str]) -> str:
    """Give what it says as one printable line; empty where it says nothing.

    Whatever looks like somebody's address, number or token is left out, save the `ours`: what we sent ourselves. A name
    cannot be told from other words.
    """
    text = _said(body[:_TEXT_LENGTH_MAX].decode("utf-8", "replace"))
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = _left_out(ours).sub(lambda found: found["ours"] or _LEFT_OUT, line)
    return line if len(line) <= WORDS_LENGTH_MAX else f"{line[: WORDS_LENGTH_MAX - 1]}…"


def _left_out(ours: Collection[str]) -> re.Pattern[str]:
    kept = "|".join(re.escape(each) for each in sorted(ours, key=len, reverse=True) if len(each) >= _OURS_LENGTH_MIN)
    return re.compile(rf"(?P<ours>(?<![A-Za-z0-9])(?:{kept or '(?!)'})(?![A-Za-z0-9]))|{_PERSONAL}")


def _said(text: str) -> str:
    """Give the words of an answer in JSON or HTML, or the text as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _TAGS.sub(" ", text)
    if isinstance(value, dict):
        value = next((value[name] for name in _MEMBERS if isinstance(value.get(name), str)), "")
    return value if isinstance(value, str) else ""
