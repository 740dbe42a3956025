"""What WeChat Pay would say, by gateways.md 2, in each of its modes."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding

from reconciler.gateways import KINDS
from reconciler.testing.gateway_bench import Received, Sent, SocketBench, bench_over_a_socket
from reconciler.testing.gateway_situations import Situation
from tests.integration.gateways.other_keys import (
    Whose,
    certificate_over,
    holds,
    kept,
    key_of,
    private_file,
    public_file,
    signature,
)

MCHID, APPID = "1900000001", "wx1"
SUB_MCHID, SUB_APPID = "1900000109", "wx109"
SERIAL_NO = "5f1c72e2a8931b72a2e13af8dee92471eb397115"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112300000000000001"
APIV3_KEY = b"0123456789abcdefghijklmnopqrstuv"


@dataclass(frozen=True)
class Mode:
    name: str
    has_public_key: bool = True
    has_apiv3_key: bool = False
    signer: Whose = Whose.THEIRS
    is_partner: bool = False
    names_sub_appid: bool = False

    @property
    def numbers(self) -> dict[str, str]:
        """What a request names the merchant by."""
        return {"sp_mchid": MCHID, "sub_mchid": SUB_MCHID} if self.is_partner else {"mchid": MCHID}

    @property
    def prefix(self) -> str:
        return f"/v3/pay/{'partner/' if self.is_partner else ''}transactions/out-trade-no/"

    @property
    def merchant(self) -> dict[str, str]:
        """What an answer names the merchant by."""
        if not self.is_partner:
            return {"appid": APPID, "mchid": MCHID}
        return {"sp_appid": APPID, "sp_mchid": MCHID, "sub_mchid": SUB_MCHID, "sub_appid": SUB_APPID}

    def table(self, folder: Path) -> dict[str, object]:
        """Give the channel's table of the configuration."""
        table: dict[str, object] = {
            "mchid": MCHID,
            "appid": APPID,
            "serial_no": SERIAL_NO,
            "private_key": private_file(folder),
        }
        if self.has_public_key:
            table |= {"public_key_id": PUBLIC_KEY_ID, "public_key": public_file(folder)}
        if self.has_apiv3_key:
            table["apiv3_key"] = kept(folder, "apiv3", APIV3_KEY + b"\n")
        if self.is_partner:
            table["sub_mchid"] = SUB_MCHID
        if self.names_sub_appid:
            table["sub_appid"] = SUB_APPID
        return table


PUBLIC_KEY = Mode("public key")
PLATFORM = Mode("platform certificates", has_public_key=False, has_apiv3_key=True, signer=Whose.CERTIFIED)
MIGRATING = Mode("migration, answered by public key", has_apiv3_key=True)
NOT_YET_MIGRATED = Mode("migration, answered by certificate", has_apiv3_key=True, signer=Whose.CERTIFIED)
PARTNER = Mode("service provider", is_partner=True)
PARTNER_WITH_APPID = Mode(
    "service provider by certificate, with the merchant's appid",
    has_public_key=False,
    has_apiv3_key=True,
    signer=Whose.CERTIFIED,
    is_partner=True,
    names_sub_appid=True,
)
MODES = (PUBLIC_KEY, PLATFORM, MIGRATING, NOT_YET_MIGRATED, PARTNER, PARTNER_WITH_APPID)


@dataclass(frozen=True)
class Says:
    """One signed answer of WeChat Pay's."""

    content: Mapping[str, object] | None
    """None: no body at all."""
    status: int = 200
    is_signed: bool = True
    by: Whose | None = None
    """None: by whom the mode says."""
    late_s: int = 2
    """How far the signed time is ahead."""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """What stands in place of a header; None: nothing."""
    altered: tuple[bytes, bytes] | None = None
    """What of the signed bytes is replaced after signing."""
    becomes: Situation | None = None


