"""A request to WeChat Pay, signed as the merchant (gateways.md 2.2)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from reconciler.gateways.asking import USER_AGENT
from reconciler.gateways.keys import sign
from reconciler.gateways.wechat.signing import request_text
from reconciler.transport import HttpRequest

SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who asks: the merchant, or the service provider on a merchant's behalf."""

    mchid: str
    serial_no: str
    """Of the API certificate of that number, hex in upper case."""
    private_key: RSAPrivateKey = field(repr=False)
    public_key_id: str | None
    """The key that answers shall be signed with; None leaves it to WeChat Pay, which takes a certificate."""

    def request(self, method: str, target: str, now: datetime, endpoint: str, body: bytes = b"") -> HttpRequest:
        """Sign path, query and body exactly as they go on the wire; the host is not signed, so each host takes it."""
        timestamp, nonce = int(now.timestamp()), secrets.token_hex(16)
        signature = sign(self.private_key, request_text(method, target, timestamp, nonce, body))
        authorization = (
            f'{SCHEME} mchid="{self.mchid}",nonce_str="{nonce}",timestamp="{timestamp}",'
            f'serial_no="{self.serial_no}",signature="{signature}"'
        )
        headers = [("User-Agent", USER_AGENT), ("Accept", "application/json"), ("Authorization", authorization)]
        if self.public_key_id is not None:
            headers.append(("Wechatpay-Serial", self.public_key_id))
        if body:
            headers.append(("Content-Type", "application/json"))
        return HttpRequest(method, endpoint + target, tuple(headers), body)
