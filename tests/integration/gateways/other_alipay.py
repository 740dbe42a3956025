"""What Alipay would say, by gateways.md 1, in each of its modes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from pathlib import Path
from urllib.parse import parse_qsl

from reconciler.gateways import KINDS
from reconciler.testing.gateway_bench import Received, Sent, SocketBench, bench_over_a_socket
from reconciler.testing.gateway_situations import Situation
from tests.integration.gateways.other_keys import (
    Whose,
    certificate_file,
    certificate_over,
    holds,
    kept,
    key_of,
    private_file,
    public_file,
    roots,
    roots_sn_of,
    signature,
    sn_of,
)

BEIJING = timezone(timedelta(hours=8))
APP_ID = "2021000000000001"
TOKEN = "202611BB0123456789"
QUERY, CLOSE, REFUND_QUERY = "alipay.trade.query", "alipay.trade.close", "alipay.trade.fastpay.refund.query"

Content = Mapping[str, object]


@dataclass(frozen=True)
class Mode:
    name: str
    is_certified: bool = False
    token: str | None = None

    @property
    def signer(self) -> Whose:
        return Whose.CERTIFIED if self.is_certified else Whose.THEIRS

    def table(self, folder: Path) -> dict[str, object]:
        """Give the channel's table of the configuration."""
        table: dict[str, object] = {"app_id": APP_ID, "private_key": private_file(folder)}
        if self.is_certified:
            table |= {
                "app_cert": certificate_file(folder, Whose.OURS),
                "alipay_cert": certificate_file(folder, Whose.CERTIFIED),
                "alipay_root_cert": kept(folder, "roots.crt", roots()),
            }
        else:
            table["alipay_public_key"] = public_file(folder)
        if self.token:
            table["app_auth_token"] = kept(folder, "token", self.token.encode())
        return table


KEY = Mode("key")
CERTIFICATE = Mode("certificate", is_certified=True)
PROVIDER = Mode("service provider", token=TOKEN)
CERTIFIED_PROVIDER = Mode("service provider by certificate", is_certified=True, token=TOKEN)
MODES = (KEY, CERTIFICATE, PROVIDER, CERTIFIED_PROVIDER)


@dataclass(frozen=True)
class Says:
    """One answer of Alipay's, to be put into its envelope."""

    content: Content
    is_signed: bool = True
    by: Whose | None = None
    """None: by whom the mode says."""
    certificate_sn: str | None = ""
    """Empty: as the mode says; None: not named."""
    root: str | None = None
    altered: tuple[bytes, bytes] | None = None
    """What of the signed bytes is replaced after signing."""


