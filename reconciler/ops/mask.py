"""What never reaches the log: secrets known at start, and personal data by its field's name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from reconciler.ops.value import Plain

STARS = "***"
SECRET_LENGTH_MIN = 4
"""What is shorter occurs in innocent text everywhere; masking it would only give it away."""
SECRET_LINE_LENGTH_MIN = 16

PERSONAL = frozenset(
    {
        "openid",
        "sub_openid",
        "open_id",
        "buyer_open_id",
        "buyer_logon_id",
        "buyer_user_id",
        "buyer_user_name",
        "buyer_id",
    }
)
"""The gateways' names for the person who paid (gateways.md 1.4 and 2.5)."""

_PERSONAL_IN_TEXT = re.compile(
    rf"(?P<name>\b(?:{'|'.join(sorted(PERSONAL))})\b"
    r"""\\?["']?\s*[:=]\s*)(?P<quote>\\?["']?)(?P<value>[^\s"'\\,;&}]+)""",
    re.IGNORECASE,
)
_PASSWORD_IN_URL = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE)


class Mask:
    """Puts stars where a secret or a person's name would stand."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def never_print(self, values: Iterable[str | bytes]) -> None:
        """Mask these from now on: whole, line by line (a PEM key), and as they look inside a URL."""
        for value in values:
            text = value.decode(errors="replace") if isinstance(value, bytes) else value
            self._secrets.update(_faces(text.strip()))
        longest_first = sorted(self._secrets, key=lambda secret: (-len(secret), secret))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def field(self, name: str, value: Plain) -> Plain:
        """Give the field's value as it may be printed."""
        if name.lower() in PERSONAL:
            return STARS
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.field(name, item) for item in value]
            case _:
                return value

    def text(self, text: str) -> str:
        """Give a text as it may be printed."""
        if self._pattern is not None:
            text = self._pattern.sub(STARS, text)
        text = _PASSWORD_IN_URL.sub(rf"\g<before>{STARS}", text)
        return _PERSONAL_IN_TEXT.sub(rf"\g<name>\g<quote>{STARS}", text)


def _faces(secret: str) -> set[str]:
    lines = {line.strip() for line in secret.splitlines()}
    long_lines = {line for line in lines if len(line) >= SECRET_LINE_LENGTH_MIN and not line.startswith("-----")}
    faces = {secret, quote(secret, safe=""), quote_plus(secret)} | long_lines
    return {face for face in faces if len(face) >= SECRET_LENGTH_MIN}