@dataclass
class WechatSide:
    """Implements `OtherSide`."""

    mode: Mode
    rows: dict[str, Says | Sent] = field(default_factory=dict)
    """By number: what is said to a query whatever the situation."""
    fetches: int = 0
    """How often the platform certificates were fetched."""

    def number_of(self, request: Received) -> str | None:
        self._check_signature(request)
        path, _, query = request.target.partition("?")
        if path == "/v3/certificates":
            assert (request.method, query, request.body) == ("GET", "", b"")
            return None
        assert path.startswith(self.mode.prefix)
        path = path.removeprefix(self.mode.prefix)
        if request.method == "POST":
            assert (query, json.loads(request.body)) == ("", self.mode.numbers)
            assert request.headers["content-type"] == "application/json"
            assert path.endswith("/close")
            return unquote(path.removesuffix("/close"))
        assert (request.method, request.body) == ("GET", b"")
        assert dict(parse_qsl(query)) == self.mode.numbers
        return unquote(path)

    def answer(self, request: Received, situation: Situation | None) -> Sent:
        number = self.number_of(request)
        if number is None:
            self.fetches += 1
            assert self.mode.has_apiv3_key
            return self.signed(certificates(), request.at)
        assert situation is not None
        said = self._closing(situation) if request.method == "POST" else self.rows.get(number)
        said = said or self._query(number, situation)
        return said if isinstance(said, Sent) else self.signed(said, request.at)

    def signed(self, said: Says, at: datetime) -> Sent:
        """Sign time, nonce and body."""
        body = b"" if said.content is None else json.dumps(said.content, ensure_ascii=False).encode()
        by = said.by or self.mode.signer
        time = str(int(at.timestamp()) + said.late_s)
        headers: dict[str, str | None] = {
            "Wechatpay-Timestamp": time,
            "Wechatpay-Nonce": "n0nce",
            "Wechatpay-Serial": serial_of(by if by is not Whose.STRANGERS else self.mode.signer),
            "Wechatpay-Signature": signature(by, f"{time}\nn0nce\n".encode() + body + b"\n"),
            **said.headers,
        }
        if said.altered:
            changed = body.replace(*said.altered)
            assert changed != body
            body = changed
        shown = {name: value for name, value in headers.items() if value is not None} if said.is_signed else {}
        return Sent(body, said.status, shown, said.becomes)

    def trade_of(self, number: str) -> dict[str, object]:
        """Give a paid trade's members."""
        return self._bare(number) | {
            "transaction_id": f"T-{number}",
            "trade_state": "SUCCESS",
            "success_time": "2026-11-23T11:59:00+08:00",
            "amount": {"total": 9900, "payer_total": 9800, "currency": "CNY"},
        }

    def _bare(self, number: str) -> dict[str, object]:
        return {**self.mode.merchant, "out_trade_no": number, "trade_state_desc": "支付成功"}

    def _check_signature(self, request: Received) -> None:
        scheme, _, rest = request.headers["authorization"].partition(" ")
        assert scheme == "WECHATPAY2-SHA256-RSA2048"
        said = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        assert (said["mchid"], said["serial_no"]) == (MCHID, SERIAL_NO.upper())
        lines = [request.method, request.target, said["timestamp"], said["nonce_str"], request.body.decode(), ""]
        assert holds(key_of(Whose.OURS).public_key(), said["signature"], "\n".join(lines).encode())
        assert int(said["timestamp"]) == int(request.at.timestamp())
        assert request.headers.get("wechatpay-serial") == (PUBLIC_KEY_ID if self.mode.has_public_key else None)
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"].startswith("payment-reconciler/")

    def _query(self, number: str, situation: Situation) -> Says | Sent:
        refusals = {
            Situation.NOT_CREATED: (404, "ORDER_NOT_EXIST"),
            Situation.THROTTLED: (429, "FREQUENCY_LIMITED"),
            Situation.REVOKED_KEY: (403, "NO_AUTH"),
            Situation.BAD_NUMBER: (400, "PARAM_ERROR"),
        }
        if situation in refusals:
            return refusal(*refusals[situation])
        trade, bare = self.trade_of(number), self._bare(number)
        contents: dict[Situation, Says] = {
            Situation.PAID: Says(trade),
            Situation.REFUNDED: Says(trade | {"trade_state": "REFUND"}),
            Situation.CLOSED: Says(bare | {"trade_state": "CLOSED"}),
            Situation.UNPAID: Says(bare | {"trade_state": "NOTPAY"}),
            Situation.CLOSABLE: Says(bare | {"trade_state": "NOTPAY"}),
            Situation.NEW_STATE: Says(bare | {"trade_state": "DREAMT"}),
            Situation.FORGED: Says(trade, by=Whose.STRANGERS),
            Situation.UNSIGNED: Says(trade, is_signed=False),
            Situation.ALTERED: Says(trade, altered=(b"9900", b"9901")),
            Situation.ODD_AMOUNT: Says(trade | {"amount": {"total": "9900", "currency": "CNY"}}),
            Situation.STRANGER: Says(self.trade_of("B2")),
            Situation.STALE: Says(trade, late_s=-3600),
        }
        return contents[situation]

    def _closing(self, situation: Situation) -> Says | Sent:
        done = Says(None, 204)
        match situation:
            case Situation.CLOSABLE:
                return replace(done, becomes=Situation.CLOSED)
            case Situation.CLOSED:
                return done
            case Situation.FORGED:
                return replace(done, by=Whose.STRANGERS)
            case Situation.UNSIGNED:
                return replace(done, is_signed=False)
            case Situation.NOT_CREATED:
                return refusal(404, "ORDER_NOT_EXIST")
            case Situation.THROTTLED:
                return refusal(429, "RATELIMIT_EXCEEDED")
            case Situation.REVOKED_KEY:
                return refusal(401, "SIGN_ERROR")
            case _:
                return refusal(400, "ORDERPAID")