@dataclass
class AlipaySide:
    """Implements `OtherSide`."""

    mode: Mode
    rows: dict[str, dict[str, Says | Sent]] = field(default_factory=dict)
    """By number and method: what is said whatever the situation."""

    def number_of(self, request: Received) -> str:
        path, _, query = request.target.partition("?")
        assert (request.method, path) == ("POST", "/gateway.do")
        assert request.headers["content-type"].lower() == "application/x-www-form-urlencoded;charset=utf-8"
        public = dict(parse_qsl(query, strict_parsing=True))
        content = dict(parse_qsl(request.body.decode()))
        assert set(content) == {"biz_content"}
        parameters = public | content
        signed = parameters.pop("sign")
        text = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
        assert holds(key_of(Whose.OURS).public_key(), signed, text.encode())
        assert (public["app_id"], public["sign_type"], public["charset"]) == (APP_ID, "RSA2", "utf-8")
        assert public["timestamp"] == request.at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
        assert public.get("app_auth_token") == self.mode.token
        names = (sn_of(certificate_over(Whose.OURS)), roots_sn_of(roots())) if self.mode.is_certified else (None, None)
        assert (public.get("app_cert_sn"), public.get("alipay_root_cert_sn")) == names
        number = json.loads(content["biz_content"])["out_trade_no"]
        assert isinstance(number, str)
        return number

    def answer(self, request: Received, situation: Situation | None) -> Sent:
        assert situation is not None
        number = self.number_of(request)
        method = dict(parse_qsl(request.target.partition("?")[2]))["method"]
        said = self.rows.get(number, {}).get(method)
        becomes = None
        if said is None:
            said, becomes = self._by_situation(method, number, situation)
        if isinstance(said, Sent):
            return said
        return Sent(self.envelope(method, said), 200, {"Content-Type": "text/html;charset=utf-8"}, becomes)

    def envelope(self, method: str, said: Says) -> bytes:
        """Sign the root member's very bytes, slashes escaped as Alipay does."""
        raw = json.dumps(said.content, ensure_ascii=False).replace("/", "\\/").encode()
        members = [(said.root or method.replace(".", "_") + "_response", raw)]
        if said.is_signed:
            signed = signature(said.by or self.mode.signer, raw)
            members.append(("sign", json.dumps(signed).replace("/", "\\/").encode()))
            sn = sn_of(certificate_over(Whose.CERTIFIED)) if self.mode.is_certified else None
            if (sn := said.certificate_sn if said.certificate_sn != "" else sn) is not None:
                members.insert(0, ("alipay_cert_sn", json.dumps(sn).encode()))
        body = b"{" + b",".join(b'"' + name.encode() + b'":' + value for name, value in members) + b"}"
        if said.altered:
            changed = body.replace(*said.altered)
            assert changed != body
            return changed
        return body

    def _by_situation(self, method: str, number: str, situation: Situation) -> tuple[Says, Situation | None]:
        refusals: dict[Situation, tuple[str, str]] = {
            Situation.NOT_CREATED: ("40004", "ACQ.TRADE_NOT_EXIST"),
            Situation.THROTTLED: ("40005", "isv.app-call-limited"),
            Situation.REVOKED_KEY: ("40002", "isv.invalid-app-id"),
            Situation.BAD_NUMBER: ("40004", "ACQ.INVALID_PARAMETER"),
        }
        if situation in refusals:
            return refusal(*refusals[situation]), None
        if method == REFUND_QUERY:
            return Says({"code": "10000", "msg": "Success"}), None
        if method == CLOSE:
            return self._closing(number, situation)
        trade = trade_of(number)
        contents: dict[Situation, Says] = {
            Situation.PAID: Says(trade),
            Situation.REFUNDED: Says(trade | {"trade_status": "TRADE_CLOSED"}),
            Situation.CLOSED: Says({"code": "10000", "out_trade_no": number, "trade_status": "TRADE_CLOSED"}),
            Situation.UNPAID: Says(trade | {"trade_status": "WAIT_BUYER_PAY"}),
            Situation.CLOSABLE: Says(trade | {"trade_status": "WAIT_BUYER_PAY"}),
            Situation.NEW_STATE: Says(trade | {"trade_status": "TRADE_DREAMT"}),
            Situation.FORGED: Says(trade, by=Whose.STRANGERS),
            Situation.UNSIGNED: Says(trade, is_signed=False),
            Situation.ALTERED: Says(trade, altered=(b'"99.00"', b'"98.00"')),
            Situation.ODD_AMOUNT: Says(trade | {"total_amount": 99.0}),
            Situation.STRANGER: Says(trade_of("B2")),
        }
        return contents[situation], None

    def _closing(self, number: str, situation: Situation) -> tuple[Says, Situation | None]:
        done = {"code": "10000", "msg": "Success", "out_trade_no": number, "trade_no": f"T-{number}"}
        match situation:
            case Situation.CLOSABLE:
                return Says(done), Situation.CLOSED
            case Situation.FORGED:
                return Says(done, by=Whose.STRANGERS), None
            case Situation.UNSIGNED:
                return Says(done, is_signed=False), None
            case _:
                return refusal("40004", "ACQ.TRADE_STATUS_ERROR", out_trade_no=number), None


def trade_of(number: str) -> dict[str, object]:
    """Give a paid trade's members."""
    return {
        "code": "10000",
        "msg": "Success",
        "out_trade_no": number,
        "trade_no": f"T-{number}"[:64],
        "total_amount": "99.00",
        "trade_status": "TRADE_SUCCESS",
        "send_pay_date": "2026-11-23 11:59:00",
        "buyer_logon_id": 'a"}***@b.example',
    }


def refusal(code: str, sub_code: str, **more: str) -> Says:
    """Give a refusal, unsigned as most of them are."""
    return Says({"code": code, "msg": "…", "sub_code": sub_code, "sub_msg": "不\n行\u202e", **more}, is_signed=False)


@asynccontextmanager
async def alipay_bench(mode: Mode, folder: Path) -> AsyncIterator[tuple[SocketBench, AlipaySide]]:
    side, without = AlipaySide(mode), frozenset({Situation.STALE})  # its answers carry no signed time
    async with bench_over_a_socket(
        KINDS["alipay"], mode.table(folder), side, path="/gateway.do", without=without
    ) as bench:
        yield bench, side
