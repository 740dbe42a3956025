"""WeChat Pay v3's query by merchant number, in public-key mode (gateways.md 2.1 to 2.6)."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qsl, unquote

from reconciler.sandbox.accounts import OTHER_APPID, OTHER_MCHID, Accounts
from reconciler.sandbox.beijing import BEIJING
from reconciler.sandbox.book import Book
from reconciler.sandbox.keys import Keys, sign, verifies
from reconciler.sandbox.trade import GatewayKind, State, Trade, Trouble, Twist
from reconciler.sandbox.wire import HTML_502, Reply

PREFIX = "/v3/pay/transactions/out-trade-no/"
SCHEME = "WECHATPAY2-SHA256-RSA2048"
CLOCK_TOLERANCE_S = 300
STALE_S = 600
FIELDS_MAX = 20
NUMBER = re.compile(r"[A-Za-z0-9_\-*|@]{6,32}")
_PAIR = re.compile(r'\s*([a-z_]+)="([^"]*)"\s*')

_STATES = {
    State.UNPAID: ("NOTPAY", "订单未支付"),
    State.PAID: ("SUCCESS", "支付成功"),
    State.REFUNDED: ("REFUND", "订单发生过退款，退款详情请查询退款单"),
    State.CLOSED: ("CLOSED", "订单已关闭"),
}


class Refusal(Exception):
    """A request that is answered with an HTTP error and {code, message} (gateways.md 2.6)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Wechat:
    """The gateway: verifies what it is sent, and signs what it says."""

    def __init__(self, keys: Keys, accounts: Accounts, book: Book) -> None:
        self._keys = keys
        self._accounts = accounts
        self._book = book

    def answer(self, target: str, headers: Mapping[str, str], now: datetime) -> Reply:
        """Answer one GET: `target` is path and query exactly as on the wire. Refusals come unsigned (gateways.md 2.3).

        `headers` finds a name in whatever case.
        """
        try:
            self._verify(target, headers, now)
            number = self._number(target)
        except Refusal as refusal:
            return _refused(refusal)
        trade, ask = self._book.ask(GatewayKind.WECHAT, number)
        trouble = trade.trouble_on(ask) if trade else None
        match trouble:
            case Trouble.SERVER_ERROR:
                return HTML_502 if ask % 2 == 0 else _refused(Refusal(500, "SYSTEM_ERROR", "系统异常，请稍后重试"))
            case Trouble.THROTTLED:
                code = "FREQUENCY_LIMITED" if ask % 2 else "RATELIMIT_EXCEEDED"
                return _refused(Refusal(429, code, "频率超限"))
            case _:
                pass
        state = trade.state_at(now) if trade else State.ABSENT
        if trade is None or state is State.ABSENT:
            return _refused(Refusal(404, "ORDER_NOT_EXIST", "订单不存在"))
        body = json.dumps(self._fields(trade, state), ensure_ascii=False, separators=(",", ":")).encode()
        reply = Reply(200, body, self._signature(body, headers, now, trouble, ask))
        return replace(reply, delay_seconds=trade.slow_seconds) if trouble is Trouble.SLOW else reply

    def _verify(self, target: str, headers: Mapping[str, str], now: datetime) -> None:
        for name in ("Accept", "User-Agent"):
            if not headers.get(name):
                raise Refusal(400, "PARAM_ERROR", f"HTTP头缺少{name}")
        if "application/json" not in headers["Accept"] and "*/*" not in headers["Accept"]:
            raise Refusal(400, "PARAM_ERROR", "Accept must take application/json")
        given = _authorization(headers.get("Authorization", ""))
        if given["mchid"] != self._accounts.mchid:
            raise Refusal(401, "SIGN_ERROR", "商户号不存在")
        if given["serial_no"] != self._accounts.serial_no:
            raise Refusal(401, "SIGN_ERROR", "商户证书序列号有误")
        if not re.fullmatch(r"[0-9]{1,12}", given["timestamp"]):
            raise Refusal(401, "SIGN_ERROR", "Http头Authorization值格式错误: timestamp")
        if abs(int(given["timestamp"]) - now.timestamp()) > CLOCK_TOLERANCE_S:
            raise Refusal(401, "SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
        text = f"GET\n{target}\n{given['timestamp']}\n{given['nonce_str']}\n\n"
        if not verifies(self._keys.merchant.public_key(), given["signature"], text.encode()):
            raise Refusal(401, "SIGN_ERROR", "错误的签名，验签失败")

    def _number(self, target: str) -> str:
        path, _, query = target.partition("?")
        try:
            asked = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
        except ValueError as error:
            raise Refusal(400, "PARAM_ERROR", "查询参数格式错误") from error
        if asked != [("mchid", self._accounts.mchid)]:
            raise Refusal(400, "PARAM_ERROR", "参数错误: mchid")
        number = unquote(path.removeprefix(PREFIX))
        if not NUMBER.fullmatch(number):
            raise Refusal(400, "PARAM_ERROR", "输入源“/path/out_trade_no”映射到值字段“商户订单号”字符串规则校验失败")
        return number

    def _fields(self, trade: Trade, state: State) -> Mapping[str, object]:
        is_ours = trade.twist is not Twist.OTHER_MERCHANT
        name, description = _STATES[state]
        fields: dict[str, object] = {
            "appid": self._accounts.appid if is_ours else OTHER_APPID,
            "mchid": self._accounts.mchid if is_ours else OTHER_MCHID,
            "out_trade_no": trade.out_trade_no,
            "trade_state": "HELD" if trade.twist is Twist.UNKNOWN_STATE else name,
            "trade_state_desc": description,
        }
        if state in {State.PAID, State.REFUNDED} and trade.paid_at:
            fields |= {
                "transaction_id": trade.transaction_id,
                "trade_type": "JSAPI",
                "bank_type": "OTHERS",
                "attach": "",
                "success_time": trade.paid_at.astimezone(BEIJING).isoformat(timespec="seconds"),
                "payer": {"openid": f"o{zlib.crc32(trade.out_trade_no.encode()):010d}sandboxbuyer"},
                "amount": {
                    "total": trade.amount_fen,
                    "payer_total": trade.amount_fen,
                    "currency": "CNY",
                    "payer_currency": "CNY",
                },
            }
        return fields

    def _signature(
        self, body: bytes, headers: Mapping[str, str], now: datetime, trouble: Trouble | None, ask: int
    ) -> dict[str, str]:
        plain = {"Content-Type": "application/json; charset=utf-8", "Request-ID": _request_id(body, 0)}
        if trouble is Trouble.UNSIGNED:
            return plain
        asks_for_public_key = headers.get("Wechatpay-Serial", "") == self._accounts.public_key_id
        serial = self._accounts.public_key_id if asks_for_public_key else self._accounts.platform_serial
        key = self._keys.wechat if asks_for_public_key else self._keys.stranger
        sent = int(now.timestamp())
        prefix = ""
        if (
            trouble is Trouble.BAD_SIGNATURE
        ):  # its three faces in turn: a deliberate probe, a stranger's key, an old answer
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


def _authorization(text: str) -> Mapping[str, str]:
    scheme, _, rest = text.partition(" ")
    if scheme != SCHEME:
        raise Refusal(401, "SIGN_ERROR", f"Http头Authorization认证类型不正确: {SCHEME} is due")
    given: dict[str, str] = {}
    for part in rest.split(","):
        pair = _PAIR.fullmatch(part)
        if pair is None or pair[1] in given:
            raise Refusal(401, "SIGN_ERROR", "Http头Authorization值格式错误")
        given[pair[1]] = pair[2]
    if set(given) != {"mchid", "nonce_str", "timestamp", "serial_no", "signature"} or not given["nonce_str"]:
        raise Refusal(
            401, "SIGN_ERROR", "Http头Authorization值格式错误: mchid, nonce_str, timestamp, serial_no, signature"
        )
    return given


def _refused(refusal: Refusal) -> Reply:
    body = json.dumps({"code": refusal.code, "message": str(refusal)}, ensure_ascii=False).encode()
    cause = {404: 268512771, 429: 268447840, 401: 268443699}.get(refusal.status, 0)
    return Reply(
        refusal.status,
        body,
        {"Content-Type": "application/json; charset=utf-8", "Request-ID": _request_id(body, cause)},
    )


def _request_id(body: bytes, cause: int) -> str:
    """Its last part is a numeric cause (gateways.md 2.6)."""
    return f"08{zlib.crc32(body):010X}-{cause}"
