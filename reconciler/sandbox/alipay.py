"""Alipay's gateway.do, as far as alipay.trade.query goes (gateways.md 1.2 to 1.8)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.beijing import beijing_text, parse_beijing
from reconciler.sandbox.book import Book
from reconciler.sandbox.keys import Keys, sign, verifies
from reconciler.sandbox.trade import GatewayKind, State, Trade, Trouble, Twist
from reconciler.sandbox.wire import HTML_502, Reply, is_sane

METHOD = "alipay.trade.query"
ROOT = "alipay_trade_query_response"
CLOCK_TOLERANCE = timedelta(minutes=15)
"""The real one is not documented; ours is narrow enough to find a clock that forgot Beijing."""
FIELDS_MAX = 100
REQUIRED = ("app_id", "method", "charset", "sign_type", "sign", "timestamp", "version", "biz_content")

_STATUS = {
    State.UNPAID: "WAIT_BUYER_PAY",
    State.PAID: "TRADE_SUCCESS",
    State.REFUNDED: "TRADE_CLOSED",
    State.CLOSED: "TRADE_CLOSED",
}


class Refusal(Exception):
    """A request that is answered with an error: code, msg, sub_code, sub_msg (gateways.md 1.8)."""

    def __init__(self, code: str, msg: str, sub_code: str, sub_msg: str = "") -> None:
        super().__init__(sub_code)
        self.value = {"code": code, "msg": msg, "sub_code": sub_code, "sub_msg": sub_msg or sub_code}


class Alipay:
    """The gateway: verifies what it is sent, and signs what it says."""

    def __init__(self, keys: Keys, accounts: Accounts, book: Book) -> None:
        self._keys = keys
        self._accounts = accounts
        self._book = book

    def answer(self, query: str, body: bytes, now: datetime) -> Reply:
        """Answer one request: `query` is the URL's, still encoded, `body` the form. Refusals come unsigned."""
        try:
            number, by_transaction = self._verified(query, body, now)
        except Refusal as refusal:
            return self._reply(refusal.value, "", signed=False)
        if by_transaction:
            found = self._book.by_transaction(GatewayKind.ALIPAY, number)
            number = found.out_trade_no if found else ""
        trade, ask = self._book.ask(GatewayKind.ALIPAY, number)
        trouble = trade.trouble_on(ask) if trade else None
        match trouble:
            case Trouble.SERVER_ERROR:
                return self._out_of_order(ask, number)
            case Trouble.THROTTLED:
                return self._reply(Refusal("40005", "Call Limited", "isv.app-call-limited").value, number, signed=False)
            case _:
                value = self._value(trade, number, now)
        reply = self._reply(value, number, signed=trouble is not Trouble.UNSIGNED, trouble=trouble)
        return replace(reply, delay_seconds=trade.slow_seconds) if trade and trouble is Trouble.SLOW else reply

    def _verified(self, query: str, body: bytes, now: datetime) -> tuple[str, bool]:
        in_url, given = _parameters(query, body)
        if given.get("app_id") != self._accounts.app_id:  # the real gateway too looks at app_id before the signature
            raise _invalid("isv.invalid-app-id", "无效的AppID参数")
        for name in REQUIRED:
            if not given.get(name):
                raise Refusal("40001", "Missing Required Arguments", f"isv.missing-{name.replace('_', '-')}")
        if in_url.get("charset", "").lower() != "utf-8":
            raise _invalid("isv.invalid-charset", "charset must be in the URL's query, and utf-8 here")
        if given["sign_type"] != "RSA2":
            raise _invalid("isv.invalid-signature-type")
        text = "&".join(f"{name}={given[name]}" for name in sorted(given) if name != "sign" and given[name])
        if not verifies(self._keys.app.public_key(), given["sign"], text.encode()):
            raise _invalid("isv.invalid-signature", f"验签出错, 待验签字符串: {text}")
        if given["method"] != METHOD or given["version"] != "1.0" or given.get("format", "JSON").upper() != "JSON":
            raise _invalid("isv.invalid-method", f"the sandbox answers {METHOD}, version 1.0, format JSON")
        _check_time(given["timestamp"], now)
        return _number(given["biz_content"])

    def _value(self, trade: Trade | None, number: str, now: datetime) -> Mapping[str, object]:
        state = trade.state_at(now) if trade else State.ABSENT
        if trade is None or state is State.ABSENT or trade.twist is Twist.OTHER_MERCHANT:
            return _not_exist(number)
        fields: dict[str, object] = {
            "code": "10000",
            "msg": "Success",
            "buyer_logon_id": "159****5620",
            "buyer_open_id": f"01{zlib.crc32(number.encode()):010d}SandboxBuyerOpenId",
            "out_trade_no": trade.out_trade_no,
            "point_amount": "0.00",
            "store_name": "网店/online {sandbox}",  # a slash and braces, for whoever cuts the value out carelessly
            "total_amount": yuan(trade.amount_fen),
            "trade_no": trade.transaction_id,
            "trade_status": "TRADE_HELD" if trade.twist is Twist.UNKNOWN_STATE else _STATUS[state],
        }
        if state in {State.PAID, State.REFUNDED} and trade.paid_at:
            paid = yuan(trade.amount_fen)
            fields |= {"buyer_pay_amount": paid, "receipt_amount": paid, "invoice_amount": paid}
            fields |= {"send_pay_date": beijing_text(trade.paid_at)}
            fields |= {"fund_bill_list": [{"amount": paid, "fund_channel": "ALIPAYACCOUNT"}]}
        return fields

    def _out_of_order(self, ask: int, number: str) -> Reply:
        turn = ask % 3
        if turn == 1:
            return self._reply(
                Refusal("20000", "Service Currently Unavailable", "isp.unknow-error").value, number, signed=False
            )
        if turn == 2:  # noqa: PLR2004 # the second of three faces
            return HTML_502
        return self._reply(Refusal("40004", "Business Failed", "ACQ.SYSTEM_ERROR", "系统错误").value, number)

    def _reply(
        self, value: Mapping[str, object], number: str, *, signed: bool = True, trouble: Trouble | None = None
    ) -> Reply:
        turn = zlib.crc32(number.encode())
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        escapes, sign_first = turn & 1, turn & 2
        if escapes:
            text = text.replace("/", r"\/")
        members = [f'"{ROOT}":{text}']
        if signed:
            key = self._keys.stranger if trouble is Trouble.BAD_SIGNATURE else self._keys.alipay
            signature = sign(key, text.encode())
            member = f'"sign":"{signature.replace("/", chr(92) + "/") if escapes else signature}"'
            members.insert(0 if sign_first else 1, member)
        return Reply(200, f"{{{','.join(members)}}}".encode(), {"Content-Type": "text/html;charset=utf-8"})


