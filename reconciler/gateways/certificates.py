"""X.509 certificates over RSA keys, as both gateways hand them out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import Certificate, InvalidVersion, load_pem_x509_certificate

from reconciler.gateways.keys import BITS_MIN, KeyUnreadable

BLOCKS_MAX: Final = 32
"""Certificates in one file; Alipay's bundle of roots has four."""
UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion)
"""What cryptography raises over a certificate that it cannot read, or a part of it."""

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*(PRIVATE|PUBLIC) KEY-----")


def certificate_blocks(text: bytes) -> Sequence[bytes]:
    """Cut a file into its certificates, each as PEM, whatever stands between them. Raises KeyUnreadable.

    One at a time, since one that cannot be read must not keep the others from being read (gateways.md 1.6).
    """
    blocks = _BLOCK.findall(text)
    if not blocks:
        key = _KEY.search(text)
        given = f"holds a {key[1].decode().lower()} key" if key else "holds no certificate in PEM"
        raise KeyUnreadable(f"{given}; give the certificate's file as it was downloaded")
    if len(blocks) > BLOCKS_MAX:
        raise KeyUnreadable(f"holds more than {BLOCKS_MAX} certificates")
    return blocks


def load_certificate(text: bytes) -> Certificate:
    """Read a certificate in PEM; of a chain the first, which is the signer's own. Raises KeyUnreadable."""
    try:
        return load_pem_x509_certificate(certificate_blocks(text)[0])
    except KeyUnreadable:
        raise
    except UNREADABLE as error:
        raise KeyUnreadable("is a certificate that cannot be read; download it again") from error


def certified_key(certificate: Certificate) -> RSAPublicKey:
    """Give the key that a certificate is about. Raises KeyUnreadable."""
    try:
        key = certificate.public_key()
    except UNREADABLE as error:
        raise KeyUnreadable("is a certificate over a key of an unknown kind; an RSA key is needed") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < BITS_MIN:
        raise KeyUnreadable(f"is not a certificate over an RSA key of {BITS_MIN} bits or more")
    return key
