"""Coverage-guided fuzzing of everything that reads a gateway's bytes. By hand, not in CI.

    python tests/fuzz/fuzz_gateways.py -max_total_time=600

Any exception is a finding: hostile bytes are an answer. Half of the inputs are signed by the gateway's own key before
they are read, so that what lies behind the signature is reached as well.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import atheris
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

with atheris.instrument_imports(include=["reconciler.gateways", "json"]):
    from reconciler.domain.answer import Answer, Evidence
    from reconciler.domain.closing import CloseReply
    from reconciler.domain.order import ChannelName
    from reconciler.gateways.alipay import KIND as ALIPAY
    from reconciler.gateways.alipay import AlipaySettings
    from reconciler.gateways.alipay.gateway import AlipayGateway
    from reconciler.gateways.asking import Dialect
    from reconciler.gateways.kind import Kind
    from reconciler.gateways.line import Way
    from reconciler.gateways.wechat import KIND as WECHAT
    from reconciler.gateways.wechat import WechatSettings
    from reconciler.gateways.wechat.gateway import WechatGateway
    from reconciler.ops.clock import SystemClock
    from reconciler.testing.memory import KeptInMind
    from reconciler.testing.pace import FreePace
    from reconciler.transport import HttpResponse, Transport

NUMBER = "A1"
NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112300000000000001"
THEIRS = rsa.generate_private_key(65537, 2048)
ROOTS = ("alipay_trade_query_response", "alipay_trade_fastpay_refund_query_response", "alipay_trade_close_response")
STATUSES = (200, 200, 200, 202, 204, 400, 401, 403, 404, 429, 500, 502)
TEMPLATES: tuple[dict[str, object], ...] = (
    {
        "code": "10000",
        "out_trade_no": NUMBER,
        "trade_no": "42",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "99.00",
        "send_pay_date": "2026-11-23 11:59:00",
        "trans_currency": "CNY",
    },
    {"code": "10000", "out_trade_no": NUMBER, "trade_status": "TRADE_CLOSED", "total_amount": "99.00"},
    {
        "code": "10000",
        "out_trade_no": NUMBER,
        "out_request_no": NUMBER,
        "refund_status": "REFUND_SUCCESS",
        "refund_amount": "99.00",
        "total_amount": "99.00",
    },
    {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "m", "out_trade_no": NUMBER},
    {
        "appid": "wx1",
        "mchid": "1900000001",
        "out_trade_no": NUMBER,
        "transaction_id": "42",
        "trade_state": "SUCCESS",
        "success_time": "2026-11-23T11:59:00+08:00",
        "amount": {"total": 9900, "currency": "CNY"},
    },
    {"code": "PARAM_ERROR", "message": "m", "detail": {"field": "/mchid"}},
    {"data": [{"serial_no": "AB", "encrypt_certificate": {"algorithm": "AEAD_AES_256_GCM", "nonce": "n"}}]},
)
WORDS = [
    "10000", "20000", "20001", "40001", "40002", "40003", "40004", "40005", "40006", "TRADE_SUCCESS", "TRADE_FINISHED",
    "TRADE_CLOSED", "WAIT_BUYER_PAY", "SUCCESS", "REFUND", "NOTPAY", "CLOSED", "REVOKED", "USERPAYING", "PAYERROR",
    "ACQ.TRADE_NOT_EXIST", "ACQ.SYSTEM_ERROR", "isv.invalid-signature", "isv.missing-app-id", "REFUND_SUCCESS", "USD",
    "ORDER_NOT_EXIST", "SIGN_ERROR", "99.00", "98.00", "9" * 30, "2026-02-31 00:00:00", "9999-12-31T23:59:59+23:59",
]  # fmt: skip


def sign(text: bytes) -> str:
    """Sign as the gateway does."""
    return base64.b64encode(THEIRS.sign(text, padding.PKCS1v15(), SHA256())).decode()


def settings_of(folder: Path) -> dict[str, dict[str, str]]:
    """Write the keys, and give the settings that name them."""
    own, theirs = folder / "own", folder / "theirs"
    own_key = rsa.generate_private_key(65537, 2048)
    own.write_bytes(own_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    theirs.write_bytes(THEIRS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return {
        "alipay": {"app_id": "1", "private_key": f"file:{own}", "alipay_public_key": f"file:{theirs}"},
        "wechat": {
            "mchid": "1900000001",
            "appid": "wx1",
            "serial_no": "AB",
            "private_key": f"file:{own}",
            "public_key_id": PUBLIC_KEY_ID,
            "public_key": f"file:{theirs}",
        },
    }


def readers(folder: Path) -> tuple[Callable[[HttpResponse], None], Callable[[HttpResponse], None]]:
    """Give what reads an Alipay answer, and what reads one of WeChat Pay, each in every way there is."""
    way = Way(Transport(), FreePace(), SystemClock(), timedelta(seconds=1), KeptInMind())
    tables, channel = settings_of(folder), ChannelName("main")
    alipay = AlipayGateway(channel, AlipaySettings.model_validate(tables["alipay"]), way)
    wechat = WechatGateway(channel, WechatSettings.model_validate(tables["wechat"]), way)
    return reader(alipay, ALIPAY), reader(wechat, WECHAT)


def reader(gateway: Dialect, kind: Kind[Any]) -> Callable[[HttpResponse], None]:
    """Read a response in every way that the gateway has."""

    def read(response: HttpResponse) -> None:
        call = gateway.query(NUMBER)
        reading = call.read(response, NOW)
        assert isinstance(reading.answer, get_args(Answer))
        if reading.further is not None:
            assert isinstance(reading.further.read(response, NOW).answer, get_args(Answer))
        assert isinstance(gateway.closing(NUMBER).read(response, NOW).reply, get_args(CloseReply))
        if reading.key is not None:
            fingerprint, headers = reading.key.fingerprint, reading.signed_headers
            evidence = Evidence(kind.name, call.said, response.status, headers, response.body, fingerprint, NOW)
            assert kind.verify_evidence(evidence, reading.key) is None

    return read


def document(given: atheris.FuzzedDataProvider) -> bytes:
    """Make something between noise and a gateway's own words: raw bytes, a template cut up, or one with odd values."""
    template = TEMPLATES[given.ConsumeIntInRange(0, len(TEMPLATES) - 1)]
    match given.ConsumeIntInRange(0, 2):
        case 0:
            return bytes(given.ConsumeBytes(4096))
        case 1:
            text = json.dumps(template).encode()
            start, length = given.ConsumeIntInRange(0, len(text)), given.ConsumeIntInRange(0, 40)
            return text[:start] + bytes(given.ConsumeBytes(256)) + text[start + length :]
        case _:
            odd = dict(template)
            for _ in range(given.ConsumeIntInRange(1, 4)):
                odd[given.PickValueInList(sorted(odd))] = value(given)
            return json.dumps(odd).encode()


