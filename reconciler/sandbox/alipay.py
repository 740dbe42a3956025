"""Alipay's gateway.do: query, close and refund query of a trade, in key mode and in certificate mode.

gateways.md 1.2 to 1.9.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.alipay_request import Call, Method, Refusal, parameters, root_of, verified
from reconciler.sandbox.beijing import beijing_text
from reconciler.sandbox.book import Book
from reconciler.sandbox.condition import WELL, Condition, Trait
from reconciler.sandbox.keys import Keys, sign
from reconciler.sandbox.trade import GatewayKind, State, Trade, Trouble, Twist
from reconciler.sandbox.wire import HTML_502, Reply, yuan

_STATUS = {
    State.UNPAID: "WAIT_BUYER_PAY",
    State.PAID: "TRADE_SUCCESS",
    State.REFUNDED: "TRADE_CLOSED",
    State.CLOSED: "TRADE_CLOSED",
}


class Alipay:
    """The gateway: verifies what it is sent, and signs what it says."""

    def __init__(self, keys: Keys, accounts: Accounts, book: Book) -> None:
        self._keys = keys
        self._accounts = accounts
        self._book = book

    def answer(self, query: str, body: bytes, now: datetime, condition: Condition = WELL) -> Reply:
        """Answer one request: `query` is the URL's, still encoded, `body` the form. Refusals come unsigned."""
        method = ""
        try:
            in_url, given = parameters(query, body)
            method = given.get("method", "")
            call = verified(in_url, given, self._keys, self._accounts, now)
        except Refusal as refusal:
            return _reply(root_of(method), refusal.value)
        number = self._out_trade_no(call)
        trade, ask = self._met(call.method, number)
        trouble = trade.trouble_on(ask) if trade else None
        if condition.trait is Trait.THROTTLE:
            trouble = Trouble.THROTTLED
        match trouble:
            case Trouble.SERVER_ERROR:
                return self._out_of_order(call, ask, number)
            case Trouble.THROTTLED:
                return _reply(root_of(method), Refusal("40005", "Call Limited", "isv.app-call-limited").value)
            case Trouble.UNSIGNED:
                return _reply(root_of(method), self._value(call, trade, number, now), number)
            case _:
                reply = self._signed(call, self._value(call, trade, number, now), number, trouble)
        return replace(reply, delay_seconds=trade.slow_seconds) if trade and trouble is Trouble.SLOW else reply

    def _out_trade_no(self, call: Call) -> str:
        if not call.by_transaction:
            return call.number
        found = self._book.by_transaction(GatewayKind.ALIPAY, call.number)
        return found.out_trade_no if found else ""

    def _met(self, method: Method, number: str) -> tuple[Trade | None, int]:
        match method:
            case Method.QUERY:
                return self._book.ask(GatewayKind.ALIPAY, number)
            case Method.CLOSE:
                return self._book.meet_to_close(GatewayKind.ALIPAY, number)
            case Method.REFUND_QUERY:
                return self._book.meet(GatewayKind.ALIPAY, number)
            case _ as never:
                assert_never(never)

    def _value(self, call: Call, trade: Trade | None, number: str, now: datetime) -> Mapping[str, object]:
        state = trade.state_at(now) if trade else State.ABSENT
        if trade is None or state is State.ABSENT or trade.twist is Twist.OTHER_MERCHANT:
            return _not_exist(call, number)
        match call.method:
            case Method.QUERY:
                return _queried(trade, state)
            case Method.CLOSE:
                return self._closed(trade, state, now)
            case Method.REFUND_QUERY:
                return _refund(trade, state, call.out_request_no)
            case _ as never:
                assert_never(never)

    def _closed(self, trade: Trade, state: State, now: datetime) -> Mapping[str, object]:
        if state is not State.UNPAID:
            return Refusal("40004", "Business Failed", "ACQ.TRADE_STATUS_ERROR", "交易状态不合法").value
        self._book.close(trade, now)
        return _success(trade)

    def _out_of_order(self, call: Call, ask: int, number: str) -> Reply:
        turn = ask % 3
        if turn == 1:
            refusal = Refusal("20000", "Service Currently Unavailable", "isp.unknow-error")
            return _reply(root_of(call.method), refusal.value)
        if turn == 2:  # noqa: PLR2004 # the second of three faces
            return HTML_502
        refusal = Refusal("40004", "Business Failed", "ACQ.SYSTEM_ERROR", "系统错误")
        return self._signed(call, refusal.value, number)

    def _signed(
        self, call: Call, value: Mapping[str, object], number: str, trouble: Trouble | None = None
    ) -> Reply:  # fmt: skip
        """Sign with the key of key mode, or with the certificate's, which the answer then names."""
        text, members = _written(value, number), {}
        key = self._keys.alipay
        if call.in_certificate_mode:
            certificates = self._keys.certificates
            is_renewed = trouble is Trouble.RENEWED_CERTIFICATE
            certified = certificates.renewed if is_renewed else certificates.alipay
            key, members = certified.key, {"alipay_cert_sn": f'"{certified.sn}"'}
        if trouble is Trouble.BAD_SIGNATURE:
            key = self._keys.stranger
        signature = sign(key, text.encode())
        members["sign"] = f'"{_escaped(signature) if _escapes(number) else signature}"'
        return _enveloped(root_of(call.method), text, members, sign_first=bool(zlib.crc32(number.encode()) & 2))


