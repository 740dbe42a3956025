"""What is signed to WeChat Pay, and what WeChat Pay signs (gateways.md 2.2, 2.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from reconciler.gateways.keys import verifies

if TYPE_CHECKING:
    from reconciler.transport import Headers

AGE_S_MAX: Final = 300
"""How far the signed time may be from ours (gateways.md 2.3)."""
DELIBERATELY_FALSE: Final = "WECHATPAY/SIGNTEST/"
"""What a signature begins with that WeChat Pay sends to see whether we verify at all."""

SERIAL: Final = "wechatpay-serial"
TIMESTAMP: Final = "wechatpay-timestamp"
NONCE: Final = "wechatpay-nonce"
SIGNATURE: Final = "wechatpay-signature"
SIGNED: Final = (SERIAL, TIMESTAMP, NONCE, SIGNATURE)

_SECONDS = re.compile(r"\d{1,12}", re.ASCII)
_VALUE = re.compile(r"[!-~]{1,1024}")


def request_text(method: str, path_and_query: str, timestamp: int, nonce: str, body: bytes = b"") -> bytes:
    """Give the string to sign for a request; path and query exactly as they go on the wire."""
    return f"{method}\n{path_and_query}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def response_text(timestamp: str, nonce: str, body: bytes) -> bytes:
    """Give the string that a response's signature covers."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def signed_headers(headers: Headers) -> Headers:
    """Pick the headers that a signature covers or names; a value that no gateway would send is left out."""
    return tuple((name, value) for name, value in headers if name in SIGNED and _VALUE.fullmatch(value))


def is_deliberately_false(headers: Headers) -> bool:
    """Whether the signature is one that WeChat Pay sends to test us: the same question again brings a true one."""
    return any(name == SIGNATURE and value.startswith(DELIBERATELY_FALSE) for name, value in headers)


def header_fault(headers: Headers) -> str | None:
    """Say why these headers hold no signature to verify; None where each is there, once."""
    return missing_in(signed_headers(headers))


def missing_in(signed: Headers) -> str | None:
    """Do as `header_fault` with what `signed_headers` gave."""
    values = dict(signed)
    missing = [name for name in SIGNED if name not in values]
    if missing:
        return f"unsigned: no usable {', '.join(missing)}"
    if len(signed) > len(values):
        return "a signature header is given twice"
    if is_deliberately_false(signed):
        return "a deliberately false signature (SIGNTEST), as WeChat Pay sends now and then"
    return None


def fault_of(headers: Headers, body: bytes, key: RSAPublicKey, received_at: datetime) -> str | None:
    """Say why the signature proves nothing; None where it verifies, over these bytes, near this time."""
    signed = signed_headers(headers)
    return missing_in(signed) or signature_fault(dict(signed), body, key, received_at)


def signature_fault(values: Mapping[str, str], body: bytes, key: RSAPublicKey, received_at: datetime) -> str | None:
    """Do as `fault_of` with headers that lack nothing."""
    if not verifies(key, values[SIGNATURE], response_text(values[TIMESTAMP], values[NONCE], body)):
        return "the signature does not verify"
    if not _SECONDS.fullmatch(values[TIMESTAMP]):
        return "the signed time is not a number of seconds"
    off_s = received_at.timestamp() - int(values[TIMESTAMP])
    if abs(off_s) <= AGE_S_MAX:
        return None
    if off_s > 0:
        return f"signed {off_s:.0f}s before our time: a replay, or the clock here is {off_s:.0f}s fast"
    return f"signed {-off_s:.0f}s after our time: the clock here is {-off_s:.0f}s slow, or WeChat Pay's fast"
