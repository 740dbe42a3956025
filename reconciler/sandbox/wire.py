"""What goes over the wire, before a server sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, as far as a gateway looks at it."""

    method: str
    target: str
    """Path and query exactly as on the wire."""
    headers: Mapping[str, str]
    """Finds a name in whatever case."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, to the byte."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    """How long to sit on it first."""


HTML_502 = Reply(
    502,
    b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    {"Content-Type": "text/html"},
)


def is_sane(text: str) -> bool:
    """Whether a number could be an out_trade_no at all: printable ASCII, 1 to 64 characters (gateways.md 1.4)."""
    return 0 < len(text) <= 64 and all("!" <= character <= "~" for character in text)  # noqa: PLR2004 # Alipay's limit


def yuan(fen: int) -> str:
    """Write fen as yuan with two decimals."""
    return f"{fen // 100}.{fen % 100:02d}"
