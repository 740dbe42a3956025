"""What an honest gateway would answer, and the means to twist it: keys, words, bytes.

The gateways here know one payment: number A1, CNY 99.00, a minute ago. Signed by the gateway's own key unless an attack
says otherwise, so that what is wrong with an answer is only what the attack made wrong.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm

NUMBER = "A1"
MCHID, APPID = "1900000001", "wx0000000000000001"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112300000000000001"
BEIJING = timezone(timedelta(hours=8))


@cache
def key_of(whose: str) -> rsa.RSAPrivateKey:
    """One key for each name, made once: `gateway`, `merchant`, `stranger`."""
    assert whose
    return rsa.generate_private_key(65537, 2048)


def sign(
    text: bytes,
    whose: str = "gateway",
    algorithm: HashAlgorithm | None = None,
    pad: AsymmetricPadding | None = None,
) -> str:
    """Sign as both gateways do, unless told otherwise."""
    signature = key_of(whose).sign(text, pad or padding.PKCS1v15(), algorithm or SHA256())
    return base64.b64encode(signature).decode()


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, as bytes on the wire; `raw` instead of everything else where not even that is honest."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    raw: bytes | None = None
    repeat: int = 1
    """How often the last part of `raw` is sent on; for bodies without end."""
    part: bytes = b""
    every_s: float = 0.0
    keep_open: bool = False

    def wire(self) -> bytes:
        """Write it down."""
        if self.raw is not None:
            return self.raw
        fields = (("Content-Length", str(len(self.body))), *self.headers)
        named = {name.lower() for name, _ in self.headers}
        fields = tuple(pair for position, pair in enumerate(fields) if position or pair[0].lower() not in named)
        text = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"HTTP/1.1 {self.status} X\r\n{text}\r\n".encode("latin-1", "surrogateescape") + self.body


def changed(content: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Change members; None takes one away."""
    return {name: value for name, value in {**content, **changes}.items() if value is not None}


def encode(content: object) -> bytes:
    """Write JSON as both gateways do: compact, UTF-8."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class AlipayForger:
    """Alipay's hand, in key mode."""

    kind: str = "alipay"
    root: str = "alipay_trade_query_response"

    def content(self) -> dict[str, object]:
        """Give the members of an honest payment's answer."""
        paid_at = datetime.now(UTC) - timedelta(minutes=1)
        return {
            "code": "10000",
            "msg": "Success",
            "out_trade_no": NUMBER,
            "trade_no": "2026112322001400000000000001",
            "trade_status": "TRADE_SUCCESS",
            "total_amount": "99.00",
            "send_pay_date": f"{paid_at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
        }

    def honest(self) -> Answer:
        """Write the whole of it."""
        return self.with_content(encode(self.content()))

    def saying(self, changes: Mapping[str, object]) -> Answer:
        """Change members, and sign that with the gateway's key."""
        return self.with_content(encode(changed(self.content(), changes)))

    def with_content(self, raw: bytes) -> Answer:
        """Sign these bytes with the gateway's key."""
        return self.with_signature(sign(raw), raw)

    def with_signature(self, signature: str | None, raw: bytes | None = None) -> Answer:
        """Put these bytes under this signature."""
        raw = encode(self.content()) if raw is None else raw
        tail = b"" if signature is None else b',"sign":' + encode(signature)
        return Answer(body=b'{"' + self.root.encode() + b'":' + raw + tail + b"}")

    def text_to_sign(self, raw: bytes) -> bytes:
        """Take the root member's very bytes."""
        return raw


@dataclass(frozen=True)
class WechatForger:
    """WeChat Pay's hand, in public-key mode."""

    kind: str = "wechat"
    timestamp: int | None = None
    """Signed time; None: now."""
    nonce: str = "0123456789abcdef"
    serial: str = PUBLIC_KEY_ID
    more: tuple[tuple[str, str], ...] = field(default=())
    without: frozenset[str] = frozenset()
    status: int = 200

    def content(self) -> dict[str, object]:
        """Give the members of an honest payment's answer."""
        paid_at = datetime.now(UTC) - timedelta(minutes=1)
        return {
            "appid": APPID,
            "mchid": MCHID,
            "out_trade_no": NUMBER,
            "transaction_id": "4200000000000000000000000001",
            "trade_state": "SUCCESS",
            "success_time": paid_at.astimezone(BEIJING).isoformat(timespec="seconds"),
            "amount": {"total": 9900, "payer_total": 9900, "currency": "CNY", "payer_currency": "CNY"},
        }

    def honest(self) -> Answer:
        """Write the whole of it."""
        return self.with_content(encode(self.content()))

    def saying(self, changes: Mapping[str, object]) -> Answer:
        """Change members, and sign that with the gateway's key."""
        return self.with_content(encode(changed(self.content(), changes)))

    def with_content(self, raw: bytes) -> Answer:
        """Sign these bytes with the gateway's key."""
        frozen = replace(self, timestamp=self._sent())
        return frozen.with_signature(sign(frozen.text_to_sign(raw)), raw)

    def with_signature(self, signature: str | None, raw: bytes | None = None) -> Answer:
        """Put these bytes under this signature."""
        raw = encode(self.content()) if raw is None else raw
        fields = (
            ("Wechatpay-Timestamp", str(self._sent())),
            ("Wechatpay-Nonce", self.nonce),
            ("Wechatpay-Serial", self.serial),
            ("Wechatpay-Signature", signature or ""),
        )
        kept = tuple((name, value) for name, value in fields if signature is not None and name not in self.without)
        return Answer(self.status, (*kept, *self.more), raw)

    def text_to_sign(self, raw: bytes) -> bytes:
        """Take time, nonce, and the body's very bytes."""
        return f"{self._sent()}\n{self.nonce}\n".encode() + raw + b"\n"

    def _sent(self) -> int:
        return int(datetime.now(UTC).timestamp()) if self.timestamp is None else self.timestamp


Forger = AlipayForger | WechatForger
ALIPAY, WECHAT = AlipayForger(), WechatForger()
