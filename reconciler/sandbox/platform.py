"""WeChat's platform certificates, and the list of them that a merchant fetches (gateways.md 2.4)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reconciler.sandbox.beijing import BEIJING
from reconciler.sandbox.certificates import Certified, pem, platform_certificate
from reconciler.sandbox.errors import TooManyCertificates
from reconciler.sandbox.keys import KEY_BITS

CERTIFICATES_MAX = 10
ALGORITHM = "AEAD_AES_256_GCM"
_PURPOSE = "certificate"


class Platform:
    """The certificates, oldest first; the newest signs. Only the first outlives the sandbox."""

    def __init__(self, first: Certified, apiv3_key: str) -> None:
        self._certificates = [first]
        self._apiv3_key = apiv3_key

    @property
    def newest(self) -> Certified:
        """The one that signs."""
        return self._certificates[-1]

    @property
    def serials(self) -> tuple[str, ...]:
        """Their serial numbers, oldest first."""
        return tuple(one.serial for one in self._certificates)

    def roll_over(self) -> str:
        """Add another certificate, which signs from now on; give its serial number. Raises TooManyCertificates."""
        place = len(self._certificates)
        if place >= CERTIFICATES_MAX:
            raise TooManyCertificates(f"the sandbox issues {CERTIFICATES_MAX} platform certificates; start it anew")
        self._certificates.append(platform_certificate(generate_private_key(65537, KEY_BITS), place))
        return self.newest.serial

    def listed(self) -> Mapping[str, object]:
        """Give what /v3/certificates says: each certificate encrypted for the merchant."""
        return {"data": [self._entry(one) for one in self._certificates]}

    def _entry(self, one: Certified) -> Mapping[str, object]:
        nonce = secrets.token_hex(6)  # 12 bytes, as text
        encrypted = AESGCM(self._apiv3_key.encode()).encrypt(nonce.encode(), pem(one.certificate), _PURPOSE.encode())
        return {
            "serial_no": one.serial,
            "effective_time": _time(one.certificate.not_valid_before_utc),
            "expire_time": _time(one.certificate.not_valid_after_utc),
            "encrypt_certificate": {
                "algorithm": ALGORITHM,
                "nonce": nonce,
                "associated_data": _PURPOSE,
                "ciphertext": base64.b64encode(encrypted).decode(),
            },
        }


def _time(moment: datetime) -> str:
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")