def yuan(fen: int) -> str:
    """Write fen as yuan with two decimals."""
    return f"{fen // 100}.{fen % 100:02d}"


def _parameters(query: str, body: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Give the URL's parameters, and those of URL and form together. A name given twice is refused."""
    try:
        in_url = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
        in_form = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise _invalid("isv.invalid-encoding") from error
    given = dict(in_url + in_form)
    if len(given) < len(in_url) + len(in_form):
        raise _invalid("isv.suspected-attack", "a parameter is given twice")
    return dict(in_url), given


def _check_time(text: str, now: datetime) -> None:
    try:
        gap = abs(parse_beijing(text) - now)
    except ValueError as error:
        raise _invalid("isv.invalid-timestamp") from error
    if gap > CLOCK_TOLERANCE:
        raise _invalid("isv.invalid-timestamp", f"off by {gap}; Beijing time is due")


def _number(biz_content: str) -> tuple[str, bool]:
    """Give the number asked about, and whether it is Alipay's own: trade_no wins (gateways.md 1.4)."""
    try:
        content = json.loads(biz_content)
    except (ValueError, RecursionError) as error:
        raise _invalid("isv.illegal-json") from error
    if not isinstance(content, dict):
        raise _invalid("isv.illegal-json")
    number = content.get("trade_no") or content.get("out_trade_no")
    if not isinstance(number, str) or not is_sane(number):
        raise Refusal("40004", "Business Failed", "ACQ.INVALID_PARAMETER", "参数无效")
    return number, bool(content.get("trade_no"))


def _not_exist(number: str) -> Mapping[str, object]:
    """Give the answer about a number that Alipay does not know; it has amounts all the same (gateways.md 1.8)."""
    refusal = Refusal("40004", "Business Failed", "ACQ.TRADE_NOT_EXIST", "交易不存在")
    amounts = dict.fromkeys(("buyer_pay_amount", "invoice_amount", "point_amount", "receipt_amount"), "0.00")
    return refusal.value | amounts | {"out_trade_no": number}


def _invalid(sub_code: str, sub_msg: str = "") -> Refusal:
    return Refusal("40002", "Invalid Arguments", sub_code, sub_msg)
