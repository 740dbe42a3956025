"""WeChat Pay's side for tests: keys, platform certificates, answers signed by hand, and a wire to send them over."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from reconciler.domain.answer import Answer
from reconciler.domain.order import ChannelName
from reconciler.gateways.line import Way
from reconciler.gateways.wechat import WechatSettings
from reconciler.gateways.wechat.gateway import WechatGateway
from reconciler.ports import Memory
from reconciler.testing.clock import AutoClock
from reconciler.testing.memory import KeptInMind
from reconciler.testing.pace import FreePace
from reconciler.transport import HttpRequest, HttpResponse, Transport, TransportFailure

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
HOST, BACKUP = "https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com"
MERCHANT, PUBLIC, STRANGER = (rsa.generate_private_key(65537, 2048) for _ in range(3))
KEY_ID = "PUB_KEY_ID_0119000000012026112300000000000001"
APIV3_KEY = b"0123456789abcdefghijklmnopqrstuv"
TRADE: Mapping[str, object] = {
    "appid": "wx1",
    "mchid": "1900000001",
    "out_trade_no": "A1",
    "transaction_id": "4200000001",
    "trade_state": "SUCCESS",
    "success_time": "2026-11-23T11:59:00+08:00",
    "amount": {"total": 9900, "payer_total": 9900, "currency": "CNY"},
}
LONG = timedelta(days=400)

AnyKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Platform:
    """A key of WeChat Pay's and the certificate over it."""

    key: rsa.RSAPrivateKey
    number: int
    pem: bytes

    @property
    def serial(self) -> str:
        return f"{self.number:X}"


def certificate(key: AnyKey, number: int, begins: datetime = NOW - LONG, ends: datetime = NOW + LONG) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com sign")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(number).not_valid_before(begins).not_valid_after(ends)
    return builder.sign(STRANGER, SHA256()).public_bytes(Encoding.PEM)


def platform(number: int, begins: datetime = NOW - LONG, ends: datetime = NOW + LONG) -> Platform:
    key = rsa.generate_private_key(65537, 2048)
    return Platform(key, number, certificate(key, number, begins, ends))


FIRST, SECOND = (
    platform(0x5F1C72E2A8931B72A2E13AF8DEE92471EB397115),
    platform(0x7100000000000000000000000000000000000002),
)


def sealed(
    content: bytes, serial: str, key: bytes = APIV3_KEY, nonce: str = "0123456789ab", about: str = "certificate"
) -> dict[str, Any]:
    """Encrypt one item of /v3/certificates."""
    ciphertext = AESGCM(key).encrypt(nonce.encode(), content, about.encode())
    return {
        "serial_no": serial,
        "effective_time": "2026-01-01T00:00:00+08:00",
        "expire_time": "2031-01-01T00:00:00+08:00",
        "encrypt_certificate": {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": about,
            "ciphertext": base64.b64encode(ciphertext).decode(),
        },
    }


def item(of: Platform, key: bytes = APIV3_KEY) -> dict[str, Any]:
    return sealed(of.pem, of.serial, key)