def serial_of(whose: Whose) -> str:
    """Name the key that an answer is signed with, in another case than we are used to."""
    return PUBLIC_KEY_ID.lower() if whose is Whose.THEIRS else f"{certificate_over(whose).serial_number:x}"


def certificates() -> Says:
    """Answer GET /v3/certificates: one certificate, encrypted for the merchant; signed by it, whatever the mode."""
    certificate = certificate_over(Whose.CERTIFIED)
    item = {
        "serial_no": f"{certificate.serial_number:X}",
        "effective_time": certificate.not_valid_before_utc.isoformat(),
        "expire_time": certificate.not_valid_after_utc.isoformat(),
        "encrypt_certificate": sealed(certificate.public_bytes(Encoding.PEM), os.urandom(6).hex()),
    }
    return Says({"data": [item]}, by=Whose.CERTIFIED)


def sealed(pem: bytes, nonce: str, apiv3_key: bytes = APIV3_KEY) -> dict[str, str]:
    """Encrypt a certificate for the merchant."""
    ciphertext = AESGCM(apiv3_key).encrypt(nonce.encode(), pem, b"certificate")
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "nonce": nonce,
        "associated_data": "certificate",
        "ciphertext": base64.b64encode(ciphertext).decode(),
    }


def refusal(status: int, code: str | None, field_named: str | None = None, **headers: str) -> Sent:
    """Give a refusal, unsigned as all of them are."""
    error: dict[str, object] = {"message": "不\n行\u202e"}
    error |= {"code": code} if code else {}
    error |= {"detail": {"field": field_named}} if field_named else {}
    return Sent(json.dumps(error).encode(), status, headers)


@asynccontextmanager
async def wechat_bench(mode: Mode, folder: Path) -> AsyncIterator[tuple[SocketBench, WechatSide]]:
    side = WechatSide(mode)
    async with bench_over_a_socket(KINDS["wechat"], mode.table(folder), side) as bench:
        yield bench, side
