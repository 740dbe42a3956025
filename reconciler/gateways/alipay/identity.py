"""Who asks, and whose signature is taken: key mode or certificate mode, for itself or on a merchant's behalf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from reconciler.domain.answer import Untrusted, VerifyingKey
from reconciler.gateways.alipay.certificates import root_serials, serial_of
from reconciler.gateways.alipay.settings import AlipaySettings
from reconciler.gateways.alipay.signing import Envelope
from reconciler.gateways.asking import IDENTIFIER_LENGTH_MAX, printable
from reconciler.gateways.certificates import certified_key, load_certificate
from reconciler.gateways.keys import load_private_key, load_public_key, verifies, verifying_key
from reconciler.settings.types import Secret

RENEW: Final = (
    "Alipay signed with another certificate than alipay_cert, which it renews now and then; download the new Alipay "
    "public certificate (alipayCertPublicKey_RSA2.crt) from the open platform, put it where alipay_cert is, and restart"
)


@dataclass(frozen=True, slots=True)
class Signer:
    """Alipay, as the channel knows it."""

    key: RSAPublicKey
    kept: VerifyingKey
    serial: str | None = None
    """The SN of `alipay_cert`; None in key mode."""

    def fault_of(self, envelope: Envelope) -> Untrusted | None:
        """Say why the signature of a signed answer proves nothing; None where it verifies."""
        named = envelope.cert_serial
        if self.serial is not None and named is None:
            return Untrusted("it names no alipay_cert_sn: Alipay signed by key, and the channel is in certificate mode")
        if self.serial is not None and named is not None and named != self.serial:
            return Untrusted(RENEW, _fit(named))
        if envelope.signature is not None and verifies(self.key, envelope.signature, envelope.content):
            return None
        if self.serial is not None:
            return Untrusted("the signature does not verify with the key of alipay_cert")
        if named is not None:
            reason = "the signature does not verify: Alipay signed by certificate, and the channel is in key mode"
            return Untrusted(reason, _fit(named))
        return Untrusted("the signature does not verify with alipay_public_key")


@dataclass(frozen=True, slots=True)
class Identity:
    """A channel's standing with Alipay."""

    private_key: RSAPrivateKey = field(repr=False)
    public: Mapping[str, str] = field(repr=False)
    """The public parameters that say who asks, in every request alike: the token among them is a secret."""
    alipay: Signer


def identity_of(settings: AlipaySettings) -> Identity:
    """Load keys, certificates and token. Raises KeyUnreadable where `settings.problems()` was not heeded."""
    public = {"app_id": settings.app_id}
    if settings.is_certified:
        public["app_cert_sn"] = serial_of(load_certificate(_revealed(settings.app_cert)))
        public["alipay_root_cert_sn"] = "_".join(root_serials(_revealed(settings.alipay_root_cert)))
    if settings.app_auth_token is not None:
        public["app_auth_token"] = settings.app_auth_token.reveal().decode()
    return Identity(load_private_key(settings.private_key.reveal()), public, _signer(settings))


def _signer(settings: AlipaySettings) -> Signer:
    if not settings.is_certified:
        key = load_public_key(_revealed(settings.alipay_public_key))
        return Signer(key, verifying_key(key))
    # No chain to the root is asked for: the operator put this very certificate there, which says more than any root
    # could, and Alipay's own chain has links that it does not hand out. Nor its dates: Alipay signs with what it signs.
    certificate = load_certificate(_revealed(settings.alipay_cert))
    key = certified_key(certificate)
    return Signer(key, verifying_key(key, certificate), serial_of(certificate))


def _revealed(secret: Secret | None) -> bytes:
    return secret.reveal() if secret else b""


def _fit(serial: str) -> str:
    return printable(serial, IDENTIFIER_LENGTH_MAX)
