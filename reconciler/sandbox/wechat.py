"""WeChat Pay v3: query and close by merchant number, and the platform certificates (gateways.md 2.1 to 2.6)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from reconciler.sandbox.accounts import OTHER_APPID, OTHER_MCHID, Accounts
from reconciler.sandbox.beijing import BEIJING
from reconciler.sandbox.book import Book
from reconciler.sandbox.condition import WELL, Condition, Trait
from reconciler.sandbox.keys import Keys, sign
from reconciler.sandbox.platform import Platform
from reconciler.sandbox.trade import GatewayKind, State, Trade, Trouble, Twist
from reconciler.sandbox.wechat_request import SCHEME, Action, Call, Refusal, verified
from reconciler.sandbox.wire import HTML_502, Reply, Request

STALE_S = 600
UNLISTED_SERIAL = "7F1B3D5A9C2E4680BDF13579ACE02468BDF13579"
"""Of a platform certificate that /v3/certificates does not list."""

_STATES = {
    State.UNPAID: ("NOTPAY", "订单未支付"),
    State.PAID: ("SUCCESS", "支付成功"),
    State.REFUNDED: ("REFUND", "订单发生过退款，退款详情请查询退款单"),
    State.CLOSED: ("CLOSED", "订单已关闭"),
}


class Wechat:
    """The gateway: verifies what it is sent, and signs what it says."""

    def __init__(self, keys: Keys, accounts: Accounts, book: Book, platform: Platform | None = None) -> None:
        self._keys = keys
        self._accounts = accounts
        self._book = book
        self._platform = platform or Platform(keys.platform, keys.apiv3_key)

    def answer(self, request: Request, now: datetime, condition: Condition = WELL) -> Reply:
        """Answer one request. Refusals come unsigned (gateways.md 2.3)."""
        try:
            call = verified(request, self._keys, self._accounts, now)
            return self._answer(call, request, now, condition)
        except Refusal as refusal:
            return _refused(refusal)

    def _answer(self, call: Call, request: Request, now: datetime, condition: Condition) -> Reply:
        signed_at = now + condition.clock_off
        trade, ask = self._met(call)
        trouble = trade.trouble_on(ask) if trade else None
        if condition.trait is Trait.THROTTLE:
            trouble = Trouble.THROTTLED
        match trouble:
            case Trouble.SERVER_ERROR if ask % 2 == 0:
                return HTML_502
            case Trouble.SERVER_ERROR:
                raise Refusal(500, "SYSTEM_ERROR", "系统异常，请稍后重试")
            case Trouble.THROTTLED:
                raise Refusal(429, "FREQUENCY_LIMITED" if ask % 2 else "RATELIMIT_EXCEEDED", "频率超限")
            case _:
                pass
        status, body = self._content(call, trade, now)
        reply = Reply(status, body, self._signature(body, request.headers, signed_at, trouble, ask))
        return replace(reply, delay_seconds=trade.slow_seconds) if trade and trouble is Trouble.SLOW else reply

    def _met(self, call: Call) -> tuple[Trade | None, int]:
        match call.action:
            case Action.QUERY:
                return self._book.ask(GatewayKind.WECHAT, call.number)
            case Action.CLOSE:
                return self._book.meet_to_close(GatewayKind.WECHAT, call.number)
            case Action.CERTIFICATES:
                return None, 0
            case _ as never:
                assert_never(never)

    def _content(self, call: Call, trade: Trade | None, now: datetime) -> tuple[int, bytes]:
        if call.action is Action.CERTIFICATES:
            if not self._accounts.has_platform_certificates:
                raise Refusal(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台申请使用微信支付公钥")
            return 200, _json(self._platform.listed())
        state = trade.state_at(now) if trade else State.ABSENT
        if trade is None or state is State.ABSENT:
            raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")
        if call.action is Action.CLOSE:
            return self._closed(trade, state, now)
        return 200, _json(self._fields(trade, state, by_partner=call.by_partner))

    def _closed(self, trade: Trade, state: State, now: datetime) -> tuple[int, bytes]:
        """Close an unpaid trade. Repeatable (gateways.md 2.1)."""
        if state in {State.PAID, State.REFUNDED}:
            raise Refusal(400, "ORDERPAID", "该订单已支付")
        if state is State.UNPAID:
            self._book.close(trade, now)
        return 204, b""

    def _fields(self, trade: Trade, state: State, *, by_partner: bool) -> Mapping[str, object]:
        name, description = _STATES[state]
        fields: dict[str, object] = {
            **self._merchants(trade, by_partner=by_partner),
            "out_trade_no": trade.out_trade_no,
            "trade_state": "HELD" if trade.twist is Twist.UNKNOWN_STATE else name,
            "trade_state_desc": description,
        }
        if state in {State.PAID, State.REFUNDED} and trade.paid_at:
            openid = f"o{zlib.crc32(trade.out_trade_no.encode()):010d}sandboxbuyer"
            fields |= {
                "transaction_id": trade.transaction_id,
                "trade_type": "JSAPI",
                "bank_type": "OTHERS",
                "attach": "",
                "success_time": trade.paid_at.astimezone(BEIJING).isoformat(timespec="seconds"),
                "payer": {"sp_openid": openid, "sub_openid": openid[::-1]} if by_partner else {"openid": openid},
                "amount": {
                    "total": trade.amount_fen,
                    "payer_total": trade.amount_fen,
                    "currency": "HKD" if trade.twist is Twist.OTHER_CURRENCY else "CNY",
                    "payer_currency": "CNY",
                },
            }
        return fields

    def _merchants(self, trade: Trade, *, by_partner: bool) -> Mapping[str, str]:
        """Say whom the trade pays: a service provider's name does not change, its merchant's does."""
        ours, is_ours = self._accounts, trade.twist is not Twist.OTHER_MERCHANT
        if by_partner:
            return {
                "sp_appid": ours.appid,
                "sp_mchid": ours.mchid,
                "sub_appid": ours.sub_appid if is_ours else OTHER_APPID,
                "sub_mchid": ours.sub_mchid if is_ours else OTHER_MCHID,
            }
        return {"appid": ours.appid if is_ours else OTHER_APPID, "mchid": ours.mchid if is_ours else OTHER_MCHID}

    def _signature(
        self, body: bytes, headers: Mapping[str, str], signed_at: datetime, trouble: Trouble | None, ask: int
    ) -> dict[str, str]:
        plain = {"Content-Type": "application/json; charset=utf-8", "Request-ID": _request_id(body, 0)}
        if trouble is Trouble.UNSIGNED:
            return plain
        asks_for_public_key = headers.get("Wechatpay-Serial", "") == self._accounts.public_key_id
        if asks_for_public_key or not self._accounts.has_platform_certificates:
            serial, key = self._accounts.public_key_id, self._keys.wechat
        else:
            serial, key = self._platform.newest.serial, self._platform.newest.key
        if trouble is Trouble.RENEWED_CERTIFICATE:
            serial, key = UNLISTED_SERIAL, self._keys.stranger
        sent, prefix = int(signed_at.timestamp()), ""
        if trouble is Trouble.BAD_SIGNATURE:
            # its three faces in turn: a deliberate probe, a stranger's key, an old answer
            turn = ask % 3
            prefix = "WECHATPAY/SIGNTEST/" if turn == 1 else ""
            key = self._keys.stranger if turn == 2 else key  # noqa: PLR2004 # the second of three faces
            sent -= STALE_S if turn == 0 else 0
        nonce = f"{zlib.crc32(body):08x}{zlib.adler32(headers.get('Authorization', '').encode()):08x}"
        signature = sign(key, f"{sent}\n{nonce}\n".encode() + body + b"\n")
        return plain | {
            "Wechatpay-Timestamp": str(sent),
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": prefix + signature,
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature-Type": SCHEME,
        }


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _refused(refusal: Refusal) -> Reply:
    told: dict[str, object] = {"code": refusal.code, "message": str(refusal)}
    if refusal.field:
        told["detail"] = {"field": refusal.field, "issue": str(refusal)}
    body = json.dumps(told, ensure_ascii=False).encode()
    cause = {404: 268512771, 429: 268447840, 401: 268443699}.get(refusal.status, 0)
    if refusal.code == "ORDERPAID":
        cause = 268449538
    return Reply(
        refusal.status,
        body,
        {"Content-Type": "application/json; charset=utf-8", "Request-ID": _request_id(body, cause)},
    )


def _request_id(body: bytes, cause: int) -> str:
    """Its last part is a numeric cause (gateways.md 2.6)."""
    return f"08{zlib.crc32(body):010X}-{cause}"
