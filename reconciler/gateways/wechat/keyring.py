"""The keys that WeChat Pay signs with, by serial, and whether a response is signed with one of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from reconciler.domain.answer import VerifyingKey
from reconciler.gateways.wechat.signing import (
    SERIAL,
    TIMESTAMP,
    is_deliberately_false,
    missing_in,
    signature_fault,
    signed_headers,
)

if TYPE_CHECKING:
    from reconciler.transport import HttpResponse

PUBLIC_KEY_ID: Final = "PUB_KEY_ID_"
"""What the id of a public key begins with; any other serial is a platform certificate's, in hex."""
_HEX = re.compile(r"[0-9A-Fa-f]{1,64}")


@dataclass(frozen=True, slots=True)
class TheirKey:
    """One key that WeChat Pay signs with."""

    public: RSAPublicKey
    kept: VerifyingKey
    """As the ledger keeps it."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    """When its certificate is valid; a bare public key has no such bounds."""

    def is_valid_at(self, moment_s: float) -> bool:
        """Whether what was signed at this moment (Unix seconds) may have been signed with it."""
        begun = self.not_before is None or self.not_before.timestamp() <= moment_s
        return begun and (self.not_after is None or moment_s <= self.not_after.timestamp())


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature verifies, near this time, with a key that is valid then."""

    key: VerifyingKey


@dataclass(frozen=True, slots=True)
class NotSigned:
    """The signature proves nothing."""

    fault: str
    unknown_serial: str | None = None
    """The serial that it names, where there is no key of that one."""
    again: bool = False
    """Whether the same question, at once, may bring a better signature."""


Find = Callable[[str], TheirKey | None]
"""Find the key of a serial, given as `plain_serial` writes it."""


def plain_serial(serial: str) -> str:
    """Write a serial as it is compared: as text, in upper case; leading zeros of a hex one do not count.

    Never as a number: a PUB_KEY_ID is none (gateways.md 2.3).
    """
    plain = serial.upper()
    return plain if is_public_key_id(plain) else plain.lstrip("0") or "0"


def is_public_key_id(serial: str) -> bool:
    """Whether it names a public key rather than a certificate."""
    return serial.upper().startswith(PUBLIC_KEY_ID)


def can_be_a_certificate(serial: str) -> bool:
    """Whether it can be the serial number of a platform certificate."""
    return _HEX.fullmatch(serial) is not None


def judge(response: HttpResponse, find: Find, received_at: datetime) -> Signed | NotSigned:
    """Say whether the response is signed with a key that we know."""
    signed = signed_headers(response.headers)
    if fault := missing_in(signed):
        return NotSigned(fault, again=is_deliberately_false(signed))
    values = dict(signed)
    key = find(plain_serial(values[SERIAL]))
    if key is None:
        return NotSigned("signed with a key that is not ours to verify with", unknown_serial=values[SERIAL])
    if fault := signature_fault(values, response.body, key.public, received_at):
        return NotSigned(fault)
    if not key.is_valid_at(int(values[TIMESTAMP])):
        return NotSigned("signed at a time at which the platform certificate is not valid")
    return Signed(key.kept)
