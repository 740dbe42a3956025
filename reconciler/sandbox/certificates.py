"""The certificates of the sandbox: an Alipay root, what it issues, and WeChat's platform certificates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

VALID_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
VALID_UNTIL: Final = datetime(2050, 1, 1, tzinfo=UTC)
"""Fixed, so that the same key always has the same certificate, and virtual time is within it too."""
RSA_SIGNATURES: Final = "1.2.840.113549.1.1"

_ALIPAY: Final = "Ant Financial (sandbox)"
_WECHAT: Final = "Tenpay.com (sandbox)"


@dataclass(frozen=True, slots=True)
class Certified:
    """A key, and the certificate over it."""

    key: RSAPrivateKey
    certificate: x509.Certificate

    @property
    def sn(self) -> str:
        """What Alipay calls the certificate's SN."""
        return alipay_sn(self.certificate)

    @property
    def serial(self) -> str:
        """What WeChat calls its serial number: 40 digits of hex, upper case."""
        return f"{self.certificate.serial_number:X}"


@dataclass(frozen=True, slots=True)
class AlipayCertificates:
    """What certificate mode takes (gateways.md 1.6)."""

    root: Certified
    other_root: x509.Certificate
    """An elliptic one in the same bundle, as in the real bundle: it takes no part in the SN."""
    app: x509.Certificate
    """Over the application's own key."""
    alipay: Certified
    """Alipay's key here is another than in key mode."""
    renewed: Certified
    """Alipay's next one, which nobody has been given yet."""

    @property
    def bundle(self) -> bytes:
        """The root bundle as a file: PEM blocks with a blank line between, as Alipay's own."""
        return pem(self.root.certificate) + b"\n" + pem(self.other_root)

    @property
    def app_sn(self) -> str:
        """The SN of the application's certificate."""
        return alipay_sn(self.app)

    @property
    def root_sn(self) -> str:
        """The SNs of the bundle's RSA certificates, joined."""
        both = (self.root.certificate, self.other_root)
        is_rsa = (one for one in both if one.signature_algorithm_oid.dotted_string.startswith(RSA_SIGNATURES))
        return "_".join(alipay_sn(one) for one in is_rsa)


def alipay_certificates(
    root: RSAPrivateKey, app: RSAPublicKey, alipay: RSAPrivateKey, renewed: RSAPrivateKey
) -> AlipayCertificates:
    """Issue Alipay's certificates over these keys."""
    above = Certified(root, _issue(_name(_ALIPAY, "Root R1"), root.public_key(), _name(_ALIPAY, "Root R1"), root))
    return AlipayCertificates(
        root=above,
        other_root=_elliptic_root(),
        app=_issue(_name(_ALIPAY, "Sandbox Application"), app, above.certificate.subject, root),
        alipay=_issued_by(above, "Alipay", alipay),
        renewed=_issued_by(above, "Alipay, renewed", renewed),
    )


def platform_certificate(key: RSAPrivateKey, place: int = 0) -> Certified:
    """Issue WeChat's platform certificate over a key; each one's validity begins a day after the one's before it."""
    name = _name(_WECHAT, "Tenpay.com sign")
    return Certified(key, _issue(name, key.public_key(), name, key, VALID_FROM + timedelta(days=place)))


def alipay_sn(certificate: x509.Certificate) -> str:
    """MD5 of the issuer's name, its parts in reverse, and the serial number in decimal (gateways.md 1.6)."""
    issuer = ",".join(f"{part.rfc4514_attribute_name}={part.value!s}" for part in reversed(list(certificate.issuer)))
    return hashlib.md5(f"{issuer}{certificate.serial_number}".encode(), usedforsecurity=False).hexdigest()


def pem(certificate: x509.Certificate) -> bytes:
    """Give a certificate as it stands in a file."""
    return certificate.public_bytes(Encoding.PEM)


def _issued_by(above: Certified, common_name: str, key: RSAPrivateKey) -> Certified:
    subject = _name(_ALIPAY, common_name)
    return Certified(key, _issue(subject, key.public_key(), above.certificate.subject, above.key))


def _issue(
    subject: x509.Name,
    key: RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signer: RSAPrivateKey | ec.EllipticCurvePrivateKey,
    valid_from: datetime = VALID_FROM,
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(_serial(key)).not_valid_before(valid_from).not_valid_after(VALID_UNTIL)
    is_authority = subject == issuer
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    return builder.sign(signer, SHA256())


def _elliptic_root() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(_ALIPAY, "Root E1")
    return _issue(name, key.public_key(), name, key)


def _serial(key: RSAPublicKey | ec.EllipticCurvePublicKey) -> int:
    """Derive a serial number from a key; its first digit of hex is never 0, which some would drop and some not."""
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return int.from_bytes(digest[:20], "big") >> 2 | 1 << 158


def _name(organisation: str, common_name: str) -> x509.Name:
    parts = {
        NameOID.COUNTRY_NAME: "CN",
        NameOID.ORGANIZATION_NAME: organisation,
        NameOID.ORGANIZATIONAL_UNIT_NAME: "Certification Authority",
        NameOID.COMMON_NAME: common_name,
    }
    return x509.Name([x509.NameAttribute(part, value) for part, value in parts.items()])
