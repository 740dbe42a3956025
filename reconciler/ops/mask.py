"""What never reaches the log: secrets known at start, and persons by the field's name or, in errors, by their shape."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from reconciler.domain.personal import PERSONAL_NAMES, without_members, without_persons
from reconciler.ops.value import Plain

STARS = "***"
SECRET_LENGTH_MIN = 4
"""What is shorter occurs in innocent text everywhere; masking it would only give it away."""
SECRET_LINE_LENGTH_MIN = 16
URL_PART_LENGTH_MIN = 6
"""Of a secret that is a URL (an alert's target): what is shorter (a port, `send`, `v2`) is in innocent texts, too."""
ENCODED_LENGTH_MIN = 8
"""The faces in hex and base64 of what is shorter could be anybody's."""
FROM_ELSEWHERE = frozenset({"what", "traceback", "message", "problem"})
"""The fields that hold other people's words: an error's, a library's. There, persons are known by their shape, too."""

_PLAIN_WORD = re.compile(r"[a-z]*(?:[-_.][a-z]+)*")
_PASSWORD_IN_URL = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE)


class Mask:
    """Puts stars where a secret or a person's name would stand."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()
        """Longest first: the shorter of two may be a part of the longer."""

    def never_print(self, values: Iterable[str | bytes]) -> None:
        """Mask these from now on: whole, line by line (a PEM key), part by part (a URL), and encoded."""
        known = set(self._secrets)
        for value in values:
            text = value.decode(errors="replace") if isinstance(value, bytes) else value
            known |= _faces(text.strip())
        self._secrets = tuple(sorted(known, key=lambda secret: (-len(secret), secret)))

    def field(self, name: str, value: Plain) -> Plain:
        """Give the field's value as it may be printed."""
        if name.lower() in PERSONAL_NAMES:
            return STARS
        match value:
            case str():
                return self.words(value) if name in FROM_ELSEWHERE else self.text(value)
            case list():
                return [self.field(name, item) for item in value]
            case _:
                return value

    def text(self, text: str) -> str:
        """Give a text as it may be printed."""
        return without_members(self._without_secrets(text), STARS)

    def words(self, text: str) -> str:
        """Give words that are not ours as they may be printed."""
        return without_persons(self._without_secrets(text), STARS)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:  # hundreds: looking for one after another is far quicker than one expression
            if secret in text:
                text = text.replace(secret, STARS)
        return _PASSWORD_IN_URL.sub(rf"\g<before>{STARS}", text)


def _faces(secret: str) -> set[str]:
    """Give every way in which a secret may stand in a text."""
    lines = {line.strip() for line in secret.splitlines()}
    long_lines = {line for line in lines if len(line) >= SECRET_LINE_LENGTH_MIN and not line.startswith("-----")}
    parts = {part for line in lines if "://" in line for part in parts_of(line)}
    faces = {face for each in {secret, *parts} for face in _written(each)}
    faces |= {face for line in long_lines for face in (line, quote(line, safe=""), *_in_base64(line.encode()))}
    return {face for face in faces if len(face) >= SECRET_LENGTH_MIN}


def parts_of(url: str) -> Iterator[str]:
    """Give what may be a token or a password in a URL, as it stands there and decoded; nothing of what is none.

    A plain word of its path is nobody's secret, nor is an event's name: with `/services/` masked, or `/settle.braked/`,
    no line could speak of services any more, and no message of the brake.
    """
    try:
        parts = urlsplit(url)
        words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
        pieces = [word for word in words if not _PLAIN_WORD.fullmatch(word)]
        pieces += [parts.username or "", parts.password or "", _token_host(parts.netloc)]
    except ValueError:
        return
    for piece in pieces:
        yield from (face for face in (piece, unquote(piece)) if len(face) >= URL_PART_LENGTH_MIN)


def _token_host(netloc: str) -> str:
    """Give a URL's host where it is none: many services have their token there. Names and addresses are no secret."""
    host = netloc.rpartition("@")[2].partition(":")[0]
    if "." in host or host == "localhost" or host.startswith("["):
        return ""
    return host


def _written(secret: str) -> Iterator[str]:
    """Write a secret as it looks bare, in a URL, in JSON, in Python's quotes, in hex and in base64."""
    yield from (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1])
    raw = secret.encode()
    if len(raw) < ENCODED_LENGTH_MIN:
        return
    yield from (raw.hex(), raw.hex().upper(), *_in_base64(raw))


def _in_base64(raw: bytes) -> Iterator[str]:
    """Write it in base64, wherever it begins in what is encoded: without the signs that depend on what is beside it."""
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(before) + raw).decode()[first:last]
