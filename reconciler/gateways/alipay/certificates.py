"""Alipay's names for certificates: what certificate mode says in every request, and finds in every answer."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.x509 import Certificate, load_pem_x509_certificate

from reconciler.gateways.certificates import UNREADABLE, certificate_blocks
from reconciler.gateways.keys import KeyUnreadable

SIGNED_BY_RSA: Final = "1.2.840.113549.1.1."
"""What the object identifiers of RSA's signature algorithms begin with."""


def serial_of(certificate: Certificate) -> str:
    """Give the SN: MD5 over the issuer's name (RFC 2253) and the serial number in decimal (gateways.md 1.6).

    Raises KeyUnreadable.
    """
    try:
        text = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    except UNREADABLE as error:
        raise KeyUnreadable("is a certificate whose issuer cannot be read; download it again") from error
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_serials(bundle: bytes) -> tuple[str, ...]:
    """Give the SN of every RSA certificate of the bundle, in the file's order. Raises KeyUnreadable.

    The real bundle has an SM2 root, and one that cryptography refuses to parse: those do not count (gateways.md 1.6).
    """
    certificates = [certificate for block in certificate_blocks(bundle) if (certificate := _rsa_certificate(block))]
    if not any(certificate.issuer == certificate.subject for certificate in certificates):
        raise KeyUnreadable("holds no RSA root certificate; give the file of Alipay's roots (alipayRootCert.crt)")
    return tuple(serial_of(certificate) for certificate in certificates)


def _rsa_certificate(block: bytes) -> Certificate | None:
    """Read a certificate that RSA signed, with its names; None for any other, and for what cannot be read."""
    try:
        certificate = load_pem_x509_certificate(block)
        is_rsa = certificate.signature_algorithm_oid.dotted_string.startswith(SIGNED_BY_RSA)
        is_usable = is_rsa and bool(certificate.issuer) and bool(certificate.subject)  # names are parsed only here
    except UNREADABLE:
        return None
    return certificate if is_usable else None