def _reply(root: str, value: Mapping[str, object], number: str = "") -> Reply:
    """Write an unsigned answer."""
    return _enveloped(root, _written(value, number), {})


def _enveloped(root: str, text: str, members: Mapping[str, str], *, sign_first: bool = False) -> Reply:
    both = {**members, root: text} if sign_first else {root: text, **members}
    body = ",".join(f'"{name}":{value}' for name, value in both.items())
    return Reply(200, f"{{{body}}}".encode(), {"Content-Type": "text/html;charset=utf-8"})


def _written(value: Mapping[str, object], number: str) -> str:
    """Write the value, as it will be signed: about some numbers with its slashes escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _escaped(text) if _escapes(number) else text


def _escapes(number: str) -> bool:
    return bool(zlib.crc32(number.encode()) & 1)


def _escaped(text: str) -> str:
    return text.replace("/", r"\/")


def _success(trade: Trade) -> dict[str, object]:
    return {"code": "10000", "msg": "Success", "out_trade_no": trade.out_trade_no, "trade_no": trade.transaction_id}


def _queried(trade: Trade, state: State) -> Mapping[str, object]:
    fields = _success(trade) | {
        "buyer_logon_id": "159****5620",
        "buyer_open_id": f"01{zlib.crc32(trade.out_trade_no.encode()):010d}SandboxBuyerOpenId",
        "point_amount": "0.00",
        "store_name": "网店/online {sandbox}",  # a slash and braces, for whoever cuts the value out carelessly
        "total_amount": yuan(trade.amount_fen),
        "trade_status": "TRADE_HELD" if trade.twist is Twist.UNKNOWN_STATE else _STATUS[state],
    }
    if state in {State.PAID, State.REFUNDED} and trade.paid_at and trade.twist is not Twist.UNDATED:
        paid = yuan(trade.amount_fen)
        fields |= {"buyer_pay_amount": paid, "receipt_amount": paid, "invoice_amount": paid}
        fields |= {"send_pay_date": beijing_text(trade.paid_at)}
        fields |= {"fund_bill_list": [{"amount": paid, "fund_channel": "ALIPAYACCOUNT"}]}
        fields |= {"trans_currency": "HKD"} if trade.twist is Twist.OTHER_CURRENCY else {}
    return fields


def _refund(trade: Trade, state: State, out_request_no: str) -> Mapping[str, object]:
    """Tell of a refund in full, made without a request number of its own; of any other, nothing (gateways.md 1.9)."""
    if state is not State.REFUNDED or out_request_no != trade.out_trade_no or trade.refunded_at is None:
        return {"code": "10000", "msg": "Success"}
    return _success(trade) | {
        "out_request_no": out_request_no,
        "total_amount": yuan(trade.amount_fen),
        "refund_amount": yuan(trade.amount_fen),
        "refund_status": "REFUND_SUCCESS",
        "gmt_refund_pay": beijing_text(trade.refunded_at),
    }


def _not_exist(call: Call, number: str) -> Mapping[str, object]:
    """Tell of a number that Alipay does not know: a query has amounts all the same (gateways.md 1.8).

    The refund query leaves the prefix out (gateways.md 1.9).
    """
    if call.method is Method.REFUND_QUERY:
        return Refusal("40004", "Business Failed", "TRADE_NOT_EXIST", "交易不存在").value
    refusal = Refusal("40004", "Business Failed", "ACQ.TRADE_NOT_EXIST", "交易不存在")
    if call.method is Method.CLOSE:
        return refusal.value
    amounts = dict.fromkeys(("buyer_pay_amount", "invoice_amount", "point_amount", "receipt_amount"), "0.00")
    return refusal.value | amounts | {"out_trade_no": number}