def signed(
    content: object,
    key: rsa.RSAPrivateKey = FIRST.key,
    serial: str = FIRST.serial,
    *,
    at: datetime = NOW,
    status: int = 200,
    false: bool = False,
    timestamp: str | None = None,
) -> HttpResponse:
    """Sign an answer as WeChat Pay does; with `false`, as it does to see whether anybody looks."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    timestamp = timestamp or str(int(at.timestamp()))
    signature = key.sign(f"{timestamp}\nn\n".encode() + body + b"\n", padding.PKCS1v15(), SHA256())
    headers = {
        "wechatpay-serial": serial,
        "wechatpay-timestamp": timestamp,
        "wechatpay-nonce": "n",
        "wechatpay-signature": ("WECHATPAY/SIGNTEST/" if false else "") + base64.b64encode(signature).decode(),
    }
    return HttpResponse(status, tuple(headers.items()), body)


def refusal(status: int, code: str | None = None) -> HttpResponse:
    return HttpResponse(status, (), json.dumps({"code": code, "message": "..."}).encode() if code else b"<html>")


Respond = Callable[[HttpRequest, datetime], HttpResponse | TransportFailure]


@dataclass
class Office:
    """Answers what it is sent: the list of certificates, and one trade, signed under the newest certificate."""

    clock: AutoClock
    platforms: list[Platform] = field(default_factory=lambda: [FIRST])
    certificates: Respond | None = None
    trade: Respond | None = None
    closing: Respond | None = None

    def __call__(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        now, path = self.clock.now(), urlsplit(request.url).path
        if path == "/v3/certificates":
            return (self.certificates or self.listed)(request, now)
        if path.endswith("/close"):
            return (self.closing or self.closed)(request, now)
        return (self.trade or self.answered)(request, now)

    def listed(self, _: HttpRequest, now: datetime) -> HttpResponse:
        newest = self.platforms[-1]
        return signed({"data": [item(each) for each in self.platforms]}, newest.key, newest.serial, at=now)

    def answered(self, _: HttpRequest, now: datetime) -> HttpResponse:
        return signed(TRADE, self.platforms[-1].key, self.platforms[-1].serial, at=now)

    def closed(self, _: HttpRequest, now: datetime) -> HttpResponse:
        return signed(b"", self.platforms[-1].key, self.platforms[-1].serial, at=now, status=204)


class Wire(Transport):
    """Sends to the office instead of a host, and keeps what was sent. Everybody beside gets to send, too."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.sent: list[HttpRequest] = []

    async def send(self, request: HttpRequest, timeout: timedelta) -> HttpResponse:  # noqa: ARG002, ASYNC109 # as Transport has it
        self.sent.append(request)
        await self.office.clock.sleep(0)
        response = self.office(request)
        if isinstance(response, TransportFailure):
            raise response
        return response

    def sent_to(self, path: str) -> Sequence[HttpRequest]:
        return [request for request in self.sent if urlsplit(request.url).path.startswith(path)]

    @property
    def fetches(self) -> int:
        return len(self.sent_to("/v3/certificates"))

    @property
    def questions(self) -> int:
        return len(self.sent_to("/v3/pay/"))


@dataclass(frozen=True)
class Bench:
    """A channel's gateway and everything about it."""

    gateway: WechatGateway
    office: Office
    wire: Wire
    clock: AutoClock
    pace: FreePace
    memory: Memory


def settings(folder: Path, *, public_key: bool, apiv3_key: bool, **more: str) -> WechatSettings:
    files = {
        "own": MERCHANT.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "theirs": PUBLIC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "apiv3": APIV3_KEY + b"\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    table: dict[str, object] = {"mchid": "1900000001", "appid": "wx1", "serial_no": "ab12"}
    table["private_key"] = f"file:{folder / 'own'}"
    if public_key:
        table |= {"public_key_id": KEY_ID, "public_key": f"file:{folder / 'theirs'}"}
    if apiv3_key:
        table["apiv3_key"] = f"file:{folder / 'apiv3'}"
    return WechatSettings.model_validate(table | more)


def bench(made: WechatSettings, memory: Memory | None = None, office: Office | None = None) -> Bench:
    clock = office.clock if office else AutoClock(NOW)
    office = office or Office(clock)
    wire, pace, memory = Wire(office), FreePace(), memory or KeptInMind()
    gateway = WechatGateway(ChannelName("main"), made, Way(wire, pace, clock, timedelta(seconds=5), memory))
    return Bench(gateway, office, wire, clock, pace, memory)


async def answer(made: Bench) -> Answer:
    (reply,) = await made.gateway.ask(["A1"])
    return reply.answer


def always(response: HttpResponse | TransportFailure) -> Respond:
    return lambda _request, _now: response
