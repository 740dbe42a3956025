"""Keys and certificates of both sides, and signing by code that is not the adapters'."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from reconciler.testing.gateway_bench import NOW

RSA_SIGNATURES = "1.2.840.113549.1.1"


class Whose(Enum):
    """Each has one key."""

    OURS = "the merchant"
    THEIRS = "the gateway, in key mode"
    CERTIFIED = "the gateway, by certificate"
    ROOT = "the gateway's root"
    STRANGERS = "nobody"


@cache
def key_of(whose: Whose) -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def signature(whose: Whose, text: bytes) -> str:
    return base64.b64encode(key_of(whose).sign(text, padding.PKCS1v15(), SHA256())).decode()


def holds(key: RSAPublicKey, signed: str, text: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signed), text, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


@cache
def certificate_over(whose: Whose) -> x509.Certificate:
    """Give a certificate by our root."""
    serial = int.from_bytes(hashlib.sha256(whose.name.encode()).digest()[:19], "big") | 1 << 150
    return (
        x509.CertificateBuilder()
        .subject_name(_name(whose.name))
        .issuer_name(_name(Whose.ROOT.name))
        .public_key(key_of(whose).public_key())
        .serial_number(serial)
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=300))
        .sign(key_of(Whose.ROOT), SHA256())
    )


@cache
def roots() -> bytes:
    """Give a root bundle as Alipay's is: an elliptic root among those that count."""
    elliptic = ec.generate_private_key(ec.SECP256R1())
    other = (
        x509.CertificateBuilder()
        .subject_name(_name("E1"))
        .issuer_name(_name("E1"))
        .public_key(elliptic.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=300))
        .sign(elliptic, SHA256())
    )
    return b"\n".join(each.public_bytes(Encoding.PEM) for each in (other, certificate_over(Whose.ROOT)))


def sn_of(certificate: x509.Certificate) -> str:
    """Name a certificate as Alipay does (gateways.md 1.6)."""
    text = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def roots_sn_of(bundle: bytes) -> str:
    """Name a root bundle as Alipay does; what cannot be parsed is none of Alipay's RSA roots."""
    names = []
    end = b"-----END CERTIFICATE-----"
    for block in bundle.split(end)[:-1]:
        try:
            certificate = x509.load_pem_x509_certificate(block + end)
            is_rsa = certificate.signature_algorithm_oid.dotted_string.startswith(RSA_SIGNATURES)
        except ValueError:
            continue
        names += [sn_of(certificate)] * is_rsa
    return "_".join(names)


def private_file(folder: Path) -> str:
    pem = key_of(Whose.OURS).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return kept(folder, "private", pem)


def public_file(folder: Path) -> str:
    pem = key_of(Whose.THEIRS).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return kept(folder, "public", pem)


def certificate_file(folder: Path, whose: Whose) -> str:
    return kept(folder, f"{whose.name}.crt", certificate_over(whose).public_bytes(Encoding.PEM))


def kept(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    path.chmod(0o600)
    return f"file:{path}"


def _name(common: str) -> x509.Name:
    parts = {NameOID.COUNTRY_NAME: "CN", NameOID.ORGANIZATION_NAME: "Other side", NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(part, text) for part, text in parts.items()])
