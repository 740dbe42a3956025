"""RSA keys as the gateways' own tools hand them out, and SHA256withRSA with them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from cryptography.x509 import Certificate

from reconciler.domain.answer import VerifyingKey

BITS_MIN = 2048
_ARMOUR = re.compile(rb"\s*-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----\s*", re.DOTALL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SIGNATURE_LENGTH_MAX = 4096


class KeyUnreadable(ValueError):
    """A key or certificate that is of no use; the text says what was given and what to give, never the key."""


def load_private_key(text: bytes) -> RSAPrivateKey:
    """Read an RSA private key: PKCS#1 or PKCS#8, PEM or bare base64 (gateways.md 1.3). Raises KeyUnreadable."""
    der = _der(text, wanted="private")
    try:
        key = load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        given = "is a public key" if _is_public(der) else "is not an RSA private key"
        raise KeyUnreadable(f"{given}; give the private one in PKCS#1 or PKCS#8, as PEM or base64") from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < BITS_MIN:
        raise KeyUnreadable(f"is not an RSA key of {BITS_MIN} bits or more")
    return key


def load_public_key(text: bytes) -> RSAPublicKey:
    """Read an RSA public key: SubjectPublicKeyInfo or PKCS#1, PEM or bare base64. Raises KeyUnreadable."""
    der = _der(text, wanted="public")
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        given = "is a private key" if _is_private(der) else "is not an RSA public key"
        raise KeyUnreadable(f"{given}; give the public one as PEM or base64") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < BITS_MIN:
        raise KeyUnreadable(f"is not an RSA key of {BITS_MIN} bits or more")
    return key


def sign(key: RSAPrivateKey, text: bytes) -> str:
    """Sign with SHA256withRSA (PKCS#1 v1.5); give standard base64."""
    return base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode()


def verifies(key: RSAPublicKey, signature: str, text: bytes) -> bool:
    """Whether this base64 is SHA256withRSA of the text. The hash is ours to name, never the signature's."""
    if len(signature) > _SIGNATURE_LENGTH_MAX:
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), text, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):  # binascii.Error is a ValueError, as is text that is not ASCII
        return False
    return True


def verifying_key(key: RSAPublicKey, certificate: Certificate | None = None) -> VerifyingKey:
    """Give the key as the ledger keeps it; with the certificate that vouches for it, whose word is kept too.

    The fingerprint is the key's own: one key is one, however often it is certified.
    """
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if certificate is not None:
        pem += certificate.public_bytes(Encoding.PEM)
    return VerifyingKey(hashlib.sha256(der).hexdigest(), pem.decode())


def kept_key(key: VerifyingKey) -> RSAPublicKey:
    """Load a key that the ledger kept, making sure that it is the one it says. Raises KeyUnreadable."""
    first = _ARMOUR.match(key.pem.encode())  # a certificate may follow: who vouched for the key
    loaded = load_public_key(first[0] if first else key.pem.encode())
    if verifying_key(loaded).fingerprint != key.fingerprint:
        raise KeyUnreadable("does not have the fingerprint it is kept under")
    return loaded


def _is_public(der: bytes) -> bool:
    try:
        load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _is_private(der: bytes) -> bool:
    try:
        load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _der(text: bytes, wanted: str) -> bytes:
    text = text.removeprefix(_BYTE_ORDER_MARK)  # some editors begin a file with one
    armoured = _ARMOUR.fullmatch(text)
    label, content = (armoured[1].decode(), armoured[2]) if armoured else ("", text)
    if "CERTIFICATE" in label:
        raise KeyUnreadable(f"is a certificate; the {wanted} key is needed")
    if "ENCRYPTED" in label or b"ENCRYPTED" in content[:200]:
        raise KeyUnreadable("is protected by a passphrase; give it without one")
    if label and wanted.upper() not in label:
        raise KeyUnreadable(f"holds a {label.lower()}; the {wanted} key is needed")
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        raise KeyUnreadable(f"is neither PEM nor base64; the {wanted} key is needed, in one piece") from error