def value(given: atheris.FuzzedDataProvider) -> object:
    """Make a value that JSON can hold."""
    match given.ConsumeIntInRange(0, 6):
        case 0:
            return given.ConsumeUnicode(64)
        case 1:
            return given.ConsumeInt(16)
        case 2:
            return given.ConsumeFloat()
        case 3:
            return given.PickValueInList([None, True, False, [], {}])
        case 4:
            return given.PickValueInList(WORDS)
        case 5:
            return {given.ConsumeUnicode(8): given.ConsumeUnicode(16)}
        case _:
            return [given.ConsumeUnicode(16)]


def main() -> None:
    """Fuzz until told to stop."""
    with tempfile.TemporaryDirectory() as folder:
        alipay, wechat = readers(Path(folder))

        def one(data: bytes) -> None:
            given = atheris.FuzzedDataProvider(data)
            status = STATUSES[given.ConsumeIntInRange(0, len(STATUSES) - 1)]
            signed, for_alipay = given.ConsumeBool(), given.ConsumeBool()
            root = ROOTS[given.ConsumeIntInRange(0, len(ROOTS) - 1)]
            content = document(given)
            if for_alipay and signed:
                tail = json.dumps(sign(content)).encode()
                content = b'{"' + root.encode() + b'":' + content + b',"sign":' + tail + b"}"
            if for_alipay:
                alipay(HttpResponse(status, (), content))
                return
            timestamp = str(int(NOW.timestamp())) if signed else given.ConsumeUnicode(32)
            text = f"{timestamp}\nn\n".encode("utf-8", "replace") + content + b"\n"
            headers = (
                ("wechatpay-timestamp", timestamp),
                ("wechatpay-nonce", "n"),
                ("wechatpay-serial", PUBLIC_KEY_ID if signed else given.ConsumeUnicode(64)),
                ("wechatpay-signature", sign(text) if signed else given.ConsumeUnicode(64)),
            )
            wechat(HttpResponse(status, headers, content))

        atheris.Setup([*sys.argv, "-max_len=2048", "-len_control=0"], one)
        atheris.Fuzz()


main()
