"""Alipay's side for tests: keys, certificates, and answers signed by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from reconciler.domain.order import ChannelName
from reconciler.gateways.alipay import AlipaySettings
from reconciler.gateways.alipay.gateway import AlipayGateway
from reconciler.gateways.line import Way
from reconciler.pace import Pace
from reconciler.testing.clock import AutoClock
from reconciler.testing.memory import KeptInMind
from reconciler.transport import HttpRequest, HttpResponse, Transport, TransportFailure

NOW = datetime(2026, 11, 22, 17, 30, 5, tzinfo=UTC)
ENDPOINT = "https://openapi.alipay.com/gateway.do"
APP, ALIPAY, ROOT, STRANGER = (rsa.generate_private_key(65537, 2048) for _ in range(4))
QUERY, CLOSE, REFUND_QUERY = (f"alipay_trade_{name}_response" for name in ("query", "close", "fastpay_refund_query"))

Signer = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def name_of(common_name: str) -> x509.Name:
    parts = {NameOID.COUNTRY_NAME: "CN", NameOID.ORGANIZATION_NAME: "Ant", NameOID.COMMON_NAME: common_name}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])


def certificate(key: Signer, subject: str, issuer: str = "Root", signer: Signer = ROOT, days: int = 365) -> bytes:
    """Issue one, in PEM; valid until so many days after NOW."""
    builder = x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(name_of(issuer))
    builder = builder.public_key(key.public_key()).serial_number(4_000_000_007)
    builder = builder.not_valid_before(NOW - timedelta(days=900)).not_valid_after(NOW + timedelta(days=days))
    return builder.sign(signer, SHA256()).public_bytes(Encoding.PEM)


ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
ROOT_CERT = certificate(ROOT, "Root")
APP_CERT = certificate(APP, "App")
ALIPAY_CERT = certificate(ALIPAY, "Alipay")
ELLIPTIC_ROOT = certificate(ELLIPTIC, "E1", "E1", ELLIPTIC)
UNPARSABLE = b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"


def private_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


KEY_MODE: Mapping[str, bytes] = {"private_key": private_pem(APP), "alipay_public_key": public_pem(ALIPAY)}
CERTIFICATE_MODE: Mapping[str, bytes] = {
    "private_key": private_pem(APP),
    "app_cert": APP_CERT,
    "alipay_cert": ALIPAY_CERT,
    "alipay_root_cert": ELLIPTIC_ROOT + b"\n" + UNPARSABLE + ROOT_CERT,
}


def settings_of(folder: Path, secrets: Mapping[str, bytes], app_id: str = "2021000000000001") -> AlipaySettings:
    table: dict[str, Any] = {"app_id": app_id}
    for name, value in secrets.items():
        (folder / name).write_bytes(value)
        table[name] = f"file:{folder / name}"
    return AlipaySettings.model_validate(table)


class Script(Transport):
    """Answers with what is given, in order, and keeps what was sent."""

    def __init__(self, answers: Sequence[HttpResponse | bytes | None] = ()) -> None:
        self.answers = list(answers)
        self.sent: list[HttpRequest] = []

    async def send(self, request: HttpRequest, timeout: timedelta) -> HttpResponse:  # noqa: ASYNC109, ARG002 # the transport's signature
        self.sent.append(request)
        answer = self.answers.pop(0)
        if answer is None:
            raise TransportFailure("refused", lasts=True)
        return answer if isinstance(answer, HttpResponse) else HttpResponse(200, (), answer)


def gateway_of(folder: Path, secrets: Mapping[str, bytes], transport: Transport | None = None) -> AlipayGateway:
    clock = AutoClock(NOW)
    way = Way(transport or Script(), Pace(clock, 1000, 4), clock, timedelta(seconds=5), KeptInMind())
    return AlipayGateway(ChannelName("main"), settings_of(folder, secrets), way)


def sign(raw: bytes, key: rsa.RSAPrivateKey = ALIPAY) -> str:
    return base64.b64encode(key.sign(raw, padding.PKCS1v15(), SHA256())).decode()


def enveloped(
    content: Mapping[str, object] | bytes,
    root: str = QUERY,
    *,
    key: rsa.RSAPrivateKey | None = ALIPAY,
    serial: object = None,
) -> bytes:
    """Write an answer; without a key it is unsigned, without a serial it names none."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    body = b'{"' + root.encode() + b'":' + raw
    if serial is not None:
        body += b',"alipay_cert_sn":' + json.dumps(serial).encode()
    if key is not None:
        body += b',"sign":' + json.dumps(sign(raw, key)).replace("/", "\\/").encode()
    return body + b"}"
