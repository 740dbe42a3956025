"""Platform certificates: from the encrypted items of GET /v3/certificates to keys (gateways.md 2.4). Pure.

The items are from a stranger until they open: AES-256-GCM under the APIv3 key, which WeChat Pay and the merchant share,
is what says that WeChat Pay wrote them.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reconciler.gateways.certificates import UNREADABLE, certified_key, load_certificate
from reconciler.gateways.keys import BITS_MIN, verifying_key
from reconciler.gateways.strict_json import Json, object_of, text_of
from reconciler.gateways.wechat.keyring import TheirKey, can_be_a_certificate, plain_serial

ALGORITHM: Final = "AEAD_AES_256_GCM"
APIV3_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
ITEMS_MAX: Final = 32
CIPHERTEXT_LENGTH_MAX: Final = 8192
ASSOCIATED_DATA_LENGTH_MAX: Final = 256
DOES_NOT_OPEN: Final = "does not open with apiv3_key"

_SEALED: Final = ("algorithm", "nonce", "associated_data", "ciphertext")


@dataclass(frozen=True, slots=True)
class PlatformCertificate:
    """One certificate that WeChat Pay signs under."""

    serial: str
    """As `plain_serial` writes it."""
    key: TheirKey
    ends_at: datetime
    item: Json
    """What it was opened from, still encrypted: to be kept, and to be opened and judged again."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of some items."""

    certificates: Mapping[str, PlatformCertificate]
    """By serial."""
    faults: tuple[str, ...]
    """What is wrong with each item that is left out."""


class _Unsound(Exception):
    """An item that brings no key; the text says why, without quoting it."""


def open_items(items: object, apiv3_key: bytes) -> Opened:
    """Open and judge each item; one that is unsound is left out. Whatever it is given, it never raises."""
    if not isinstance(items, list):
        return Opened({}, ("not a list of certificates",))
    if len(items) > ITEMS_MAX:
        return Opened({}, (f"more than {ITEMS_MAX} certificates",))
    opened: list[PlatformCertificate] = []
    faults: list[str] = []
    for item in items:
        try:
            opened.append(_open(item, apiv3_key))
        except _Unsound as unsound:
            faults.append(str(unsound))
    counts = Counter(each.serial for each in opened)
    faults += ["two certificates have one serial number" for count in counts.values() if count > 1]
    return Opened({each.serial: each for each in opened if counts[each.serial] == 1}, tuple(faults))


def _open(item: object, apiv3_key: bytes) -> PlatformCertificate:
    if not isinstance(item, dict):
        raise _Unsound("an item is no object")
    serial = text_of(item, "serial_no")
    if serial is None or not can_be_a_certificate(serial):
        raise _Unsound("an item has no usable serial_no")
    sealed = object_of(item, "encrypt_certificate")
    key, ends_at = _parse(_decrypt(sealed, apiv3_key), serial)
    as_it_came = {"serial_no": serial, "encrypt_certificate": {name: text_of(sealed, name) for name in _SEALED}}
    return PlatformCertificate(plain_serial(serial), key, ends_at, as_it_came)


def _decrypt(sealed: Json, apiv3_key: bytes) -> bytes:
    """Check everything that the cipher would choke on before it sees it."""
    if sealed.get("algorithm") != ALGORITHM:
        raise _Unsound(f"a certificate is not encrypted with {ALGORITHM}")
    nonce, ciphertext = text_of(sealed, "nonce") or "", text_of(sealed, "ciphertext") or ""
    associated_data = text_of(sealed, "associated_data") or ""
    if len(nonce) != NONCE_BYTES or not nonce.isascii():
        raise _Unsound(f"a nonce is not {NONCE_BYTES} bytes")
    if not 0 < len(ciphertext) <= CIPHERTEXT_LENGTH_MAX or len(associated_data) > ASSOCIATED_DATA_LENGTH_MAX:
        raise _Unsound("an encrypted certificate is missing or too large")
    try:
        content = base64.b64decode(ciphertext, validate=True)
        return AESGCM(apiv3_key).decrypt(nonce.encode(), content, associated_data.encode())
    except InvalidTag as error:
        raise _Unsound(DOES_NOT_OPEN) from error
    except ValueError as error:  # not base64, or a surrogate in associated_data
        raise _Unsound("an encrypted certificate is garbled") from error


def _parse(pem: bytes, serial: str) -> tuple[TheirKey, datetime]:
    try:
        certificate = load_certificate(pem)
        public = certified_key(certificate)
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        number = f"{certificate.serial_number:X}"
        kept = verifying_key(public, certificate)
    except UNREADABLE as error:  # a KeyUnreadable is a ValueError
        raise _Unsound(f"what an item holds is no certificate over an RSA key of {BITS_MIN} bits or more") from error
    if plain_serial(number) != plain_serial(serial):
        raise _Unsound("a certificate has another serial number than its item says")
    return TheirKey(public, kept, not_before, not_after), not_after
